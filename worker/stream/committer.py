"""Commits the watermarks: at intervals, and when partitions are given away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import TopicPartition

from worker.errors import ConfigError, OwnershipLost, StreamError
from worker.kafka_errors import translated
from worker.stream.group import Group
from worker.stream.ledger import CommitPoint, PartitionLedger
from worker.stream.state import State

logger: Final = logging.getLogger(__name__)


class Committer:
    """Commits what the ledgers allow."""

    def __init__(self, state: State) -> None:
        """Nothing is committed yet."""
        self._settings = state.settings
        self._ledger = state.ledger
        self._metrics = state.metrics
        self._committed: dict[int, tuple[int, CommitPoint]] = {}
        self._committing = asyncio.Lock()
        self.trouble: str | None = None

    async def run(self, group: Group) -> None:
        """Commit at intervals until cancelled."""
        while True:
            await asyncio.sleep(self._settings.commit_interval_s)
            if group.consumer is not None:
                await self.commit(group.consumer, self._settings.kafka_timeout_s)

    async def commit(self, consumer: Any, timeout_s: float) -> None:
        """Commit the open partitions whose point has moved; never raises.

        What fails because Kafka is away is committed the next time, since the ledger keeps it. What
        fails because the partition has another owner is dropped.
        """
        try:
            async with asyncio.timeout(timeout_s), self._committing:
                await self._commit(consumer)
            self.trouble = None
        except (StreamError, ConfigError, TimeoutError) as error:
            name = "BrokerAway" if isinstance(error, TimeoutError) else type(error).__name__
            self._metrics.commit_failures.labels(name).inc()
            if not isinstance(error, OwnershipLost):
                self.trouble = str(error) or f"no answer to a commit for {timeout_s:.0f} s; is Kafka running?"
            logger.warning("commit failed: %s: %s", name, error)

    async def _commit(self, consumer: Any) -> None:
        points = dict(self._moved(self._ledger))
        if not points:
            return
        topic = self._settings.topic("messages")
        offsets = {TopicPartition(topic, ledger.partition): tuple(point) for ledger, point in points.items()}
        # aiokafka tries again without end; the deadline is the caller's.
        with translated("committing"):
            await consumer.commit(offsets)
        for ledger, point in points.items():
            self._committed[ledger.partition] = (ledger.epoch, point)

    def _moved(self, ledgers: Iterable[PartitionLedger]) -> Iterable[tuple[PartitionLedger, CommitPoint]]:
        for ledger in ledgers:
            point = ledger.commit_point()
            if self._committed.get(ledger.partition) != (ledger.epoch, point):
                yield ledger, point
