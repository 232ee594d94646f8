"""What commands that read and write topics share: settings with the log's level, reports, progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.audit.span import parse_time
from worker.audit.standing import Progress
from worker.commands.options import settings_from
from worker.config import Settings
from worker.logs import configure
from worker.show import visible

#: Time between two lines of progress on a terminal, in seconds.
_TELL_S: Final = 0.5


def command_settings(
    config: Path | None,
    bootstrap_servers: str | None,
    topic_prefix: str | None,
    extra: list[str] | None,
    **more: object,
) -> Settings:
    """Return settings, with the log's level set."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix, **more)
    configure(settings.log_level)
    return settings


def tell(report: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Print a report as JSON, or as lines that cannot move the cursor."""
    if as_json:
        print(msgspec.json.encode(report).decode())
        return
    for line in lines:
        print(visible(line, 2 * len(line) + 1))


def moment_ms(text: str) -> int:
    """Return a time that a flag names, in milliseconds since 1970 (``parse_time``)."""
    return parse_time(text, round(time.time() * 1000))


def time_ms(text: str | None) -> int | None:
    """Return what a flag says of a time; None where it says nothing."""
    return None if text is None else moment_ms(text)


@contextmanager
def told() -> Iterator[Progress | None]:
    """Lend something to be told of progress; it writes to a terminal on standard error, and else nowhere."""
    if not sys.stderr.isatty():
        yield None
        return
    told_s = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s > _TELL_S:
            told_s = time.monotonic()
            print(f"\r{done} of {total} records", end="", file=sys.stderr, flush=True)

    yield say
    print("\r\033[K", end="", file=sys.stderr, flush=True)
