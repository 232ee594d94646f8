"""Records from ``messages`` into the ledger and the pipeline, a fair share from each partition.

``getmany`` hands out partitions in the order in which they were fetched, so each is asked by itself;
it is never cancelled, which would leave aiokafka's fetch count wrong for good (both seen). Intake waits
by not asking: then aiokafka holds one fetch for each partition and asks for no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from aiokafka import TopicPartition

from worker import kafka
from worker.backoff import Backoff
from worker.errors import BrokerAway, CorruptPartition, DecodeError, OffsetGone, OwnershipLost, TopicMissing
from worker.kafka_errors import translated
from worker.records import decode_message
from worker.stream.gaps import Gaps
from worker.stream.group import Group
from worker.stream.ledger import PartitionLedger, Published
from worker.stream.pipeline import Pipeline
from worker.stream.state import State

logger: Final = logging.getLogger(__name__)
#: Records from one partition before the next has its turn.
_TURN_RECORDS: Final = 200
#: After an unreadable batch so many records are read one by one; it may have been the network.
_CAREFUL_RECORDS: Final = 5000
_WAIT_MS: Final = 100
_LEAVE_S: Final = 5.0


class Intake:
    """Reads what the group opened.

    Attributes:
        trouble: why nothing can be read; none while all is well.

    """

    def __init__(
        self, state: State, group: Group, gaps: Gaps, pipeline: Pipeline, waits_for: Callable[[], str | None]
    ) -> None:
        """Connect nothing yet.

        Args:
            state: settings and books.
            group: says which partitions may be read.
            gaps: declares what is lost.
            pipeline: takes the records.
            waits_for: why nothing may be read now, or none.

        """
        self._state = state
        self._topic = state.settings.topic("messages")
        self._group = group
        self._gaps = gaps
        self._ledger = state.ledger
        self._pipeline = pipeline
        self._buffer = state.buffer
        self._metrics = state.metrics
        self._waits_for = waits_for
        self._stopping = False
        # Partitions with an unreadable batch ahead: so many records are read one by one, up to the batch itself.
        self._careful: dict[int, int] = {}
        self.trouble: str | None = "not joined yet"

    def stop(self) -> None:
        """Read no more."""
        self._stopping = True
        self._group.open.clear()

    async def run(self) -> None:
        """Join and read until stopped; join again when the member is beyond repair.

        Raises:
            ConfigError: Kafka refuses this worker.

        """
        backoff = Backoff()
        while not self._stopping:
            try:
                self._state.stalled.clear()
                await self._group.join()
                self.trouble = None
                backoff.reset()
                await self._read()
            except (BrokerAway, OwnershipLost, TopicMissing) as error:
                self.trouble = str(error)
                logger.warning("intake starts again: %s", error)
                await self._group.quit(_LEAVE_S, lost=self._state.stalled.is_set())
                await backoff.wait()

    async def _read(self) -> None:
        turn = 0
        while not self._stopping:
            if self._state.stalled.is_set():
                text = "this process stood still; the group may have given its partitions away"
                raise OwnershipLost(text)
            if self._full() or self._waits_for() is not None:
                await self._wait_for_room()
                continue
            partitions = [number for number in sorted(self._group.open) if self._limit(number) > 0]
            turn += 1
            came = 0
            for index in range(len(partitions)):
                came += await self._poll([partitions[(turn + index) % len(partitions)]], 0)
                await asyncio.sleep(0)
            if not came:
                await self._wait(partitions)

    def _full(self) -> bool:
        """Tell whether a limit on what is held keeps intake from reading, and count it."""
        limit = "buffer" if self._buffer.full else "lookahead" if self._pipeline.futile else None
        if limit is not None:
            self._metrics.limits_reached.labels(limit).inc()
        return limit is not None

    async def _wait_for_room(self) -> None:
        self._buffer.changed.clear()
        try:
            async with asyncio.timeout(_WAIT_MS / 1000):
                await self._buffer.changed.wait()
        except TimeoutError:
            return

    async def _wait(self, partitions: list[int]) -> None:
        """Wait for records of any partition; surfaces the group's errors where none is open."""
        if not partitions:
            await self._poll([-1], 0)
            await asyncio.sleep(_WAIT_MS / 1000)
        elif not await self._poll(partitions, _WAIT_MS):
            await self._pass_holes(partitions)

    def _limit(self, partition: int) -> int:
        """Return how many records of a partition may be read now."""
        ledger = self._ledger.get(partition)
        if ledger is None:
            return 0
        most = 1 if partition in self._careful else _TURN_RECORDS
        room = ledger.room
        if not room:
            self._metrics.limits_reached.labels("ledger").inc()
        return min(most, self._buffer.room, room)

    async def _poll(self, partitions: list[int], timeout_ms: int) -> int:
        """Read once and return how many records came.

        Raises:
            BrokerAway: the member is beyond repair.
            ConfigError: Kafka refuses this worker.

        """
        limit = min((self._limit(number) for number in partitions if number >= 0), default=1)
        if limit <= 0 or self._group.consumer is None:
            return 0
        wanted = [TopicPartition(self._topic, number) for number in partitions]
        try:
            with translated(f"reading {self._topic}"):
                batches = await self._group.consumer.getmany(*wanted, timeout_ms=timeout_ms, max_records=limit)
        except (CorruptPartition, OffsetGone) as error:
            if len(partitions) > 1:
                return await self._ask_each(partitions)
            await self._unreadable(partitions[0], error)
            return 0
        except (OwnershipLost, TopicMissing) as error:
            logger.info("reading goes on: %s", error)
            return 0
        for partition, records in batches.items():
            self._take_in(partition.partition, records)
        return sum(map(len, batches.values()))

    async def _ask_each(self, partitions: list[int]) -> int:
        """Find out whose error it was. The client has dropped what it had drained of the others, but not gone back."""
        for number in partitions:
            ledger = self._ledger.get(number)
            if ledger is not None and number in self._group.open:
                self._group.consumer.seek(TopicPartition(self._topic, number), ledger.next_offset)
        return sum([await self._poll([number], _WAIT_MS) for number in partitions])

    def _take_in(self, partition: int, records: list[Any]) -> None:
        ledger = self._ledger.get(partition)
        if ledger is None or partition not in self._group.open:
            # Fetched before the partition was opened, or while it is given away: whoever opens it next seeks.
            return
        self._metrics.messages_in.labels(str(partition)).inc(len(records))
        if partition in self._careful:
            self._careful[partition] -= 1
            if not self._careful[partition]:
                del self._careful[partition]
        for record in records:
            if not ledger.register(record.offset):
                continue
            if record.value is None:
                self._metrics.skips.inc()
                ledger.complete(record.offset, None)
            elif not self._is_published(record, ledger):
                self._pipeline.accept(record, ledger)
        self._pipeline.pump()

    def _is_published(self, record: Any, ledger: PartitionLedger) -> bool:
        """Complete an offset whose outcome an earlier owner published."""
        found = ledger.claim(record.offset, record.timestamp)
        if found is None or not _same_message(record, found):
            return False
        self._metrics.read_back.inc()
        return ledger.complete(record.offset, found.place)

    async def _pass_holes(self, partitions: list[int]) -> None:
        """Count offsets without records at the end as seen: transaction markers, compaction."""
        for number in partitions:
            ledger = self._ledger.get(number)
            if ledger is not None and number in self._group.open:
                with contextlib.suppress(OwnershipLost), translated("asking for the position"):
                    ledger.advance(await self._group.consumer.position(TopicPartition(self._topic, number)))

    async def _unreadable(self, partition: int, error: CorruptPartition | OffsetGone) -> None:
        if isinstance(error, OffsetGone):
            await self._jump(partition)
        elif partition in self._careful:
            del self._careful[partition]
            self._group.consumer.pause(TopicPartition(self._topic, partition))
            self._group.halt(partition, str(error))
        else:
            self._careful[partition] = _CAREFUL_RECORDS

    async def _jump(self, partition: int) -> None:
        """Go on where the log begins now: retention took what stood before."""
        twin = TopicPartition(self._topic, partition)
        ledger = self._ledger.get(partition)
        first, end = (await kafka.bounds(self._group.consumer, [twin]))[twin]
        if ledger is None or partition not in self._group.open:
            return
        if ledger.next_offset > end:
            self._group.halt(partition, f"the log ends at {end}, before what was read; was the topic made anew?")
            return
        if ledger.next_offset < first:
            self._gaps.overtaken(ledger, first)
        self._group.consumer.seek(twin, ledger.next_offset)


def _same_message(record: Any, found: Published) -> bool:
    """Tell whether a published outcome is this message's; offset and timestamp agree already."""
    if found.message_id is None:
        return True
    try:
        return decode_message(record.value).message_id == found.message_id
    except DecodeError:
        return False
