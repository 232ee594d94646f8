"""``rsafe send``: messages from a JSON Lines file to Kafka, and their outcomes back if wanted."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import BinaryIO, Final

from aiokafka import ConsumerRecord
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from worker.client import (
    DeadLetter,
    Follower,
    Outgoing,
    Place,
    message_key,
    place_of,
    read_dead_letter,
    read_verdict,
    send_all,
)
from worker.config import Settings
from worker.errors import DecodeError, StreamError, UsageError
from worker.records import Verdict, decode_message, encode
from worker.show import COLUMNS, line, row, styled

#: Lines that are read ahead of Kafka.
_READ_AHEAD: Final = 1000

Outcome = Verdict | DeadLetter


class SendOptions(Struct, frozen=True, kw_only=True):
    """What to send, and what to print of it.

    ``raw`` sends lines that are no messages too, as they are and without a key; ``wait`` follows the
    outcomes, until there was none for ``timeout_s`` seconds.
    """

    file: str = "-"
    raw: bool = False
    wait: bool = False
    as_json: bool = False
    timeout_s: float = 60.0


def send(settings: Settings, options: SendOptions) -> None:
    """Send every line of a file (``-``: standard input) to ``messages``; blank lines are skipped.

    Raises:
        UsageError: the file cannot be read.
        DecodeError: a line is no message; those before it were sent.
        StreamError: Kafka refused, is away, or outcomes did not come.

    """
    with _open(options.file) as source:
        asyncio.run(_send(settings, source, options))


def _open(file: str) -> BinaryIO:
    try:
        return open(0 if file == "-" else Path(file), "rb", closefd=file != "-")
    except OSError as error:
        text = f"{file} cannot be read ({error.strerror}); give a JSON Lines file, or - for standard input"
        raise UsageError(text) from None


async def _send(settings: Settings, source: BinaryIO, options: SendOptions) -> None:
    follower = Follower(settings, ("verdicts", "dead-letters"))
    report = _Report(as_json=options.as_json)
    try:
        if options.wait:
            await follower.start()
        count, texts = await _send_lines(settings, source, options)
        report.sent(count)
        async for place, outcome in _outcomes(settings, follower, set(texts), options.timeout_s):
            report.outcome(outcome, texts[place])
        report.end()
    finally:
        await follower.stop()


async def _send_lines(settings: Settings, source: BinaryIO, options: SendOptions) -> tuple[int, dict[Place, str]]:
    """Send all lines; return their number and, for whoever waits, the text at each place."""
    under_way: deque[str] = deque()
    texts: dict[Place, str] = {}
    count = 0
    async for place in send_all(settings, _rows(source, under_way, raw=options.raw)):
        text = under_way.popleft()
        count += 1
        if options.wait:
            texts[place] = text
    return count, texts


async def _rows(source: BinaryIO, texts: deque[str], *, raw: bool) -> AsyncIterator[Outgoing]:
    number = 0
    async for value in _lines(source):
        number += 1
        if value.strip():
            key, text = _parsed(value, number, raw=raw)
            texts.append(text)
            yield Outgoing(key, value)


def _parsed(value: bytes, number: int, *, raw: bool) -> tuple[bytes | None, str]:
    """Return key and text of one line."""
    try:
        message = decode_message(value)
    except DecodeError as error:
        if raw:
            return None, value.decode("utf-8", "replace")
        field = f"line {number}: {error.field or 'record'}"
        cure = "; the lines before it were sent (--raw sends such lines as they are)"
        raise DecodeError(field, error.expected + cure) from None
    return message_key(message), message.text


async def _lines(source: BinaryIO) -> AsyncIterator[bytes]:
    """Read lines in a thread: standard input may pause for as long as it likes."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError | None] = asyncio.Queue(_READ_AHEAD)

    def put(value: bytes | OSError | None) -> None:
        putting = queue.put(value)
        try:
            asyncio.run_coroutine_threadsafe(putting, loop).result()
        except RuntimeError:
            putting.close()
            raise

    def pump() -> None:
        try:
            for value in source:
                put(value.rstrip(b"\r\n"))
            put(None)
        except OSError as error:
            put(error)
        except (CancelledError, RuntimeError, ValueError):  # the loop or the file was closed: nobody reads on
            return

    # A daemon: a thread that waits for a terminal must not keep the program from ending.
    threading.Thread(target=pump, name="rsafe-send-input", daemon=True).start()
    while (value := await queue.get()) is not None:
        if isinstance(value, OSError):
            text = f"the input cannot be read on ({value.strerror}); the lines before it were sent"
            raise UsageError(text)
        yield value


async def _outcomes(
    settings: Settings, follower: Follower, open_places: set[Place], timeout_s: float
) -> AsyncIterator[tuple[Place, Outcome]]:
    """Yield the first outcome of each place, until all have one."""
    heard = time.monotonic()
    while open_places:
        for record in await follower.poll():
            outcome = _outcome(settings, record)
            place = _place(outcome) if outcome else None
            if outcome and place in open_places:
                open_places.discard(place)
                heard = time.monotonic()
                yield place, outcome
        if time.monotonic() - heard > timeout_s:
            text = f"{len(open_places)} of the messages have no outcome after {timeout_s:.0f} s; is 'rsafe run' ready?"
            raise StreamError(text)


def _outcome(settings: Settings, record: ConsumerRecord) -> Outcome | None:
    """Return the outcome of a live message; policies have dead letters too."""
    if record.topic == settings.topic("verdicts"):
        verdict = read_verdict(record)
        return verdict if verdict.mode == "live" else None
    letter = read_dead_letter(record)
    return letter if letter.topic == settings.topic("messages") else None


def _place(outcome: Outcome) -> Place:
    return outcome.place if isinstance(outcome, DeadLetter) else place_of(outcome)


class _Report:
    """What is printed: JSON lines, a table on a terminal, or plain lines."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._console = Console()
        self._table = Table(*COLUMNS) if self._console.is_terminal and not as_json else None

    def sent(self, count: int) -> None:
        """Say how many messages stand in Kafka now."""
        print(json.dumps({"sent": count}) if self._json else f"sent {count} messages", flush=True)

    def outcome(self, outcome: Outcome, text: str) -> None:
        """Show one outcome."""
        if self._json:
            print(encode(outcome).decode(), flush=True)
        elif isinstance(outcome, DeadLetter):
            print(f"dead letter at {outcome.place}: {outcome.detail}", flush=True)
        elif self._table is not None:
            self._table.add_row(*styled(row(outcome, text)))
        else:
            print(line(row(outcome, text)), flush=True)

    def end(self) -> None:
        """Show the table, if there is one and anything stands in it."""
        if self._table is not None and self._table.rows:
            self._console.print(self._table)
