"""Reading a topic whole, for what nothing else tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiokafka import ConsumerRecord

from worker import kafka
from worker.config import Settings


async def whole(settings: Settings, name: str) -> AsyncIterator[ConsumerRecord]:
    """Yield what a topic holds now, one partition after the other.

    Raises:
        StreamError: Kafka is away, or the topic is missing.
        ConfigError: this login may not read it.

    """
    async with kafka.reader(settings) as consumer:
        every = await kafka.partitions_of(consumer, settings.topic(name))
        logs: dict[Any, tuple[int, int]] = await kafka.bounds(consumer, every)
        for one, (first, end) in logs.items():
            consumer.assign([one])
            consumer.seek(one, first)
            async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
                yield record
