"""Single records of ``messages``, read again by their offsets through a consumer without a group.

What comes back is mostly what was deferred in a row, so each partition keeps its place between two
reads: aiokafka's buffer of it stays useful, and hardly anything is fetched twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from aiokafka import TopicPartition

from worker import kafka
from worker.config import Settings
from worker.errors import BrokerAway, OffsetGone
from worker.kafka_errors import translated

#: Reading over so many records of others is cheaper than asking for another place.
_LARGEST_HOLE: Final = 1000
_WAIT_MS: Final = 250

#: Partition and offset.
At = tuple[int, int]


class Reader:
    """A consumer that goes back to offsets that were read before."""

    def __init__(self, consumer: Any, settings: Settings) -> None:
        """Take a connected consumer without a group; ``connect`` makes one."""
        self._consumer = consumer
        self._topic = settings.topic("messages")
        self._patience_s = settings.kafka_timeout_s
        # Where each partition is read from next; -1 before it was read at all.
        self._places: dict[int, int] = {}

    @classmethod
    async def connect(cls, settings: Settings) -> Self:
        """Connect.

        Raises:
            BrokerAway: nobody answers.

        """
        consumer = kafka.make_consumer(settings)
        await kafka.start(consumer, settings)
        return cls(consumer, settings)

    async def close(self) -> None:
        """Disconnect."""
        await kafka.close(self._consumer, timeout_s=1.0)

    async def read(self, wanted: Mapping[int, Iterable[int]]) -> dict[At, Any]:
        """Return the records at these offsets of these partitions; those that are gone are left out.

        Raises:
            BrokerAway: Kafka stopped answering.
            StreamError: the log cannot be read there.

        """
        left = {partition: sorted(offsets) for partition, offsets in wanted.items()}
        self.cover(left)
        twins = [self._twin(partition) for partition in left]
        self._consumer.resume(*twins)
        found: dict[At, Any] = {}
        moved_s = time.monotonic()
        while left:
            came = 0
            for partition in list(left):
                came += await self._take(partition, left, found)
            if not came and left:
                # One record only: how far each partition may be read differs.
                came = await self._read(list(left), 1, _WAIT_MS, left, found)
            if came:
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > self._patience_s:
                text = f"{self._topic} could not be read again; is Kafka running?"
                raise BrokerAway(text)
        # What is fetched stays for the next time; nothing more is fetched until then.
        self._consumer.pause(*twins)
        return found

    def _twin(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    def cover(self, partitions: Iterable[int]) -> None:
        """Add partitions; that forgets what was fetched of all of them, so it is better done at once."""
        wanted = self._places.keys() | set(partitions)
        if wanted == self._places.keys():
            return
        self._places = dict.fromkeys(wanted, -1)
        twins = [self._twin(partition) for partition in self._places]
        self._consumer.assign(twins)
        for twin in twins:
            self._consumer.seek(twin, 0)
        self._consumer.pause(*twins)

    async def _take(self, partition: int, left: dict[int, list[int]], found: dict[At, Any]) -> int:
        """Read what is there of one partition, up to the last offset in reach; return how many records came."""
        limit = self._aim(partition, left[partition])
        return await self._read([partition], limit, 0, left, found)

    async def _read(
        self, partitions: list[int], limit: int, timeout_ms: int, left: dict[int, list[int]], found: dict[At, Any]
    ) -> int:
        """Read once; where retention took what was asked for, go on behind it. Returns above 0 where it moved on."""
        try:
            return await self._poll(partitions, limit, timeout_ms, left, found)
        except OffsetGone:
            logs = await kafka.bounds(self._consumer, [self._twin(partition) for partition in partitions])
            # It may be of a place that was left meanwhile: then there is nothing to do but to read again.
            for twin, (first, _) in logs.items():
                if self._places[twin.partition] < first:
                    self._move(twin.partition, first)
            _forget_passed(left, self._places, partitions)
            return 1

    async def _poll(
        self, partitions: list[int], limit: int, timeout_ms: int, left: dict[int, list[int]], found: dict[At, Any]
    ) -> int:
        """Read once; offsets that the places have passed are no longer left, whether they were found or are gone."""
        twins = [self._twin(partition) for partition in partitions]
        with translated(f"reading {self._topic} again"):
            batches = await self._consumer.getmany(*twins, timeout_ms=timeout_ms, max_records=limit)
            for twin in twins:
                self._places[twin.partition] = await self._consumer.position(twin)
        for twin, records in batches.items():
            among = set(left[twin.partition])
            found |= {(twin.partition, record.offset): record for record in records if record.offset in among}
        _forget_passed(left, self._places, partitions)
        return sum(map(len, batches.values()))

    def _move(self, partition: int, offset: int) -> None:
        self._places[partition] = offset
        self._consumer.seek(self._twin(partition), offset)

    def _aim(self, partition: int, offsets: list[int]) -> int:
        """Go to the first offset unless it is near; return how many offsets lie up to the last one in reach."""
        if not 0 <= offsets[0] - self._places[partition] <= _LARGEST_HOLE:
            self._move(partition, offsets[0])
        reach = place = self._places[partition]
        for offset in offsets:
            if offset - reach > _LARGEST_HOLE:
                break
            reach = offset
        return reach + 1 - place


def _forget_passed(left: dict[int, list[int]], places: Mapping[int, int], partitions: Iterable[int]) -> None:
    """Drop what was passed, of the partitions just read: another one's place may be of an earlier read."""
    for partition in partitions:
        left[partition] = [offset for offset in left[partition] if offset >= places[partition]]
        if not left[partition]:
            del left[partition]
