"""Where a newly assigned partition starts: commit, gap, read-back."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Final

from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.config import Settings
from worker.stream.cluster import Cluster
from worker.stream.gaps import Span, uncovered
from worker.stream.ledger import Bounds, CommitPoint, Suspect, read_metadata, read_suspects
from worker.stream.readback import Found, read_back

logger: Final = logging.getLogger(__name__)


class Opening(Struct, frozen=True, kw_only=True):
    """A partition that is ready to be read.

    Attributes:
        partition: its number.
        start: the lowest offset without an outcome: where the ledger begins.
        reads_from: the first offset to read; above ``start`` where retention took what lies between.
        gaps: the runs between the two that nobody has spoken for.
        found: what of it is published.

    """

    partition: int
    start: int
    reads_from: int
    gaps: tuple[Span, ...]
    found: Found
    suspects: tuple[Suspect, ...] = ()


class Opener:
    """Finds out where partitions start."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        """Connect nothing yet."""
        self._settings = settings
        self._cluster = cluster

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
                key.partition: _start(key.partition, commits.get(key.partition), *log) for key, log in logs.items()
            }
            found = await read_back(consumer, self._settings, wanted)
        return [
            _opening(key.partition, wanted[key.partition][0], logs[key][0], found[key.partition], commits)
            for key in sorted(logs, key=lambda one: one.partition)
        ]


def _start(partition: int, commit: CommitPoint | None, first: int, end: int) -> tuple[int, Bounds | None]:
    """Return the lowest offset without an outcome and the bounds for the read-back (none: from the logs' start)."""
    if commit is None:
        return first, None
    if commit.offset > end:
        logger.error(
            "partition %d: offset %d is committed but the log ends at %d; was the topic made anew? starting at %d",
            *(partition, commit.offset, end, first),
        )
        return first, None
    return commit.offset, read_metadata(commit.metadata)


def _opening(
    partition: int, committed: int, first: int, found: Found, commits: Mapping[int, CommitPoint] | None = None
) -> Opening:
    """Say where to begin; what retention took and an earlier owner has published or declared is no gap."""
    taken = [*((offset, offset + 1) for offset, _ in found.published), *found.lost]
    gaps = tuple(uncovered((committed, first), taken)) if committed < first else ()
    reads_from = max(committed, first)
    start = gaps[0][0] if gaps else reads_from
    commit = (commits or {}).get(partition)
    suspects = () if commit is None else read_suspects(commit.metadata)
    return Opening(partition=partition, start=start, reads_from=reads_from, gaps=gaps, found=found, suspects=suspects)
