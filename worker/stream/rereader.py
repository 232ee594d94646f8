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
from worker.errors import BrokerAway, CorruptPartition, OffsetGone, StreamError
from worker.kafka_errors import translated

#: Reading over so many records of others is cheaper than asking for another place.
_LARGEST_HOLE: Final = 1000
_WAIT_MS: Final = 250
#: A partition of which nothing comes for so long is left out: its leader may be away, and others wait.
_SILENT_S: Final = 2.0

#: Partition and offset.
At = tuple[int, int]


class Reread:
    """What a read brings.

    Attributes:
        records: what was found, by partition and offset.
        failed: partitions that could not be read to the end, and why.
        left: offsets that are still to be read, by partition.
        doubted: partitions with a batch that could not be read: one by one from there on, up to the batch itself.

    """

    __slots__ = ("doubted", "failed", "left", "records")

    def __init__(self, left: dict[int, list[int]]) -> None:
        """Begin with rising offsets by partition."""
        self.left = left
        self.records: dict[At, Any] = {}
        self.failed: dict[int, StreamError] = {}
        self.doubted: set[int] = set()

    def fail(self, partition: int, error: StreamError) -> None:
        """Go without a partition."""
        self.failed[partition] = error
        del self.left[partition]

    def doubt(self, partition: int, error: CorruptPartition) -> None:
        """Note that a batch could not be read: once it may have been the network, a second time it fails."""
        if partition in self.doubted:
            self.fail(partition, error)
        self.doubted.add(partition)

    def forget_passed(self, partition: int, place: int) -> None:
        """Drop offsets before the place, whether they were found or are gone."""
        self.left[partition] = [offset for offset in self.left[partition] if offset >= place]
        if not self.left[partition]:
            del self.left[partition]


class Reader:
    """A consumer that goes back to offsets that were read before."""

    def __init__(self, consumer: Any, settings: Settings) -> None:
        """Take a connected consumer without a group; ``connect`` makes one."""
        self._consumer = consumer
        self._topic = settings.topic("messages")
        self._patience_s = settings.kafka_timeout_s
        # Where each partition is read from next; -1 before it was read at all.
        self._places: dict[int, int] = {}
        # For how long nothing at all came, over several reads.
        self._silent_s = 0.0

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

    async def read(self, wanted: Mapping[int, Iterable[int]]) -> Reread:
        """Return the records at these offsets of these partitions; those that are gone are left out.

        A partition that cannot be read, or of which nothing comes, does not keep the others back.

        Raises:
            BrokerAway: Kafka stopped answering.
            StreamError: nothing can be read.

        """
        reread = Reread({partition: sorted(offsets) for partition, offsets in wanted.items()})
        left = reread.left
        self.cover(left)
        twins = [self._twin(partition) for partition in left]
        self._consumer.resume(*twins)
        moved_s = time.monotonic()
        while left:
            came = sum([await self._try(partition, 0, reread) for partition in list(left)])
            if not came and left:
                # One partition by itself, or an error could be any one's. The others have their turn soon.
                came = await self._try(next(iter(left)), _WAIT_MS // len(left), reread)
            if came:
                moved_s = time.monotonic()
                self._silent_s = 0.0
            elif (silent_s := time.monotonic() - moved_s) > _SILENT_S:
                self._give_up(reread, silent_s)
        # What is fetched stays for the next time; nothing more is fetched until then.
        self._consumer.pause(*twins)
        return reread

    def _give_up(self, reread: Reread, silent_s: float) -> None:
        """Go without the partitions of which nothing comes.

        Raises:
            BrokerAway: nothing has come of any for long.

        """
        text = f"{self._topic} could not be read again; is Kafka running?"
        self._silent_s += silent_s
        if not reread.records and self._silent_s > self._patience_s:
            raise BrokerAway(text)
        for partition in list(reread.left):
            reread.fail(partition, BrokerAway(text))

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

    async def _try(self, partition: int, timeout_ms: int, reread: Reread) -> int:
        """Read once of one partition, where retention took what was asked for behind it; above 0 where it moved on."""
        try:
            return await self._poll(partition, timeout_ms, reread)
        except OffsetGone:
            twin = self._twin(partition)
            first, end = (await kafka.bounds(self._consumer, [twin]))[twin]
            if self._places[partition] > end:
                text = f"the log ends at {end}, before what was read; was the topic made anew?"
                reread.fail(partition, CorruptPartition(text))
                return 1
            # It may be of a place that was left meanwhile: then there is nothing to do but to read again.
            if self._places[partition] < first:
                self._move(partition, first)
            reread.forget_passed(partition, self._places[partition])
        except CorruptPartition as error:
            # The client has dropped what it had unpacked before the batch.
            self._move(partition, reread.left[partition][0])
            reread.doubt(partition, error)
        return 1

    async def _poll(self, partition: int, timeout_ms: int, reread: Reread) -> int:
        """Read up to the last offset in reach; offsets that the place has passed are no longer left."""
        twin, offsets = self._twin(partition), reread.left[partition]
        reach = self._aim(partition, offsets)
        limit = 1 if partition in reread.doubted else reach
        with translated(f"reading {self._topic} again"):
            batches = await self._consumer.getmany(twin, timeout_ms=timeout_ms, max_records=limit)
            self._places[partition] = await self._consumer.position(twin)
        among, records = set(offsets), batches.get(twin, [])
        reread.records |= {(partition, record.offset): record for record in records if record.offset in among}
        reread.forget_passed(partition, self._places[partition])
        return len(records)

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
