"""What every measurement stands on: a broker with topics, messages put there, and outputs read back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from worker import credentials, kafka
from worker.broker import Broker, BrokerConfig
from worker.client import each, outgoing, places_in, send_all
from worker.config import Settings
from worker.records import Message
from worker.topics import create_topics

#: Silence after which reading back gives up.
_STALL_S: Final = 30.0


class Rig:
    """A broker of its own; each set of topics has a prefix and a consumer group of its own."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings that all sides are measured under."""
        self._folder = Path(tempfile.mkdtemp(prefix="rsafe-bench-"))
        self._broker = Broker(BrokerConfig(port=0, data_dir=self._folder))
        self._settings = settings

    async def __aenter__(self) -> Self:
        """Start the broker.

        Raises:
            BrokerAway: it did not come up.

        """
        try:
            await self._broker.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the broker and remove its files."""
        await self._close()

    async def _close(self) -> None:
        await self._broker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def topics(self, name: str) -> Settings:
        """Create a fresh set of topics; return the settings that point at it.

        Raises:
            BrokerAway: the broker does not answer.

        """
        settings = msgspec.structs.replace(
            credentials.without(self._settings),
            bootstrap_servers=self._broker.bootstrap_servers,
            topic_prefix=f"{name}.",
            group_id=f"rsafe-bench-{name}",
            instance_id="bench",
        )
        await create_topics(settings.bootstrap_servers, settings.topic_prefix)
        return settings


async def put(settings: Settings, messages: Sequence[Message]) -> None:
    """Write messages, and return when all are acknowledged.

    Raises:
        StreamError: Kafka refused one.

    """
    async for _ in send_all(settings, each(map(outgoing, messages))):
        pass


async def at_end(settings: Settings, topic: str) -> AIOKafkaConsumer:
    """Return a connected consumer without a group that stands at the end of every partition of a topic.

    Raises:
        StreamError: Kafka is away, or the topic is missing.

    """
    return await _assigned(settings, topic, from_start=False)


async def _assigned(settings: Settings, topic: str, *, from_start: bool) -> AIOKafkaConsumer:
    consumer = kafka.make_consumer(settings)
    await kafka.start(consumer, settings)
    partitions = await kafka.partitions_of(consumer, settings.topic(topic))
    consumer.assign(partitions)
    for partition, (first, end) in (await kafka.bounds(consumer, partitions)).items():
        consumer.seek(partition, first if from_start else end)
    return consumer


async def count(settings: Settings, topic: str) -> int:
    """Return how many records a topic holds.

    Raises:
        StreamError: Kafka is away, or the topic is missing.

    """
    return len(await places_in(settings, topic))


async def records(settings: Settings, topic: str, limit: int) -> list[ConsumerRecord]:
    """Read a topic from its start, as far as it goes or ``limit`` records.

    Raises:
        StreamError: Kafka is away, or the topic is missing.

    """
    consumer = await _assigned(settings, topic, from_start=True)
    found: list[ConsumerRecord] = []
    try:
        ends = await kafka.bounds(consumer, consumer.assignment())
        for partition, (_, end) in ends.items():
            found += [record async for record in kafka.read(consumer, partition, end, _STALL_S)]
    finally:
        await kafka.close(consumer)
    return found[:limit]
