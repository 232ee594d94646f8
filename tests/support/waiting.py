"""Waiting for a condition, with a deadline; tests never wait for time to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Final, TypeVar, overload

T = TypeVar("T")

#: What one turn counts at most. After a pause of the whole process, or of the machine, what is waited for gets its
#: turns too, as in ``worker.judge.watchdog``.
_MAX_TURN_S: Final = 1.0


@overload
async def wait_until(
    condition: Callable[[], Awaitable[T]], timeout_s: float = ..., *, what: str = ..., interval_s: float = ...
) -> T: ...


@overload
async def wait_until(
    condition: Callable[[], T], timeout_s: float = ..., *, what: str = ..., interval_s: float = ...
) -> T: ...


async def wait_until(
    condition: Callable[[], T | Awaitable[T]], timeout_s: float = 120.0, *, what: str = "", interval_s: float = 0.05
) -> T:
    """Return the first true value of ``condition``, a plain or an async callable.

    Raises:
        AssertionError: it stayed false; the text holds ``what`` and the last value.

    """
    left_s, before_s = timeout_s, time.monotonic()
    while True:
        answer = condition()
        value: T = await answer if isawaitable(answer) else answer
        if value:
            return value
        now_s = time.monotonic()
        left_s -= min(now_s - before_s, _MAX_TURN_S)
        before_s = now_s
        if left_s < 0:
            text = f"not within {timeout_s} s: {what or condition} (last value {value!r})"
            raise AssertionError(text)
        await asyncio.sleep(interval_s)
