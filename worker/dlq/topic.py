"""Dead letters from and to Kafka. Nothing here joins a group or commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from worker import kafka
from worker.client import Place
from worker.config import Settings
from worker.dead_letter import redriven_from
from worker.dlq.letters import Letter, letter_of, marked, opened
from worker.dlq.redrive import Resend
from worker.erasure.subject_keys import read_keys
from worker.errors import DecodeError, KeysUnavailable
from worker.kafka_errors import translated


async def letters(settings: Settings) -> list[Letter]:
    """Read every dead letter and where it was sent again.

    ``messages`` is read only from the time of the oldest letter on, and only if there is one.

    Raises:
        BrokerAway: nobody answers.
        TopicMissing: a topic does not exist.

    """
    async with kafka.reader(settings) as consumer:
        found, oldest_ms = [], None
        async for record in _records(consumer, settings, "dead-letters"):
            oldest_ms = min(record.timestamp, oldest_ms or record.timestamp)
            try:
                found.append(letter_of(record))
            except DecodeError:
                continue  # Somebody else's record: nothing that can be shown or sent again.
        redriven: dict[str, Place] = {}
        if found:
            async for record in _records(consumer, settings, "messages", since_ms=oldest_ms):
                if reference := redriven_from(record.headers):
                    redriven.setdefault(reference, (record.partition, record.offset))
    return marked(await _opened(settings, found), redriven)


async def _opened(settings: Settings, found: list[Letter]) -> list[Letter]:
    """Open what is sealed; where keys cannot be read, letters are listed all the same."""
    try:
        keys = await read_keys(settings, {one.sealed for one in found if one.sealed})
    except KeysUnavailable as error:
        return [opened(one, {}, f"sealed: {error}") for one in found]
    return [opened(one, keys) for one in found]


async def _records(
    consumer: Any, settings: Settings, topic: str, since_ms: int | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Yield what a topic holds now, one partition after the other."""
    partitions = await kafka.partitions_of(consumer, settings.topic(topic))
    bounds = await kafka.bounds(consumer, partitions)
    starts = await _starts(consumer, bounds, since_ms)
    for partition, (_, end) in bounds.items():
        consumer.assign([partition])
        consumer.seek(partition, starts[partition])
        async for record in kafka.read(consumer, partition, end, settings.kafka_timeout_s):
            yield record


async def _starts(
    consumer: Any, bounds: dict[TopicPartition, tuple[int, int]], since_ms: int | None
) -> dict[TopicPartition, int]:
    """Return where reading begins: the log's start, or the first record of a time."""
    if since_ms is None:
        return {partition: first for partition, (first, _) in bounds.items()}
    with translated("asking for offsets by time"):
        found = await consumer.offsets_for_times(dict.fromkeys(bounds, since_ms))
    return {part: found[part].offset if found.get(part) else end for part, (_, end) in bounds.items()}


async def send(settings: Settings, rows: Sequence[Resend]) -> list[Place]:
    """Append messages in order, each acknowledged before the next, and return where they stand.

    Raises:
        BrokerAway: nobody answers.
        TopicMissing: there is no messages topic.
        PublishFailed: one was refused; those before it were sent.
        OutputTooLarge: one is above the topic's limit; those before it were sent.

    """
    async with kafka.writer(settings) as producer:
        topic, places = settings.topic("messages"), []
        for row in rows:
            sent = await kafka.send(
                producer,
                topic,
                row.value,
                key=row.letter.key,
                headers=row.headers,
                timeout_s=settings.kafka_timeout_s,
            )
            places.append((sent.partition, sent.offset))
    return places
