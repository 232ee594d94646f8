"""The topics that policies live in, and plain Kafka clients at their other ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from worker.config import Settings
from worker.errors import RecordError
from worker.policy.store import PolicyStore
from worker.records import HistoryEntry, PolicyApplied, decode

#: Compaction as fast as Kafka allows it.
EAGER: Final = {
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "100",
    "delete.retention.ms": "100",
}
_POLICIES: Final = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}


async def create(settings: Settings, **policies: str) -> None:
    """Create the topics, ``policies`` with some settings of its own."""
    names = {"policies": _POLICIES | policies, "policy-history": {}, "dead-letters": {}, "policy-applied": {}}
    topics = [NewTopic(settings.topic(name), 1, 1, topic_configs=configs) for name, configs in names.items()]
    async with admin(settings) as client:
        await client.create_topics(topics)


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[Any]:
    """Lend a client for topics."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[Any]:
    """Lend a plain producer: nothing of this project is in it."""
    client = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def publish(settings: Settings, *records: tuple[str | bytes, bytes | None], **options: Any) -> list[int]:
    """Publish policy records with a plain producer; return their offsets."""
    async with producer(settings) as client:
        return [
            (
                await client.send_and_wait(
                    settings.topic("policies"), value, key=key.encode() if isinstance(key, str) else key, **options
                )
            ).offset
            for key, value in records
        ]


async def read_all(settings: Settings, name: str) -> list[ConsumerRecord]:
    """Return every record that a topic holds now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, isolation_level="read_committed")
    await consumer.start()
    try:
        only = TopicPartition(settings.topic(name), 0)
        consumer.assign([only])
        await consumer.seek_to_beginning(only)
        end = (await consumer.end_offsets([only]))[only]
        found: list[ConsumerRecord] = []
        while await consumer.position(only) < end:
            for batch in (await consumer.getmany(only, timeout_ms=200)).values():
                found += batch
        return found
    finally:
        await consumer.stop()


async def history(settings: Settings) -> list[HistoryEntry]:
    """Return every entry of the history, doubles included."""
    return [decode(record.value, HistoryEntry, RecordError) for record in await read_all(settings, "policy-history")]


async def applied(settings: Settings) -> list[PolicyApplied]:
    """Return what workers said that they judge by."""
    return [decode(record.value, PolicyApplied, RecordError) for record in await read_all(settings, "policy-applied")]


@asynccontextmanager
async def running(store: PolicyStore) -> AsyncIterator[PolicyStore]:
    """Start a store, and stop it whatever happens."""
    try:
        await store.start()
        yield store
    finally:
        await store.stop()


def version_of(store: PolicyStore, tenant_id: str, channel_id: str | None = None) -> int | None:
    """Return the version of the narrowest part that a tenant's channel is judged under."""
    effective = store.resolve(tenant_id, channel_id)
    return effective.parts[-1].version if effective else None
