"""The two ends of a replayed message: its original verdict, and what the run has published of it already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, get_args

import msgspec
from aiokafka import TopicPartition
from msgspec import UNSET, Struct, UnsetType

from worker import kafka
from worker.config import Settings
from worker.decoding import UNREADABLE
from worker.records import Label, Mode, PolicyRef, Rung, Source
from worker.replay_records import ReplayRange

_RUNGS: Final[tuple[Rung, ...]] = get_args(Rung)
#: What is added to a run's id for its A/A control.
CONTROL_SUFFIX: Final = "~control"
#: Verdicts held before the ones that nobody asked for are looked for.
_SOME: Final = 10_000


def control_id(run_id: str) -> str:
    """Return the ``run_id`` of the second judgements of a run; no run has such a name of its own."""
    return run_id + CONTROL_SUFFIX


class _Hit(Struct, frozen=True):
    """The fields of a cited category that a filter needs."""

    id: str
    hit: bool


class Original(Struct, frozen=True, kw_only=True):
    """The fields of an original verdict that a replay needs; decoding only these is cheap."""

    message_id: str
    mode: Mode
    run_id: str | None
    label: Label | None
    categories: tuple[_Hit, ...]
    policy: PolicyRef
    source: Source
    supersedes: str | UnsetType = UNSET
    degraded: str | UnsetType = UNSET

    @property
    def rung(self) -> Rung | None:
        """The rung of the overload ladder that it was judged at."""
        return next((rung for rung in _RUNGS if rung == self.degraded), None)

    @property
    def hits(self) -> frozenset[str]:
        """Ids of the categories that were hit."""
        return frozenset(item.id for item in self.categories if item.hit)


class _Written(Struct, frozen=True):
    """The fields of an outcome that tell which offset of which run it is of."""

    run_id: str | None
    source: Source


_ORIGINAL: Final = msgspec.json.Decoder(Original)
_WRITTEN: Final = msgspec.json.Decoder(_Written)


def is_original(mode: str, run_id: str | None, supersedes: object, source: Source, topic: str, partition: int) -> bool:
    """Tell whether a verdict is the one that others acted on first: live, of this partition, superseding nothing."""
    live = mode == "live" and run_id is None and not supersedes
    return live and source.topic == topic and source.partition == partition


class Originals:
    """Original verdicts by message, read as far ahead as the messages need.

    Verdicts stand about in the order of their messages, so what is held in memory is about the
    disorder. A message without a verdict makes it read to the end, and hold the rest of the range.
    """

    def __init__(self, settings: Settings, consumer: Any, part: ReplayRange) -> None:
        """Read from ``consumer``, which is used by nobody else and stands nowhere yet."""
        self._topic = settings.topic("messages")
        self._range = part
        self._verdicts = TopicPartition(settings.topic("verdicts"), part.partition)
        self._consumer = consumer
        self._stall_s = settings.kafka_timeout_s
        self._reading: AsyncIterator[Any] | None = None
        self._waiting: dict[tuple[int, int], Original] = {}
        self._most = _SOME
        self._policies: dict[PolicyRef, PolicyRef] = {}

    async def find(self, offset: int, timestamp: int, message_id: str) -> Original | None:
        """Return a message's original verdict, if it stands in the range's part of ``verdicts``.

        Offsets are asked for in rising order, each at most once; what is passed over is forgotten.

        Raises:
            BrokerAway: Kafka stopped answering.

        """
        if self._reading is None:
            self._reading = await self._begin()
        if len(self._waiting) > self._most:
            self._waiting = {key: found for key, found in self._waiting.items() if key[0] >= offset}
            self._most = max(_SOME, 2 * len(self._waiting))
        key = (offset, timestamp)
        while key not in self._waiting:
            read = await anext(self._reading, None)
            if read is None:
                break
            self._hold(read, offset)
        found = self._waiting.pop(key, None)
        # A topic that was made anew uses offsets again, though hardly at the same millisecond.
        return found if found is not None and found.message_id == message_id else None

    async def _begin(self) -> AsyncIterator[Any]:
        self._consumer.assign([self._verdicts])
        bounds = await kafka.bounds(self._consumer, [self._verdicts])
        first, end = bounds[self._verdicts]
        self._consumer.seek(self._verdicts, max(first, min(self._range.verdicts_start, end)))
        return kafka.read(self._consumer, self._verdicts, min(self._range.verdicts_end, end), self._stall_s)

    def _hold(self, record: Any, lowest: int) -> None:
        try:
            found = _ORIGINAL.decode(record.value or b"")
        except UNREADABLE:
            # Not written by a worker, so it is nobody's verdict.
            return
        source, part = found.source, self._range
        if not is_original(found.mode, found.run_id, found.supersedes, source, self._topic, part.partition):
            return
        if source.offset is None or source.timestamp is None or not lowest <= source.offset < part.end:
            return
        # Few policies judge many messages: they share one value.
        policy = self._policies.setdefault(found.policy, found.policy)
        self._waiting.setdefault((source.offset, source.timestamp), msgspec.structs.replace(found, policy=policy))


class Written:
    """Offsets of one range that have an outcome: a bit each, whatever the range's length."""

    def __init__(self, part: ReplayRange) -> None:
        """Start with none."""
        self._start, self._end = part.start, part.end
        self._bits = bytearray((max(0, part.end - part.start) + 7) // 8)
        self._count = 0

    def __contains__(self, offset: int) -> bool:
        """Tell whether an offset has its outcome."""
        place = offset - self._start
        return 0 <= place < self._end - self._start and bool(self._bits[place >> 3] & 1 << (place & 7))

    def __len__(self) -> int:
        """Return how many have."""
        return self._count

    def add(self, offset: int) -> None:
        """Note an outcome; those of other offsets than the range's are none of ours."""
        place = offset - self._start
        if 0 <= place < self._end - self._start and offset not in self:
            self._bits[place >> 3] |= 1 << (place & 7)
            self._count += 1


async def read_written(settings: Settings, consumer: Any, part: ReplayRange, run_id: str) -> tuple[Written, Written]:
    """Read what a run has published of one range: its outcomes, and those of its control.

    Raises:
        BrokerAway: Kafka stopped answering.

    """
    topic = TopicPartition(settings.topic("replay-verdicts"), part.partition)
    consumer.assign([topic])
    first, end = (await kafka.bounds(consumer, [topic]))[topic]
    consumer.seek(topic, max(first, min(part.outputs_start, end)))
    found: dict[str | None, Written] = {run_id: Written(part), control_id(run_id): Written(part)}
    async for record in kafka.read(consumer, topic, end, settings.kafka_timeout_s):
        note_written(found, record)
    return found[run_id], found[control_id(run_id)]


def note_written(found: Mapping[str | None, Written], record: Any) -> None:
    """Note the outcome in a record of ``replay-verdicts``, if it is one of these runs'."""
    try:
        written = _WRITTEN.decode(record.value or b"")
    except UNREADABLE:
        # Not written by a worker, so it is nobody's outcome.
        return
    if written.run_id in found and written.source.offset is not None:
        found[written.run_id].add(written.source.offset)
