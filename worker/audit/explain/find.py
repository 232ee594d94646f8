"""Finding one verdict and what belongs to it in the topics."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from msgspec import Struct

from worker import kafka
from worker.audit.span import CLOCK_SLACK_MS, at_times
from worker.config import Settings
from worker.errors import AuditError, RecordError, UsageError
from worker.records import HistoryEntry, Trace, Verdict, decode

#: What ``worker.records.verdict_id`` makes.
_VERDICT_ID: Final = re.compile(r"[0-9a-f]{32}")
_MOST_AT_ONCE: Final = 4000

Range = Mapping[TopicPartition, tuple[int, int]]


class Hint(Struct, frozen=True, kw_only=True):
    """Where to look: a partition, the message's offset in it, and not before a time (Kafka's milliseconds)."""

    partition: int | None = None
    offset: int | None = None
    from_ms: int | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            UsageError: an offset without a partition.

        """
        if self.offset is not None and self.partition is None:
            text = "an offset counts within one partition; add --partition"
            raise UsageError(text)


class Found(Struct, frozen=True):
    """A verdict and its record."""

    verdict: Verdict
    record: Any


class Finder:
    """Reads with one consumer that nobody else uses."""

    def __init__(self, consumer: Any, settings: Settings, progress: Callable[[int, int], None] | None = None) -> None:
        """Take a started consumer; ``progress`` is told records read and records in all."""
        self._consumer = consumer
        self._settings = settings
        self._progress = progress

    async def verdicts(self, wanted: str, tenant_id: str | None, hint: Hint) -> list[Found]:
        """Return every verdict of the id, and those that supersede it, in the log's order.

        Raises:
            UsageError: a message's id without its tenant.
            AuditError: there is none.

        """
        if tenant_id is None and not _VERDICT_ID.fullmatch(wanted):
            text = f"{wanted!r} is no verdict id (32 hex digits); for a message's id add --tenant"
            raise UsageError(text)
        needle = msgspec.json.encode(wanted)
        found = []
        async for record in self._scan(await self._range("verdicts", hint), needle):
            verdict = _verdict(record)
            if verdict is not None and _fits(verdict, wanted, tenant_id, hint):
                found.append(Found(verdict, record))
        if not found:
            what = f"message {wanted} of {tenant_id}" if tenant_id else wanted
            text = (
                f"there is no verdict of {what}; is it older than the retention, or a dead letter ('rsafe dlq list')?"
            )
            raise AuditError(text)
        return found

    async def message(self, verdict: Verdict) -> ConsumerRecord | None:
        """Return the record at a verdict's source; None if nothing stands there any more."""
        source = verdict.source
        if source.topic is None or source.partition is None or source.offset is None:
            return None
        one = TopicPartition(source.topic, source.partition)
        first, end = (await kafka.bounds(self._consumer, [one]))[one]
        if not first <= source.offset < end:
            return None
        self._seek(one, source.offset)
        async for record in kafka.read(self._consumer, one, source.offset + 1, self._settings.kafka_timeout_s):
            return record
        return None

    async def trace(self, found: Found) -> tuple[Trace, ConsumerRecord] | None:
        """Return a verdict's trace; it was written before it, by the same clock."""
        trace_id = found.verdict.trace_id
        if trace_id is None:
            return None
        # A retraction may come weeks after the verdict that it superseded, whose trace this is.
        written_ms = (found.verdict.source.timestamp or 0) if found.verdict.supersedes else found.record.timestamp
        hint = Hint(partition=found.record.partition, from_ms=max(0, written_ms - CLOCK_SLACK_MS))
        async for record in self._scan(await self._range("traces", hint), trace_id.encode()):
            trace = _trace(record)
            if trace is not None and trace.trace_id == trace_id:
                return trace, record
        return None

    async def history(self) -> list[HistoryEntry]:
        """Return every decision about policies, in the log's order."""
        (one,) = await kafka.partitions_of(self._consumer, self._settings.topic("policy-history"))
        first, end = (await kafka.bounds(self._consumer, [one]))[one]
        self._seek(one, first)
        entries = []
        async for record in kafka.read(self._consumer, one, end, self._settings.kafka_timeout_s):
            try:
                entries.append(decode(record.value or b"", HistoryEntry, RecordError))
            except RecordError:
                # As for the workers: what is no decision decides nothing.
                continue
        return entries

    def _seek(self, one: TopicPartition, offset: int) -> None:
        self._consumer.assign([one])
        self._consumer.seek(one, offset)

    async def _range(self, name: str, hint: Hint) -> Range:
        every = await kafka.partitions_of(self._consumer, self._settings.topic(name))
        chosen = [one for one in every if hint.partition in {None, one.partition}]
        if not chosen:
            text = f"{self._settings.topic(name)} has no partition {hint.partition}"
            raise UsageError(text)
        logs = await kafka.bounds(self._consumer, chosen)
        from_ms = await self._time_of(hint) if hint.from_ms is None else hint.from_ms
        starts = await at_times(self._consumer, logs, from_ms) if from_ms else {}
        return {one: (max(first, min(starts.get(one, first), end)), end) for one, (first, end) in logs.items()}

    async def _time_of(self, hint: Hint) -> int | None:
        """Return from when on outcomes of the message at a hint's offset can stand."""
        if hint.offset is None:
            return None
        one = TopicPartition(self._settings.topic("messages"), hint.partition)
        first, end = (await kafka.bounds(self._consumer, [one]))[one]
        if not first <= hint.offset < end:
            return None
        self._seek(one, hint.offset)
        async for record in kafka.read(self._consumer, one, end, self._settings.kafka_timeout_s):
            return max(0, int(record.timestamp) - CLOCK_SLACK_MS)
        return None

    async def _scan(self, logs: Range, needle: bytes) -> AsyncIterator[ConsumerRecord]:
        """Yield the records of logs that hold some bytes, one partition after the other."""
        total, done = sum(end - start for start, end in logs.values()), 0
        for one, (start, end) in logs.items():
            self._seek(one, start)
            async for record in kafka.read(self._consumer, one, end, self._settings.kafka_timeout_s):
                done += 1
                if self._progress is not None and done % _MOST_AT_ONCE == 0:
                    self._progress(done, total)
                if record.value is not None and needle in record.value:
                    yield record


def _fits(verdict: Verdict, wanted: str, tenant_id: str | None, hint: Hint) -> bool:
    if hint.offset is not None and verdict.source.offset != hint.offset:
        return False
    if tenant_id is None:
        return wanted in {verdict.verdict_id, verdict.supersedes}
    return (verdict.tenant_id, verdict.message_id) == (tenant_id, wanted)


def _verdict(record: ConsumerRecord) -> Verdict | None:
    try:
        return decode(record.value or b"", Verdict, RecordError)
    except RecordError:
        return None


def _trace(record: ConsumerRecord) -> Trace | None:
    try:
        return decode(record.value or b"", Trace, RecordError)
    except RecordError:
        return None
