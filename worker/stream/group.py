"""Membership in the group: joining, opening what is assigned, giving back what is revoked.

Two things that aiokafka does decide the shape of this file (both seen). No heartbeat is sent while
``on_partitions_assigned`` runs, and what a listener raises is only logged: so the listener pauses,
starts a task and returns, and errors go the way of ``spawn``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener, TopicPartition

from worker import kafka
from worker.backoff import Backoff
from worker.credentials import absent_text
from worker.errors import BrokerAway, TopicMissing
from worker.stream.cluster import Cluster, missing, twinless
from worker.stream.gaps import Gaps
from worker.stream.opening import Opener, Opening
from worker.stream.state import State
from worker.stream.tasks import spawn

logger: Final = logging.getLogger(__name__)
#: Our own checks watch over intake, so that aiokafka has no reason to leave the group over a long pause.
_MAX_POLL_INTERVAL_MS: Final = 24 * 3600 * 1000


class Group(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """This worker's place in the group.

    Attributes:
        consumer: the member; none while not connected.
        open: partitions that may be read.
        halted: partitions that must not be read, and why.
        joined: set once partitions are assigned and open.

    """

    def __init__(
        self,
        state: State,
        cluster: Cluster,
        opener: Opener,
        gaps: Gaps,
        release: Callable[[bool], Coroutine[Any, Any, None]],
    ) -> None:
        """Connect nothing yet.

        Args:
            state: settings and books.
            cluster: knows the topics.
            opener: finds out where partitions start.
            gaps: declares what is lost.
            release: gives all partitions back; its argument is true where they are lost already.

        """
        self._settings = state.settings
        self._cluster = cluster
        self._opener = opener
        self._gaps = gaps
        self._ledger = state.ledger
        self._metrics = state.metrics
        self._release = release
        self._fail = state.fail
        self._guard = state.guard
        self._topic = state.settings.topic("messages")
        self._opening: asyncio.Task[None] | None = None
        self.consumer: Any = None
        self.open: set[int] = set()
        self.halted: dict[int, str] = {}
        self.joined = asyncio.Event()

    async def join(self) -> None:
        """Connect and wait for the first assignment.

        Raises:
            BrokerAway: nobody answers, or the group does not settle.
            TopicMissing: a topic that the data plane needs is not there; none is ever created here.
            ConfigError: address or credentials cannot be used.

        """
        absent = missing(self._settings, await self._cluster.partition_counts())
        if absent:
            raise TopicMissing(absent_text(absent[0]))
        consumer = kafka.make_consumer(
            self._settings, group_id=self._settings.group_id, max_poll_interval_ms=_MAX_POLL_INTERVAL_MS
        )
        consumer.subscribe([self._topic], listener=self)
        self.consumer = consumer
        # A member that died holds the group up until its session ends.
        patience_s = self._settings.rebalance_timeout_s + self._settings.kafka_timeout_s
        await kafka.start(consumer, self._settings, timeout_s=patience_s)
        kafka.on_heartbeat(consumer, self._guard.heard)

    async def leave(self, timeout_s: float) -> None:
        """Leave the group and disconnect."""
        self._stop_opening()
        self.open.clear()
        self.joined.clear()
        self._guard.left()
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            await kafka.close(consumer, timeout_s)

    async def quit(self, timeout_s: float, *, lost: bool) -> None:
        """Give everything back and leave, to join anew; ``lost`` where others may own the partitions already."""
        self._stop_opening()
        self.open.clear()
        await self._release(lost or self.consumer is None or not kafka.is_member(self.consumer))
        await self.leave(timeout_s)

    def halt(self, partition: int, reason: str) -> None:
        """Stop reading a partition until it is assigned anew; its watermark stays."""
        if self.halted.get(partition) != reason:
            logger.error("partition %d is halted: %s", partition, reason)
        if partition in self.open:
            # Nobody asks for it any more: nothing more is fetched of it.
            self.consumer.pause(TopicPartition(self._topic, partition))
        self.open.discard(partition)
        self.halted[partition] = reason
        self._metrics.halted_partitions.set(len(self.halted))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Give everything back; aiokafka revokes all partitions at once. Heartbeats go on meanwhile."""
        self._stop_opening()
        self.open.clear()
        self.joined.clear()
        lost = self.consumer is None or not kafka.is_member(self.consumer)
        logger.info("partitions %s revoked%s", sorted(tp.partition for tp in revoked), ", lost already" if lost else "")
        await asyncio.wait([spawn(self._release(lost), self._fail)])
        # No heartbeat is sent while the group is joined.
        self._guard.left()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Pause, and open in a task: read-back takes long, and no heartbeat is sent in here."""
        if self.consumer is None:
            # The group settled while this worker was leaving it.
            return
        self.consumer.pause(*assigned)
        self._guard.joined()
        self._metrics.rebalances.inc()
        self.halted.clear()
        self._metrics.halted_partitions.set(0)
        partitions = {tp.partition for tp in assigned}
        logger.info("partitions %s assigned", sorted(partitions))
        self._stop_opening()
        self._opening = spawn(self._open(self.consumer, partitions), self._fail)

    def _stop_opening(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    async def _open(self, consumer: Any, partitions: set[int]) -> None:
        """Open partitions, however long Kafka stays away."""
        waiting = set(partitions)
        backoff = Backoff()
        while True:
            try:
                counts = await self._cluster.partition_counts()
                lacking = {number: twinless(self._settings, counts, number) for number in waiting}
                ready = {number for number, topic in lacking.items() if topic is None}
                for opening in await self._opener.open(ready) if ready else ():
                    self._start(consumer, opening)
            except (BrokerAway, TopicMissing) as error:
                logger.warning("partitions %s cannot be opened yet: %s", sorted(waiting), error)
                await backoff.wait()
                continue
            waiting -= ready
            self.joined.set()
            if not waiting:
                return
            for number in waiting:
                self.halt(number, f"{lacking[number]} has no such partition; run 'rsafe topics create --partitions N'")
            await backoff.wait()

    def _start(self, consumer: Any, opening: Opening) -> None:
        """Let a partition be read."""
        partition = TopicPartition(self._topic, opening.partition)
        found = opening.found
        ledger = self._ledger.open(
            opening.partition,
            start=opening.start,
            bounds=found.bounds,
            ends=found.ends,
            published=found.published,
            suspects=opening.suspects,
        )
        self._gaps.declare(ledger, opening.gaps)
        consumer.seek(partition, opening.reads_from)
        consumer.resume(partition)
        self.halted.pop(opening.partition, None)
        self._metrics.halted_partitions.set(len(self.halted))
        self.open.add(opening.partition)
        logger.info(
            "partition %d opened at %d, %d outcomes read back",
            *(opening.partition, opening.reads_from, len(found.published)),
        )
