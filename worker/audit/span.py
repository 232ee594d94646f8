"""Which part of the log is meant: times and offsets as people write them, and the offsets that they stand for."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.errors import BrokerAway, UsageError
from worker.kafka_errors import translated

#: How far a worker's clock may stand behind the broker's: outcomes bear the worker's time.
CLOCK_SLACK_MS: Final = 10 * 60 * 1000
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_AGO: Final = re.compile(r"-(\d{1,9})([smhdw])")
_MILLIS: Final = re.compile(r"\d{1,15}")

Bounds = dict[TopicPartition, tuple[int, int]]


class Span(Struct, frozen=True, kw_only=True):
    """A part of ``messages``: by time, by offsets of one partition, or both; None is open.

    Attributes:
        from_ms, to_ms: Kafka's milliseconds; the second is excluded.
        partition: the one partition that is meant.
        from_offset, to_offset: offsets of that partition; the second is excluded.

    """

    from_ms: int | None = None
    to_ms: int | None = None
    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            UsageError: offsets without a partition, or an end before the start.

        """
        if self.partition is None and (self.from_offset is not None or self.to_offset is not None):
            text = "offsets count within one partition; add --partition"
            raise UsageError(text)
        for first, last in ((self.from_ms, self.to_ms), (self.from_offset, self.to_offset)):
            if first is not None and last is not None and first > last:
                text = "the range ends before it begins; exchange --from and --to"
                raise UsageError(text)


def parse_time(text: str, now_ms: int) -> int:
    """Read a time: RFC 3339, milliseconds since 1970, or so long ago (``-90s``, ``-15m``, ``-1h``, ``-2d``, ``-1w``).

    Args:
        text: what was typed; a time without a zone is UTC.
        now_ms: the present, for times that count from it.

    Raises:
        UsageError: it is none of these.

    """
    if ago := _AGO.fullmatch(text):
        return max(0, now_ms - int(ago[1]) * _UNITS_MS[ago[2]])
    if _MILLIS.fullmatch(text):
        return int(text)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time; write 2026-05-01T12:00:00Z, milliseconds since 1970, or -1h"
        raise UsageError(message) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return round(aware.timestamp() * 1000)


def chosen(partitions: Iterable[TopicPartition], span: Span) -> list[TopicPartition]:
    """Return the partitions that a span means.

    Raises:
        UsageError: there is no such partition.

    """
    wanted = [one for one in partitions if span.partition in {None, one.partition}]
    if not wanted:
        text = f"messages has no partition {span.partition}"
        raise UsageError(text)
    return wanted


async def offsets(consumer: Any, logs: Mapping[TopicPartition, tuple[int, int]], span: Span) -> Bounds:
    """Return the offsets (start, end excluded) of a span in each partition of ``logs``.

    Args:
        consumer: a started consumer without a group.
        logs: the first offset and the end of each log; the result never leaves it.
        span: what is meant.

    """
    starts = await at_times(consumer, logs, span.from_ms) if span.from_ms is not None else {}
    ends = await at_times(consumer, logs, span.to_ms) if span.to_ms is not None else {}
    found: Bounds = {}
    for partition, (first, end) in logs.items():
        start = max(first, starts.get(partition, first), span.from_offset or 0)
        stop = min(end, ends.get(partition, end), end if span.to_offset is None else span.to_offset)
        found[partition] = (min(start, end), max(stop, min(start, end)))
    return found


async def at_times(
    consumer: Any, logs: Mapping[TopicPartition, tuple[int, int]], time_ms: int
) -> dict[TopicPartition, int]:
    """Return for each log the first offset whose record is not older than a time; the end where there is none."""
    with translated("looking for offsets by time"):
        found = await consumer.offsets_for_times(dict.fromkeys(logs, time_ms))
    return {one: end if (at := found.get(one)) is None else min(at.offset, end) for one, (_, end) in logs.items()}


async def first_times(consumer: Any, ranges: Bounds, stall_s: float) -> dict[TopicPartition, int]:
    """Return the timestamp, in milliseconds, of the first record of each range that has one.

    Raises:
        BrokerAway: nothing came for ``stall_s`` seconds.

    """
    found: dict[TopicPartition, int] = {}
    waiting = {partition: end for partition, (start, end) in ranges.items() if start < end}
    consumer.assign(list(waiting))
    for partition in waiting:
        consumer.seek(partition, ranges[partition][0])
    moved_s = time.monotonic()
    while waiting:
        with translated("looking for the range's first records"):
            batches = await consumer.getmany(*waiting, timeout_ms=kafka.FETCH_WAIT_MS, max_records=1)
            # Where there is none, the position moves past the hole.
            passed = [one for one, end in waiting.items() if not batches and await consumer.position(one) >= end]
        for partition, (record, *_) in batches.items():
            if record.offset < waiting.pop(partition):
                found[partition] = record.timestamp
        for partition in passed:
            del waiting[partition]
        moved_s = time.monotonic() if batches or passed else moved_s
        if time.monotonic() - moved_s > stall_s:
            text = f"nothing came for {stall_s:.0f} s; is Kafka running?"
            raise BrokerAway(text)
    return found
