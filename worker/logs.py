"""Logging: one line an event, to standard error, with ids and digests and never a user's words."""

from __future__ import annotations

import copy
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from worker.outline import brief, outline

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
#: Libraries whose chatter at a lower level says nothing to the engineer on call.
_QUIET: Final = ("aiokafka", "faust", "mode", "vllm", "transformers", "asyncio", "aiohttp")
#: At debug these write requests and records word for word: passwords of SASL PLAIN, messages, reasoning.
_WORDY: Final = ("aiokafka.conn", "aiokafka.producer")
#: While Kafka is away its client logs the same few lines many times a second.
REPEAT_AFTER_S: Final = 30.0
#: Lines that are remembered; a library may put anything into its templates.
MOST_LINES: Final = 1000


class Sparsely(logging.Filter):
    """Let the same line of a library through once in a while only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Refuse a library's line whose template was let through lately."""
        if record.name.partition(".")[0] not in _QUIET:
            return True
        # The template, not the text: numbers and addresses in it vary from line to line.
        key, now = (record.name, str(record.msg)[:80]), self._clock()
        fresh = now - self._last_s.get(key, -REPEAT_AFTER_S) >= REPEAT_AFTER_S
        if fresh:
            if len(self._last_s) >= MOST_LINES:
                self._last_s.clear()
            self._last_s[key] = now
        return fresh


class Discreet(logging.Formatter):
    """Formats a line so that nothing in it quotes what an error was given: see ``worker.outline``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, a foreign error among its values by its class alone."""
        return super().format(_discreet(record))

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802  (the library's name)
        """Return files, lines and functions of a traceback."""
        return outline(ei[1]) if ei[1] is not None else ""


def _discreet(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy whose values may be shown; what another handler makes of the record is left to it."""
    kept = copy.copy(record)
    kept.exc_text = None
    if isinstance(record.args, tuple):
        kept.args = tuple(brief(value) if isinstance(value, BaseException) else value for value in record.args)
    if record.name == "asyncio":
        # Its reports go on with the task that failed, and that with the error's text.
        kept.msg, kept.args = kept.getMessage().partition("\n")[0], ()
    return kept


def adopt(name: str) -> None:
    """Have what a library has set up to write its own log write as this program does."""
    for handler in logging.getLogger(name).handlers:
        handler.setFormatter(Discreet(_FORMAT))


def guard() -> None:
    """Have Python report what nobody caught in the same way: in the main thread, in others, and in destructors."""
    sys.excepthook = lambda _kind, error, _trace: _report("ended by", error)
    threading.excepthook = lambda caught: _report("a thread ended by", caught.exc_value)
    sys.unraisablehook = lambda caught: _report("passed over", caught.exc_value)


def _report(what: str, error: BaseException | None) -> None:
    print(f"rsafe: {what} {outline(error) if error is not None else 'an unknown error'}", file=sys.stderr, flush=True)


def configure(level: str) -> None:
    """Send this program's log to standard error; other libraries' only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet(_FORMAT))
    debug = level == "debug"
    if not debug:
        handler.addFilter(Sparsely())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    set_levels(level)


def set_levels(level: str) -> None:
    """Set how serious a line has to be, by who writes it."""
    debug = level == "debug"
    logging.getLogger("worker").setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.WARNING)
    for name in _WORDY:
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.WARNING)
