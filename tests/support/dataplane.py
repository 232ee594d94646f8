"""A data plane on a real broker: topics, a fixed policy, plain Kafka clients at its two ends."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.structs import RecordMetadata
from prometheus_client import CollectorRegistry

from tests.support import planted
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.exceptions.source import ExceptionSource
from worker.judge.judgement import Judge
from worker.judge.scripted import ScriptedJudge
from worker.metrics import Metrics
from worker.policy.model import EffectiveCategory, EffectivePolicy, Judging
from worker.policy.source import PolicySource
from worker.records import PLATFORM, PolicyPart
from worker.stream.plane import DataPlane
from worker.topics import create_topics

PARTITIONS: Final = 4
CONTEXT: Final = ({"role": "user", "text": planted.WORDS},)
U7: Final = EffectiveCategory(scope=PLATFORM, id="U7", name="Threats", action="block")


class FixedPolicies:
    """A ``PolicySource`` that knows one policy for everybody, or one that says there is none."""

    def __init__(self, *, known: bool = True, languages: tuple[str, ...] = (), trace: str = "full") -> None:
        """Build the policy."""
        judging = Judging(categories=(U7,), languages=languages, trace=trace)  # type: ignore[arg-type]
        parts = (PolicyPart(scope=PLATFORM, version=1, digest="d", offset=0),)
        self.policy: EffectivePolicy | None = EffectivePolicy(judging=judging, parts=parts) if known else None
        self.is_stale = False

    def resolve(self, tenant_id: str, channel_id: str | None) -> EffectivePolicy | None:  # noqa: ARG002
        """Return the one policy."""
        return self.policy

    def stale(self) -> bool:
        """Return what the test says."""
        return self.is_stale


def settings_for(bootstrap_servers: str, topic_prefix: str, **fields: Any) -> Settings:
    """Return settings for a fast test: frequent commits, short deadlines.

    The session is long, so that a pause of the machine makes nobody give partitions away: then messages are rightly
    judged again, and counts and orders are others. Who waits for a takeover passes a short one.
    """
    chosen: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers,
        "topic_prefix": topic_prefix,
        "group_id": f"{topic_prefix}workers",
        "engine": "scripted",
        "session_timeout_s": 30.0,
        "rebalance_timeout_s": 10.0,
        "drain_timeout_s": 5.0,
        "commit_interval_s": 0.2,
        "kafka_timeout_s": 10.0,
        "linger_ms": 2,
    }
    return Settings(**(chosen | fields))


async def make_topics(settings: Settings, partitions: int = PARTITIONS) -> None:
    """Create all topics."""
    await create_topics(settings.bootstrap_servers, settings.topic_prefix, partitions)


@asynccontextmanager
async def running(
    settings: Settings,
    judge: Judge | None = None,
    policies: PolicySource | None = None,
    exceptions: ExceptionSource | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[DataPlane]:
    """Run a data plane inside the block and stop it afterwards."""
    counted = metrics or Metrics(CollectorRegistry())
    plane = DataPlane(settings, judge or ScriptedJudge(), policies or FixedPolicies(), counted, exceptions)
    await plane.start()
    try:
        yield plane
    finally:
        await plane.stop()


def message(number: int, text: str = "hello", tenant: str = "acme", **fields: Any) -> bytes:
    """Return a message as JSON, with what a person might write of themselves in it."""
    plain = {"tenant_id": tenant, "message_id": f"m{number}", "text": f"{text} {planted.WORDS}"}
    known = {"author_id": planted.EMAIL, "context": CONTEXT, "profile": planted.WORDS}
    return json.dumps(plain | known | fields).encode()


@asynccontextmanager
async def producer(settings: Settings, **options: Any) -> AsyncIterator[Any]:
    """Lend a plain producer."""
    client = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, max_request_size=4_000_000, **options)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def send(
    settings: Settings, values: Iterable[bytes | None], *, partition: int | None = None
) -> list[RecordMetadata]:
    """Send values to ``messages`` in turn over all partitions, or to one; return where each stands."""
    async with producer(settings) as client:
        count = len(await client.partitions_for(settings.topic("messages")))
        pending = [
            await client.send(
                settings.topic("messages"),
                value,
                key=f"k{number}".encode(),
                partition=number % count if partition is None else partition,
                headers=[planted.HEADER],
            )
            for number, value in enumerate(values)
        ]
        return list(await asyncio.gather(*pending))


async def read_all(settings: Settings, name: str) -> list[ConsumerRecord]:
    """Return every record of a topic up to its end now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8_000_000,
    )
    await consumer.start()
    try:
        numbers = await consumer._client._wait_on_metadata(settings.topic(name))
        twins = [TopicPartition(settings.topic(name), number) for number in numbers]
        consumer.assign(twins)
        await consumer.seek_to_beginning(*twins)
        ends = await consumer.end_offsets(twins)
        found: list[ConsumerRecord] = []
        for twin in twins:
            while await consumer.position(twin) < ends[twin]:
                found += (await consumer.getmany(twin, timeout_ms=200)).get(twin, [])
        return found
    finally:
        await consumer.stop()


async def count(settings: Settings, name: str) -> int:
    """Return how many records a topic holds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers)
    await consumer.start()
    try:
        numbers = await consumer._client._wait_on_metadata(settings.topic(name))
        return sum((await consumer.end_offsets([TopicPartition(settings.topic(name), n) for n in numbers])).values())
    finally:
        await consumer.stop()


async def committed(settings: Settings) -> dict[int, int]:
    """Return the group's committed offset of each partition of ``messages``."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, group_id=settings.group_id)
    await consumer.start()
    try:
        numbers = await consumer._client._wait_on_metadata(settings.topic("messages"))
        found = {n: await consumer.committed(TopicPartition(settings.topic("messages"), n)) for n in numbers}
        return {number: offset for number, offset in found.items() if offset is not None}
    finally:
        await consumer.stop()


def verdict_of(record: ConsumerRecord) -> dict[str, Any]:
    """Return a verdict as plain JSON."""
    return dict(json.loads(record.value))


def sources(records: Sequence[ConsumerRecord]) -> Counter[tuple[int, int]]:
    """Count verdicts by the partition and offset of their message."""
    found = [verdict_of(record)["source"] for record in records]
    return Counter((source["partition"], source["offset"]) for source in found)


def status_counts(records: Sequence[ConsumerRecord]) -> Counter[str]:
    """Count verdicts by status."""
    return Counter(verdict_of(record)["status"] for record in records)


async def until_verdicts(settings: Settings, wanted: int, timeout_s: float = 120.0) -> None:
    """Wait until there are so many verdicts."""

    async def there() -> bool:
        return await count(settings, "verdicts") >= wanted

    await wait_until(there, timeout_s, what=f"{wanted} verdicts")
