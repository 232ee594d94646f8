"""Logging: one line an event, to standard error, with ids and digests and never a user's words."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Final

#: Libraries whose chatter at a lower level says nothing to the engineer on call.
_QUIET: Final = ("aiokafka", "faust", "mode", "vllm", "transformers", "asyncio", "aiohttp")
#: While Kafka is away its client logs the same few lines many times a second.
REPEAT_AFTER_S: Final = 30.0


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
            self._last_s[key] = now
        return fresh


def configure(level: str) -> None:
    """Send this program's log to standard error; other libraries' only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    debug = level == "debug"
    if not debug:
        handler.addFilter(Sparsely())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("worker").setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.WARNING)
    # At debug it writes every request word for word: with SASL PLAIN the password, and every message.
    logging.getLogger("aiokafka.conn").setLevel(logging.INFO if debug else logging.WARNING)
