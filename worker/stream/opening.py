"""Where a newly assigned partition starts: commit, gap, read-back."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final

from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.config import Settings
from worker.metrics import Metrics
from worker.stream.cluster import Cluster
from worker.stream.ledger import Bounds, CommitPoint, Suspect, read_metadata, read_suspects
from worker.stream.readback import Found, read_back

logger: Final = logging.getLogger(__name__)


class Opening(Struct, frozen=True, kw_only=True):
    """A partition that is ready to be read from ``start``."""

    partition: int
    start: int
    found: Found
    suspects: tuple[Suspect, ...] = ()


class Opener:
    """Finds out where partitions start."""

    def __init__(self, settings: Settings, cluster: Cluster, metrics: Metrics) -> None:
        """Connect nothing yet."""
        self._settings = settings
        self._cluster = cluster
        self._metrics = metrics

    async def open(self, partitions: Collection[int]) -> list[Opening]:
        """Return where each partition starts, and what of it is already published.

        Raises:
            BrokerAway: Kafka stopped answering; it can be tried again.
            TopicMissing: a topic is gone.
            ReadBackFailed: what is published cannot be read.

        """
        commits = await self._cluster.committed(partitions)
        async with kafka.reader(self._settings) as consumer:
            topic = self._settings.topic("messages")
            logs = await kafka.bounds(consumer, [TopicPartition(topic, number) for number in partitions])
            wanted = {
                key.partition: self._start(key.partition, commits.get(key.partition), *log) for key, log in logs.items()
            }
            found = await read_back(consumer, self._settings, wanted)
        return [
            Opening(
                partition=number,
                start=wanted[number][0],
                found=found[number],
                suspects=read_suspects(commits[number].metadata) if number in commits else (),
            )
            for number in sorted(wanted)
        ]

    def _start(self, partition: int, commit: CommitPoint | None, first: int, end: int) -> tuple[int, Bounds | None]:
        """Return the offset to read first and the bounds for the read-back (none: from the logs' start)."""
        if commit is None:
            return first, None
        if commit.offset > end:
            logger.error(
                "partition %d: offset %d is committed but the log ends at %d; was the topic made anew? starting at %d",
                *(partition, commit.offset, end, first),
            )
            return first, None
        if commit.offset < first:
            self.declare_gap(partition, commit.offset, first)
        return max(commit.offset, first), read_metadata(commit.metadata)

    def declare_gap(self, partition: int, offset: int, first: int) -> None:
        """Raise the alarm over offsets that retention took before they were read."""
        logger.error(
            "partition %d: offsets %d to %d are gone; retention was faster than the workers",
            partition,
            offset,
            first - 1,
        )
        self._metrics.gaps.labels(str(partition)).inc(first - offset)
