"""The verdicts that stand: live ones, and of a chain of superseding ones the last.

A superseding verdict stands behind the one it replaces, in the same partition. So each partition is read
twice: once for the ids that are replaced, of which 8 bytes each are kept, and once for the verdicts.
Doubles are not looked for; ``rsafe audit verify`` names them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from msgspec import UNSET, Struct, UnsetType

from worker import kafka
from worker.audit.span import CLOCK_SLACK_MS, Bounds, Span, at_times
from worker.config import Settings
from worker.decoding import UNREADABLE
from worker.records import Verdict

#: Told about progress: records read so far, and records in all.
Progress = Callable[[int, int], None]

_NEEDLE: Final = b'"supersedes"'
#: Hex digits of an id that are kept: 64 bits tell millions of ids apart.
_KEPT_DIGITS: Final = 16
_TELL_RECORDS: Final = 4000


class _Replaces(Struct, frozen=True, gc=False):
    """The field of a verdict that names the one it replaces."""

    supersedes: str | UnsetType | None = UNSET


_REPLACES: Final = msgspec.json.Decoder(_Replaces)
_VERDICT: Final = msgspec.json.Decoder(Verdict)


class Superseded:
    """Ids of verdicts that another one replaces, 8 bytes each; ``sort`` before asking."""

    def __init__(self) -> None:
        """Start with none."""
        self._ids = array("Q")

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._ids)

    def add(self, verdict_id: str) -> None:
        """Note one; what is no verdict's id is nobody's."""
        number = _number(verdict_id)
        if number is not None:
            self._ids.append(number)

    def sort(self) -> None:
        """Make it ready to be asked."""
        self._ids = array("Q", sorted(self._ids))

    def __contains__(self, verdict_id: str) -> bool:
        """Tell whether a verdict is replaced."""
        number = _number(verdict_id)
        place = bisect_left(self._ids, number) if number is not None else len(self._ids)
        return place < len(self._ids) and self._ids[place] == number


def _number(verdict_id: str) -> int | None:
    try:
        return int(verdict_id[:_KEPT_DIGITS], 16)
    except ValueError:
        return None


class Standing(Struct, frozen=True):
    """A verdict that stands, and its record."""

    verdict: Verdict
    record: Any


class Wanted(Struct, frozen=True, kw_only=True):
    """Which verdicts are meant: ``from_ms`` (included) and ``to_ms`` (excluded) are Kafka's times of the message."""

    from_ms: int | None = None
    to_ms: int | None = None
    tenant_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            UsageError: the end stands before the start.

        """
        Span(from_ms=self.from_ms, to_ms=self.to_ms)

    def includes(self, verdict: Verdict) -> bool:
        """Tell whether a verdict is one of them."""
        time_ms = verdict.source.timestamp
        return (
            time_ms is not None
            and (self.from_ms is None or time_ms >= self.from_ms)
            and (self.to_ms is None or time_ms < self.to_ms)
            and self.tenant_id in {None, verdict.tenant_id}
        )


def live_verdict(record: Any, messages: str) -> Verdict | None:
    """Return a record's verdict if it is a live one of its own partition, superseding or not."""
    try:
        verdict = _VERDICT.decode(record.value or b"")
    except UNREADABLE:
        return None
    source = verdict.source
    ours = source.topic == messages and source.partition == record.partition
    return verdict if ours and verdict.mode == "live" and verdict.run_id is None else None


async def standing(
    settings: Settings, consumer: Any, wanted: Wanted, progress: Progress | None = None
) -> AsyncIterator[Standing]:
    """Yield the verdicts that stand, partition by partition, in the log's order, up to the ends at the start.

    Args:
        settings: topic names and deadlines.
        consumer: a started consumer without a group, used by nobody else.
        wanted: which ones.
        progress: told of records; each counts twice.

    Raises:
        BrokerAway: Kafka stopped answering.
        TopicMissing: ``verdicts`` does not exist.

    """
    logs = await _bounds(settings, consumer, wanted)
    told = _Teller(progress, 2 * sum(end - start for start, end in logs.values()))
    for one, (start, end) in logs.items():
        superseded = Superseded()
        async for record in _records(settings, consumer, one, start, end, told):
            if record.value and _NEEDLE in record.value:
                _note(superseded, record.value)
        superseded.sort()
        async for record in _records(settings, consumer, one, start, end, told):
            verdict = live_verdict(record, settings.topic("messages"))
            if verdict is not None and wanted.includes(verdict) and verdict.verdict_id not in superseded:
                yield Standing(verdict, record)


def _note(superseded: Superseded, value: bytes) -> None:
    try:
        replaced = _REPLACES.decode(value).supersedes
    except UNREADABLE:
        return
    if isinstance(replaced, str):
        superseded.add(replaced)


async def _bounds(settings: Settings, consumer: Any, wanted: Wanted) -> Bounds:
    """Return where to read: a verdict is written after its message, by another clock."""
    logs = await kafka.bounds(consumer, await kafka.partitions_of(consumer, settings.topic("verdicts")))
    from_ms = max(0, (wanted.from_ms or 0) - CLOCK_SLACK_MS)
    starts = await at_times(consumer, logs, from_ms) if from_ms else {}
    return {one: (max(first, min(starts.get(one, first), end)), end) for one, (first, end) in logs.items()}


async def _records(
    settings: Settings, consumer: Any, one: TopicPartition, start: int, end: int, told: _Teller
) -> AsyncIterator[Any]:
    consumer.assign([one])
    consumer.seek(one, start)
    async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
        told.count()
        yield record


class _Teller:
    """Counts records and tells of it now and then."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def count(self) -> None:
        self._done += 1
        if self._progress is not None and self._done % _TELL_RECORDS == 0:
            self._progress(self._done, self._total)
