"""The topic ``exceptions``: all of its partitions read as one, and written to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from worker import kafka
from worker.config import Settings
from worker.exceptions.accept import Incoming
from worker.kafka_errors import translated

_CLOSE_S: Final = 2.0
#: How soon a partition that was added is seen: before what is written to it counts.
_METADATA_AGE_MS: Final = 1000


class ExceptionLog:
    """A reader. It belongs to no group and commits nothing; after an error it is closed and replaced."""

    def __init__(self, settings: Settings) -> None:
        """Connect nothing yet."""
        self._settings = settings
        self._topic = settings.topic("exceptions")
        self._consumer: AIOKafkaConsumer = kafka.make_consumer(settings, metadata_max_age_ms=_METADATA_AGE_MS)
        self._partitions: list[TopicPartition] = []
        self._fetched_at_ms: dict[TopicPartition, int | None] = {}

    async def open(self) -> None:
        """Connect and stand at the start.

        Raises:
            BrokerAway: nobody answers.
            TopicMissing: the topic does not exist.

        """
        await kafka.start(self._consumer, self._settings)
        self._partitions = await kafka.partitions_of(self._consumer, self._topic)
        self._consumer.assign(self._partitions)
        for partition, (first, _) in (await kafka.bounds(self._consumer, self._partitions)).items():
            self._consumer.seek(partition, first)

    async def close(self) -> None:
        """Disconnect; safe to call at any time."""
        await kafka.close(self._consumer, _CLOSE_S)

    async def to_end(self) -> list[Incoming]:
        """Return the records from where the last call ended to the logs' ends as they are now.

        Raises:
            BrokerAway: Kafka stopped answering.

        """
        found: list[Incoming] = []
        for partition, (_, end) in (await kafka.bounds(self._consumer, self._partitions)).items():
            log = kafka.read(self._consumer, partition, end, self._settings.kafka_timeout_s)
            found += [incoming(record) async for record in log]
        return found

    async def poll(self) -> list[Incoming]:
        """Return what is new, waiting a moment for it.

        Raises:
            BrokerAway: nobody answers.
            OffsetGone: the topic is not the one that was opened.

        """
        with translated("reading exceptions"):
            batches = await self._consumer.getmany(timeout_ms=kafka.FETCH_WAIT_MS)
        return [incoming(record) for batch in batches.values() for record in batch]

    def answered(self) -> bool:
        """Tell whether Kafka has answered for every partition since this last said so, with records or without."""
        now = {one: self._consumer.last_poll_timestamp(one) for one in self._partitions}
        moved = all(now[one] != self._fetched_at_ms.get(one) for one in self._partitions)
        if moved:
            self._fetched_at_ms = now
        return moved

    def grown(self) -> bool:
        """Tell whether the topic has partitions that are not read."""
        numbers = self._consumer.partitions_for_topic(self._topic) or set()
        return len(numbers) > len(self._partitions)


def incoming(record: ConsumerRecord) -> Incoming:
    """Return a Kafka record as what it is to exceptions."""
    return Incoming(
        key=record.key,
        value=record.value,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        headers=tuple(record.headers),
    )


async def read_records(settings: Settings) -> list[Incoming]:
    """Return every record that the topic holds now.

    Raises:
        BrokerAway: nobody answers.
        TopicMissing: the topic does not exist.

    """
    log = ExceptionLog(settings)
    try:
        await log.open()
        return await log.to_end()
    finally:
        await log.close()


async def publish(
    settings: Settings, key: str, value: bytes | None, partitions: Iterable[int | None] = (None,)
) -> list[Incoming]:
    """Write a record, a tombstone if ``value`` is None, and return it with each of its places.

    Args:
        settings: addresses and prefix.
        key: ``<scope>#<id>``.
        value: the record.
        partitions: where to; None lets the key decide.

    Raises:
        StreamError: Kafka is away, or the topic is missing.

    """
    async with kafka.writer(settings, linger_ms=0) as producer:
        written = []
        for number in partitions:
            place = await kafka.send(
                producer,
                settings.topic("exceptions"),
                value,
                key=key.encode(),
                headers=kafka.cloud_event("exception", settings.instance),
                partition=number,
                timeout_s=settings.kafka_timeout_s,
            )
            written.append(
                Incoming(
                    key=key.encode(),
                    value=value,
                    partition=place.partition,
                    offset=place.offset,
                    timestamp=place.timestamp,
                )
            )
        return written
