"""``rsafe audit verify``: proves from the topics that each input offset has exactly one outcome.

The order of the questions makes the proof: first the group's members and commits, then the ends of the
outcomes' logs, then the ends of the messages'. Whatever was committed had its outcome before the ends were
asked for; what stands above the commit and has none is *pending*, not missing, while a worker is running.

Messages and outcomes of all partitions are read side by side by one consumer. A partition's messages wait
while many of them are without outcome, its outcomes wait while many are ahead of the messages
(``LOOKAHEAD``), so memory is bounded by the number of partitions (``coverage.py``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from aiokafka import TopicPartition

from worker import kafka
from worker.audit.span import Span
from worker.audit.verify.coverage import GONE, Coverage, Fault, Input, Outcome, fault
from worker.audit.verify.facts import Reading, input_of, place_of, read_dead_letter, read_verdict
from worker.audit.verify.logs import Logs, survey
from worker.audit.verify.report import Part, Report, report
from worker.config import Settings
from worker.dead_letter import Run
from worker.errors import AuditError, BrokerAway, OffsetGone
from worker.kafka_errors import translated

#: Messages of a partition that may wait, and outcomes that may be ahead, before the other side is read on.
LOOKAHEAD: Final = 5000
#: Records taken from the client in one go: what stands decompressed in memory, beside one batch of each log.
_MOST_AT_ONCE: Final = 4000
#: Offsets between two look-ups from which on seeking is faster than reading on.
_SEEK_GAP: Final = 2000

#: Told about progress: records read so far, and records in all.
Progress = Callable[[int, int], None]


async def verify(settings: Settings, span: Span, progress: Progress | None = None) -> tuple[Report, Logs]:
    """Audit a part of the log.

    Args:
        settings: addresses, prefix and group.
        span: which messages.
        progress: called after each fetch.

    Raises:
        UsageError: there is no such partition.
        AuditError: retention took records while they were read.
        CorruptPartition: a batch cannot be read.
        BrokerAway: nobody answers.
        TopicMissing: a topic does not exist.

    """
    began_s = time.monotonic()
    try:
        async with kafka.reader(settings) as consumer:
            logs = await survey(consumer, settings, span)
            run = _Run(consumer, settings, logs, progress)
            await run.read()
            await run.settle()
    except OffsetGone as error:
        text = f"retention took records while they were read ({error}); ask for a later --from"
        raise AuditError(text) from error
    return run.report(time.monotonic() - began_s), logs


class _Run:
    """One audit."""

    def __init__(self, consumer: Any, settings: Settings, logs: Logs, progress: Progress | None) -> None:
        self._consumer = consumer
        self._settings = settings
        self._logs = logs
        self._progress = progress
        self._messages = settings.topic("messages")
        self._verdicts = settings.topic("verdicts")
        self._coverages = {
            one.partition: Coverage(one.topic, one.partition, *logs.ranges[one]) for one in logs.messages
        }
        self._ends = {one.partition: end for one, (_, end) in logs.messages.items()}
        self._faults: dict[str, list[Fault]] = {"misplaced": [], "altered": []}
        self._records = 0
        reading = {one: (max(at[0], logs.messages[one][0]), at[1]) for one, at in logs.ranges.items()}
        self._reading = {one: at for one, at in (reading | logs.outcomes).items() if at[0] < at[1]}
        self._total = sum(end - start for start, end in self._reading.values())

    async def read(self) -> None:
        """Read messages and outcomes to the ends of the range."""
        for coverage, first in self._lost():
            for offset in range(coverage.start, first):
                coverage.message(offset, GONE)
        self._consumer.assign(list(self._reading))
        for partition, (start, _) in self._reading.items():
            self._consumer.seek(partition, start)
        moved_s = time.monotonic()
        while self._reading:
            with translated("reading the range"):
                batches = await self._consumer.getmany(
                    *self._due(), timeout_ms=kafka.FETCH_WAIT_MS, max_records=_MOST_AT_ONCE
                )
            for partition, records in batches.items():
                self._take(partition, records)
            done = await self._finish_logs(batches)
            if batches or done:
                moved_s = time.monotonic()
                self._tell()
            elif time.monotonic() - moved_s > self._settings.kafka_timeout_s:
                text = f"nothing came for {self._settings.kafka_timeout_s:.0f} s; is Kafka running?"
                raise BrokerAway(text)
            await asyncio.sleep(0)

    def _lost(self) -> Iterator[tuple[Coverage, int]]:
        for one, (first, _) in self._logs.messages.items():
            yield self._coverages[one.partition], min(first, self._logs.ranges[one][1])

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._records, self._total)

    def _due(self) -> list[TopicPartition]:
        """Return the logs that may be read on; never none of a partition that is not done."""
        waiting = {one.partition for one in self._reading if one.topic == self._messages}
        behind = {one.partition for one in self._reading if one.topic != self._messages}
        return [
            one
            for one in self._reading
            if not (
                self._messages_wait(one, behind) if one.topic == self._messages else self._outcomes_wait(one, waiting)
            )
        ]

    def _messages_wait(self, one: TopicPartition, behind: Collection[int]) -> bool:
        coverage = self._coverages[one.partition]
        return one.partition in behind and coverage.open >= LOOKAHEAD and coverage.early < LOOKAHEAD

    def _outcomes_wait(self, one: TopicPartition, waiting: Collection[int]) -> bool:
        return one.partition in waiting and self._coverages[one.partition].early >= LOOKAHEAD

    async def _finish_logs(self, batches: Mapping[TopicPartition, list[Any]]) -> bool:
        """Stop reading what is at its end; the position decides, since a log may end in a hole."""
        done = []
        for partition in list(batches) or list(self._reading):
            with translated("reading the range"):
                position = await self._consumer.position(partition)
            if partition in self._reading and position >= self._reading[partition][1]:
                self._consumer.pause(partition)
                del self._reading[partition]
                done.append(partition)
        return bool(done)

    def _take(self, partition: TopicPartition, records: list[Any]) -> None:
        if partition not in self._reading:
            return
        end = self._reading[partition][1]
        self._records += len(records)
        if partition.topic == self._messages:
            take = self._coverages[partition.partition].message
            for record in records:
                if record.offset < end:
                    take(record.offset, input_of(record))
            return
        read = read_verdict if partition.topic == self._verdicts else read_dead_letter
        for record in records:
            if record.offset < end:
                self._take_outcome(record, read(record, self._messages))

    def _take_outcome(self, record: Any, reading: Reading) -> None:
        if reading.lost is not None:
            self._lose(record, reading.lost)
            return
        outcome = reading.outcome
        first_ms = self._logs.first_ms
        if record.timestamp < first_ms and (outcome is None or outcome.timestamp < first_ms):
            # Written before the range began, about something older: an earlier life of the topic.
            return
        if reading.altered is not None:
            self._note("altered", record, reading.altered, reading)
        if reading.misplaced is not None:
            self._note("misplaced", record, reading.misplaced, reading)
        if outcome is not None:
            self._count(record, outcome, reading)

    def _lose(self, record: Any, run: Run) -> None:
        """Note what of a lost run is in the range; what stands in the log is of a later life of the topic."""
        one = TopicPartition(self._messages, run.partition)
        low, high = self._logs.lost.get(one, (0, 0))
        start, end = max(run.start, low), min(run.end, high)
        if start < end:
            self._coverages[run.partition].lose(start, end, place_of(record))

    def _count(self, record: Any, outcome: Outcome, reading: Reading) -> None:
        """Give an outcome to its source's partition; one that nothing can stand at is misplaced."""
        coverage = self._coverages.get(outcome.partition)
        if coverage is None:
            if len(self._coverages) == 1 and outcome.place.partition in self._coverages:
                self._note("misplaced", record, "it stands in another partition than its source", reading)
            elif len(self._coverages) > 1:
                self._note("misplaced", record, "its source's partition does not exist", reading)
        elif outcome.offset >= self._ends[outcome.partition] or outcome.offset < 0:
            self._note("misplaced", record, "there is no record at its source", reading)
        else:
            coverage.outcome(outcome)

    def _note(self, kind: str, record: Any, reason: str, reading: Reading) -> None:
        self._faults[kind].append(fault(place_of(record), reason, reading.source))

    async def settle(self) -> None:
        """Look up what is unclear, and settle it."""
        for one, (first, end) in self._logs.messages.items():
            coverage = self._coverages[one.partition]
            wanted = coverage.wanted()
            found: dict[int, Input | None] = {offset: GONE for offset in wanted if offset < first}
            found |= await self._look_up(one, [offset for offset in wanted if offset >= first], end)
            coverage.finish(found)

    async def _look_up(self, one: TopicPartition, wanted: list[int], end: int) -> dict[int, Input | None]:
        """Read single messages again."""
        found: dict[int, Input | None] = {}
        self._consumer.assign([one])
        for group in _near(wanted):
            self._consumer.seek(one, group[0])
            missing = set(group)
            async for record in kafka.read(
                self._consumer, one, min(end, group[-1] + 1), self._settings.kafka_timeout_s
            ):
                if record.offset in missing:
                    found[record.offset] = input_of(record)
        return found

    def report(self, elapsed_s: float) -> Report:
        """Put everything together."""
        parts = [
            Part(
                coverage=self._coverages[one.partition],
                first=first,
                committed=self._logs.committed.get(one.partition),
                working=self._logs.working,
            )
            for one, (first, _) in self._logs.messages.items()
        ]
        return report(
            self._messages, parts, self._faults["misplaced"], self._faults["altered"], self._records, elapsed_s
        )


def _near(wanted: list[int]) -> Iterator[list[int]]:
    """Cut rising offsets into groups that are worth reading in one go."""
    group: list[int] = []
    for offset in wanted:
        if group and offset - group[-1] > _SEEK_GAP:
            yield group
            group = []
        group.append(offset)
    if group:
        yield group
