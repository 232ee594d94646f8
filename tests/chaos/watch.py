"""The topics from outside: outcomes as they come in, the group's members, and everything raw at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from worker import kafka
from worker.config import Settings
from worker.policy.acks import member_names

Place = tuple[int, int]


class Watch:
    """Follows ``verdicts`` and ``dead-letters``; the broker may come and go.

    Attributes:
        places: partition and offset of each message that has an outcome.

    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        """Connect with ``async with``."""
        self.places: set[Place] = set()
        self._letters = settings.topic("dead-letters")
        self._twins = [
            TopicPartition(topic, number)
            for topic in (settings.topic("verdicts"), self._letters)
            for number in range(partitions)
        ]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest", request_timeout_ms=5000
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Follow from now on."""
        await self._consumer.start()
        self._consumer.assign(self._twins)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await kafka.close(self._consumer)

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(KafkaError):
                batches = await self._consumer.getmany(timeout_ms=100)
                for twin, records in batches.items():
                    letters = twin.topic == self._letters
                    found = [one for one in records if not letters or is_of_message(one)]
                    self.places |= {place_of(one, letter=letters) for one in found}
            await asyncio.sleep(0.02)


def is_of_message(letter: ConsumerRecord) -> bool:
    """Tell whether a dead letter is of a message; refused policies leave some too."""
    return bool(dict(letter.headers)["source_topic"].endswith(b".messages"))


def place_of(record: ConsumerRecord, *, letter: bool) -> Place:
    """Return partition and offset of the message that an outcome is about."""
    if letter:
        headers = dict(record.headers)
        return int(headers["source_partition"]), int(headers["source_offset"])
    source = json.loads(record.value)["source"]
    return source["partition"], source["offset"]


async def members(settings: Settings) -> list[str]:
    """Return the name of each member of the workers' group.

    Raises:
        TimeoutError, KafkaError: the broker did not answer.

    """
    admin = kafka.make_admin(settings)
    try:
        async with asyncio.timeout(30):
            await admin.start()
            answers = await admin.describe_consumer_groups([settings.group_id])
        return [name for answer in answers for name in member_names(answer.to_object())]
    finally:
        await kafka.close(admin, 1.0)


async def read_raw(settings: Settings, name: str) -> list[ConsumerRecord]:
    """Return every record of a topic up to its end now, uncommitted ones included."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, isolation_level="read_uncommitted")
    await consumer.start()
    try:
        twins = await kafka.partitions_of(consumer, settings.topic(name))
        consumer.assign(twins)
        found: list[ConsumerRecord] = []
        for twin, (first, end) in (await kafka.bounds(consumer, twins)).items():
            consumer.seek(twin, first)
            found += [record async for record in kafka.read(consumer, twin, end, settings.kafka_timeout_s)]
        return found
    finally:
        await kafka.close(consumer)
