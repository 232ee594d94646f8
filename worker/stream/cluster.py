"""What the data plane asks Kafka about beside records: which topics there are, and what was committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from aiokafka import TopicPartition

from worker import kafka
from worker.config import Settings
from worker.errors import BrokerAway
from worker.kafka_errors import translated
from worker.stream.ledger import CommitPoint

#: The topics that the data plane reads and writes.
NEEDED: Final = ("messages", "verdicts", "traces", "dead-letters")
#: Those that it needs beside them with ``erasure = on``.
SEALING: Final = ("subject-keys", "erasures")
#: What the worker can do without.
COMMANDS: Final = "commands"
OUTPUTS: Final = ("verdicts", "traces", "dead-letters")

T = TypeVar("T")


class Cluster:
    """One admin client, made when it is needed and made again when a call fails."""

    def __init__(self, settings: Settings) -> None:
        """Connect nothing yet."""
        self._settings = settings
        self._admin: Any = None
        self._using = asyncio.Lock()

    async def partition_counts(self) -> dict[str, int]:
        """Return every topic's number of partitions. All are asked for: naming a missing one could create it.

        Raises:
            BrokerAway: nobody answers.

        """
        topics = await self._call("listing topics", lambda admin: admin.describe_topics())
        return {topic["topic"]: len(topic["partitions"]) for topic in topics}

    async def committed(
        self, partitions: Iterable[int], *, topic: str = "messages", group_id: str | None = None
    ) -> dict[int, CommitPoint]:
        """Return what a group committed for partitions of a topic; those without a commit are left out.

        A consumer's own ``committed`` drops the metadata. Without ``group_id`` it is the workers' group.

        Raises:
            BrokerAway: nobody answers, or the group has no coordinator yet.

        """
        group = self._settings.group_id if group_id is None else group_id
        wanted = [TopicPartition(self._settings.topic(topic), number) for number in partitions]
        found = await self._call(
            "reading commits", lambda admin: admin.list_consumer_group_offsets(group, partitions=wanted)
        )
        return {key.partition: CommitPoint(at.offset, at.metadata) for key, at in found.items() if at.offset >= 0}

    async def close(self) -> None:
        """Close the client."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await kafka.close(admin, timeout_s=1.0)

    async def _call(self, what: str, ask: Callable[[Any], Awaitable[T]]) -> T:
        async with self._using:
            try:
                if self._admin is None:
                    admin = kafka.make_admin(self._settings)
                    await kafka.start(admin, self._settings)
                    self._admin = admin
                with translated(what):
                    async with asyncio.timeout(self._settings.kafka_timeout_s):
                        return await ask(self._admin)
            except BrokerAway:
                await self.close()
                raise


def missing(settings: Settings, counts: dict[str, int]) -> list[str]:
    """Return the full names of the topics that the data plane needs and that are not there."""
    needed = NEEDED if settings.erasure == "off" else NEEDED + SEALING
    return [name for name in map(settings.topic, needed) if name not in counts]


def twinless(settings: Settings, counts: dict[str, int], partition: int) -> str | None:
    """Return the output topic that lacks this partition of ``messages``, if there is one."""
    return next((name for name in map(settings.topic, OUTPUTS) if counts.get(name, 0) <= partition), None)
