"""What stands at the other ends of the worker: sending messages, and following their outcomes.

For our own commands and measurements; a platform uses its own Kafka client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Final

from aiokafka import ConsumerRecord
from aiokafka.structs import RecordMetadata
from msgspec import Struct

from worker import kafka
from worker.config import Settings
from worker.errors import DecodeError
from worker.kafka_errors import translated
from worker.records import Message, Trace, Verdict, decode, encode, or_none

#: Records that are sent and not acknowledged yet.
MAX_UNACKNOWLEDGED: Final = 1000

#: Where a record stands in its topic: (partition, offset).
Place = tuple[int, int]


class Outgoing(Struct, frozen=True):
    """A record on its way to ``messages``."""

    key: bytes | None
    value: bytes


class DeadLetter(Struct, frozen=True, kw_only=True):
    """What a dead letter's headers say: where the record stood, and what is wrong with it."""

    place: Place
    topic: str
    stage: str
    error: str
    detail: str


def message_key(message: Message) -> bytes:
    """Return the key that keeps a conversation in one partition; a message without one goes by its own id."""
    return f"{message.tenant_id}/{or_none(message.conversation_id) or message.message_id}".encode()


def outgoing(message: Message) -> Outgoing:
    """Encode a message together with its key."""
    return Outgoing(message_key(message), encode(message))


async def send_all(
    settings: Settings, rows: AsyncIterable[Outgoing], *, limit: int = MAX_UNACKNOWLEDGED
) -> AsyncIterator[Place]:
    """Send rows to ``messages`` and yield where each one stands, in the order of the rows.

    At most ``limit`` rows wait for their acknowledgement; the source is read no faster than that.

    Raises:
        BrokerAway: nobody answers.
        TopicMissing: there is no such topic.
        PublishFailed: a row was refused or not acknowledged in time.
        OutputTooLarge: a row is above the topic's limit.

    """
    async with kafka.writer(settings) as producer:
        waiting: deque[asyncio.Future[RecordMetadata]] = deque()
        topic = settings.topic("messages")
        async for row in rows:
            with translated(f"sending to {topic}", sending=True):
                async with asyncio.timeout(settings.kafka_timeout_s):
                    waiting.append(await producer.send(topic, value=row.value, key=row.key))
            while len(waiting) >= limit or (waiting and waiting[0].done()):
                yield await _acknowledged(waiting.popleft(), topic, settings)
        while waiting:
            yield await _acknowledged(waiting.popleft(), topic, settings)


async def _acknowledged(future: asyncio.Future[RecordMetadata], topic: str, settings: Settings) -> Place:
    with translated(f"sending to {topic}", sending=True):
        async with asyncio.timeout(settings.kafka_timeout_s):
            metadata = await future
    return metadata.partition, metadata.offset


async def each(rows: Iterable[Outgoing]) -> AsyncIterator[Outgoing]:
    """Make rows that are at hand into what ``send_all`` takes."""
    for row in rows:
        yield row


class Follower:
    """Read topics from where they ended when it started, or all of them. It joins no group and commits nothing."""

    def __init__(self, settings: Settings, topics: Iterable[str], *, from_start: bool = False) -> None:
        """Take the short names of the topics; nothing connects yet."""
        self._settings = settings
        self._from_start = from_start
        self._topics = tuple(settings.topic(name) for name in topics)
        self._consumer: Any = None

    async def start(self) -> None:
        """Connect, and stand where reading begins.

        Raises:
            BrokerAway: nobody answers.
            TopicMissing: a topic does not exist.

        """
        self._consumer = kafka.make_consumer(self._settings)
        await kafka.start(self._consumer, self._settings)
        partitions = [part for topic in self._topics for part in await kafka.partitions_of(self._consumer, topic)]
        self._consumer.assign(partitions)
        for partition, (first, end) in (await kafka.bounds(self._consumer, partitions)).items():
            self._consumer.seek(partition, first if self._from_start else end)

    async def poll(self, timeout_s: float = 0.2) -> list[ConsumerRecord]:
        """Return what has come, waiting at most ``timeout_s`` for the first record.

        Raises:
            BrokerAway: nobody answers.

        """
        with translated(f"reading {', '.join(self._topics)}"):
            batches = await self._consumer.getmany(timeout_ms=round(timeout_s * 1000))
        return [record for batch in batches.values() for record in batch]

    async def stop(self) -> None:
        """Disconnect. Safe to call twice."""
        if self._consumer is not None:
            await kafka.close(self._consumer)


async def places_in(settings: Settings, topic: str) -> set[Place]:
    """Return every place that a topic holds now.

    Raises:
        BrokerAway: nobody answers.
        TopicMissing: there is no such topic.

    """
    async with kafka.reader(settings) as consumer:
        partitions = await kafka.partitions_of(consumer, settings.topic(topic))
        bounds = await kafka.bounds(consumer, partitions)
    return {(part.partition, offset) for part, (first, end) in bounds.items() for offset in range(first, end)}


def read_verdict(record: ConsumerRecord) -> Verdict:
    """Decode a record of ``verdicts``.

    Raises:
        DecodeError: it is no verdict.

    """
    return decode(record.value or b"", Verdict, DecodeError)


def read_trace(record: ConsumerRecord) -> Trace:
    """Decode a record of ``traces``.

    Raises:
        DecodeError: it is no trace.

    """
    return decode(record.value or b"", Trace, DecodeError)


def read_dead_letter(record: ConsumerRecord) -> DeadLetter:
    """Read the headers of a record of ``dead-letters``; the last of a name counts.

    Raises:
        DecodeError: a header is missing or is no number.

    """
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    try:
        return DeadLetter(
            place=(int(headers["source_partition"]), int(headers["source_offset"])),
            topic=headers["source_topic"],
            stage=headers["stage"],
            error=headers["error"],
            detail=headers["error_detail"],
        )
    except (KeyError, ValueError):
        field, expected = "headers", "those of a dead letter"
        raise DecodeError(field, expected) from None


def place_of(verdict: Verdict) -> Place:
    """Return where the message of a live verdict stands."""
    assert verdict.source.partition is not None
    assert verdict.source.offset is not None
    return verdict.source.partition, verdict.source.offset
