"""Where words pass on their way out of a process: log lines, errors, metrics, children's output, HTTP answers."""

from __future__ import annotations

import asyncio
import http.client
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from prometheus_client.metrics import MetricWrapperBase

from tests.support import planted
from worker.errors import WorkerError
from worker.logs import Discreet

#: Takes a text, where it was, and which words may not stand in it.
Look = Callable[[str | bytes, str, tuple[str, ...]], None]

EVERYTHING: Final = (*planted.PERSONAL, *planted.SECRETS)
#: Commands whose purpose is to show what somebody wrote: on standard output they may.
SHOW_TEXT: Final = (
    ("audit", "explain"),
    ("dlq", "show"),
    ("judge",),
    ("policy", "export"),
    ("policy", "get"),
    ("policy", "history"),  # who wrote a version
    ("policy", "import"),
    ("policy", "list"),
    ("send",),
)
_LINE: Final = Discreet("%(message)s")


@contextmanager
def hooked(look: Look) -> Iterator[None]:
    """Let ``look`` see all of it inside the block."""
    with ExitStack() as stack:
        for hook in (_logs, _errors, _labels, _children, _children_of_loops, _answers):
            stack.enter_context(hook(look))
        yield


@contextmanager
def _instead(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Replace a method by what ``make`` builds around it."""
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, make(before))
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def _logs(look: Look) -> Iterator[None]:
    """Every line that a logger lets through, as this program would write it."""
    before = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        look(_LINE.format(record), f"log of {record.name}, {record.levelname.lower()}: {record.msg!s:.60}", EVERYTHING)
        return record

    logging.setLogRecordFactory(made)
    try:
        yield
    finally:
        logging.setLogRecordFactory(before)


def _errors(look: Look) -> Any:
    """Every text of an error of this program, raised or not."""

    def around(before: Any) -> Any:
        def init(self: WorkerError, *args: object) -> None:
            look(" ".join(map(str, args)), f"text of {type(self).__name__}", EVERYTHING)
            before(self, *args)

        return init

    return _instead(WorkerError, "__init__", around)


def _labels(look: Look) -> Any:
    """Every value that a metric is told apart by: of all that is exposed only this can be somebody's words."""

    def around(before: Any) -> Any:
        def labels(self: Any, *values: Any, **named: Any) -> Any:
            look(" ".join(map(str, (*values, *named.values()))), f"label of metric {self._name}", EVERYTHING)
            return before(self, *values, **named)

        return labels

    return _instead(MetricWrapperBase, "labels", around)


def _children(look: Look) -> Any:
    """What commands print that were run to their end."""

    def around(before: Any) -> Any:
        def communicate(self: Any, *args: Any, **kwargs: Any) -> Any:
            printed = before(self, *args, **kwargs)
            _printed(look, self.args, *printed)
            return printed

        return communicate

    return _instead(subprocess.Popen, "communicate", around)


def _children_of_loops(look: Look) -> Any:
    """As above, for those that a loop waits for."""

    def around(before: Any) -> Any:
        async def communicate(self: Any, *args: Any, **kwargs: Any) -> Any:
            printed = await before(self, *args, **kwargs)
            _printed(look, self._transport.get_extra_info("subprocess").args, *printed)
            return printed

        return communicate

    return _instead(asyncio.subprocess.Process, "communicate", around)


def _printed(look: Look, command: Any, out: str | bytes | None, err: str | bytes | None) -> None:
    words = [str(word) for word in command] if isinstance(command, Sequence) and not isinstance(command, str) else []
    # A run of tests inside a test looks at itself; git and the like print this repository.
    if not words or words[0] != sys.executable or "pytest" in words:
        return
    name = " ".join(words[1:5])
    look(err or "", f"standard error of {name:.80}", EVERYTHING)
    look(out or "", f"standard output of {name:.80}", planted.SECRETS if shows_text(words) else EVERYTHING)


def shows_text(words: Sequence[str]) -> bool:
    """Tell whether a command line is one that shows what somebody wrote."""
    rest = tuple(words[words.index("worker") + 1 :]) if "worker" in words else ()
    return any(rest[: len(shown)] == shown for shown in SHOW_TEXT)


def _answers(look: Look) -> Any:
    """What a worker's pages answer: metrics, liveness, readiness."""

    def around(before: Any) -> Any:
        def read(self: Any, *args: Any) -> Any:
            answer = before(self, *args)
            look(answer, "answer over HTTP", EVERYTHING)
            return answer

        return read

    return _instead(http.client.HTTPResponse, "read", around)
