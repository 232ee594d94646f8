"""The topics ``policies`` and ``policy-history`` as one log that is read and appended to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.structs import RecordMetadata

from worker import kafka
from worker.config import Settings
from worker.errors import RecordError
from worker.kafka_errors import translated
from worker.policy.history import Book, Incoming
from worker.records import HistoryEntry, decode, encode

logger: Final = logging.getLogger(__name__)

#: Decisions on their way at once; a first start may have thousands to write.
_AT_ONCE: Final = 100
_CLOSE_S: Final = 2.0


class PolicyLog:
    """A reader and a writer of both topics. It belongs to no group and commits nothing.

    After an error it is closed and replaced: nothing in it outlives a failure.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer = kafka.make_consumer(settings)
        # One record at a time and waited for: lingering would only delay it.
        self._producer: AIOKafkaProducer = kafka.make_producer(settings, linger_ms=0)
        self._connecting = asyncio.Lock()
        self._writes = False
        self._history: TopicPartition | None = None
        self._policies: TopicPartition | None = None
        self._fetched_at_ms: int | None = None

    async def open(self) -> None:
        """Connect and stand at the start of both topics; what writes connects at the first write.

        So a login that may only read can read: without any permission to write Kafka starts no producer.

        Raises:
            BrokerAway: nobody answers.
            TopicMissing: a topic does not exist.
            ConfigError: a topic has more than one partition.

        """
        await kafka.start(self._consumer, self._settings)
        self._history = await kafka.only_partition(self._consumer, self._settings.topic("policy-history"))
        self._policies = await kafka.only_partition(self._consumer, self._settings.topic("policies"))
        self._consumer.assign([self._history, self._policies])
        for partition, (first, _) in (await kafka.bounds(self._consumer, (self._history, self._policies))).items():
            self._consumer.seek(partition, first)

    async def close(self) -> None:
        """Close both clients; safe to call at any time."""
        await asyncio.gather(kafka.close(self._consumer, _CLOSE_S), kafka.close(self._producer, _CLOSE_S))

    async def history(self) -> AsyncIterator[HistoryEntry]:
        """Yield decisions from where the last call ended to the log's end as it is now."""
        async for record in self._to_end(self._history):
            entry = _entry(record)
            if entry is not None:
                yield entry

    async def policies(self) -> list[Incoming]:
        """Return policy records from where the last call ended to the log's end as it is now."""
        return [_incoming(record) async for record in self._to_end(self._policies)]

    async def poll(self) -> tuple[list[HistoryEntry], list[Incoming]]:
        """Return what is new in both topics, waiting a moment for it."""
        with translated("reading policies"):
            batches: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                timeout_ms=kafka.FETCH_WAIT_MS
            )
        entries = [entry for record in batches.get(self._history, []) if (entry := _entry(record)) is not None]
        return entries, [_incoming(record) for record in batches.get(self._policies, [])]

    def answered(self) -> bool:
        """Tell whether Kafka has answered for ``policies`` since the last call, with records or without."""
        before, self._fetched_at_ms = self._fetched_at_ms, self._consumer.last_poll_timestamp(self._policies)
        return self._fetched_at_ms != before

    async def append(self, entries: Iterable[HistoryEntry]) -> None:
        """Write decisions and wait until all are acknowledged.

        Raises:
            BrokerAway: nobody answers; nothing was written.
            PublishFailed: an entry may or may not be there.

        """
        waiting = list(entries)
        for start in range(0, len(waiting), _AT_ONCE):
            await asyncio.gather(*(self._append(entry) for entry in waiting[start : start + _AT_ONCE]))

    async def _append(self, entry: HistoryEntry) -> None:
        headers = kafka.cloud_event("policy-history", entry.decided_by)
        await self._send("policy-history", encode(entry), entry.scope.encode(), headers)

    async def publish(self, key: bytes, value: bytes | None, headers: Iterable[kafka.Header] = ()) -> Incoming:
        """Write a policy record (a tombstone if ``value`` is None) and return it with its place."""
        metadata = await self._send("policies", value, key, headers)
        return Incoming(key=key, value=value, offset=metadata.offset, timestamp=metadata.timestamp)

    async def _send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Iterable[kafka.Header]
    ) -> RecordMetadata:
        async with self._connecting:
            if not self._writes:
                await kafka.start(self._producer, self._settings)
                self._writes = True
        return await kafka.send(
            self._producer,
            self._settings.topic(topic),
            value,
            key=key,
            headers=headers,
            timeout_s=self._settings.kafka_timeout_s,
        )

    async def _to_end(self, partition: TopicPartition | None) -> AsyncIterator[ConsumerRecord]:
        assert partition is not None, "open() comes first"
        (_, end), *_ = (await kafka.bounds(self._consumer, [partition])).values()
        async for record in kafka.read(self._consumer, partition, end, self._settings.kafka_timeout_s):
            yield record


async def read_book(log: PolicyLog) -> tuple[Book, list[HistoryEntry], list[Incoming]]:
    """Read both topics to their ends: the book, all decisions, and the records that are still there."""
    book = Book()
    entries = [entry async for entry in log.history()]
    for entry in entries:
        book.add(entry)
    records = await log.policies()
    for record in records:
        book.see(record)
    return book, entries, records


def _incoming(record: ConsumerRecord) -> Incoming:
    return Incoming(
        key=record.key,
        value=record.value,
        offset=record.offset,
        timestamp=record.timestamp,
        headers=tuple(record.headers),
    )


def _entry(record: ConsumerRecord) -> HistoryEntry | None:
    """Decode a decision; one that somebody else spoilt is passed over, and says so."""
    try:
        return decode(record.value or b"", HistoryEntry, RecordError)
    except RecordError as error:
        logger.warning("policy-history offset %d is not a decision and is passed over: %s", record.offset, error)
        return None
