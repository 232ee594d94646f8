"""Tasks that cannot fail in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from worker.errors import WorkerError

Fail = Callable[[WorkerError], None]


def spawn(coroutine: Coroutine[Any, Any, None], fail: Fail) -> asyncio.Task[None]:
    """Start a task; ``fail`` is called with whatever it raises."""
    task = asyncio.create_task(coroutine)
    task.add_done_callback(lambda done: _report(done, fail))
    return task


def _report(task: asyncio.Task[None], fail: Fail) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, WorkerError):
        fail(error)
    elif error is not None:
        wrapped = WorkerError(f"a bug: {type(error).__name__} in the data plane; please report it with the log")
        wrapped.__cause__ = error
        fail(wrapped)
