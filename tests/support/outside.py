"""A platform as seen from the worker: plain Kafka clients that know nothing of this program."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.support import planted
from tests.support.waiting import wait_until

Place = tuple[int, int]


class Record(NamedTuple):
    """What came back: when it was seen (a monotonic clock), and the JSON it holds."""

    seen_s: float
    value: dict[str, Any]

    @property
    def place(self) -> Place:
        """Partition and offset of the message that this is about."""
        source = self.value["source"]
        return source["partition"], source["offset"]


async def produce(bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> set[Place]:
    """Send (key, value) pairs as fast as Kafka takes them; returns where they stand."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    await producer.start()
    try:
        futures = [await producer.send(topic, value=value, key=key) for key, value in records]
        sent = [await future for future in futures]
    finally:
        await producer.stop()
    return {(item.partition, item.offset) for item in sent}


def messages(count: int, text: str, tenants: int = 4) -> list[tuple[bytes, bytes]]:
    """Make messages of several tenants, keyed by tenant and conversation."""
    made = []
    for number in range(count):
        tenant = f"tenant-{number % tenants}"
        value = {"tenant_id": tenant, "message_id": f"m{number}", "text": f"{text} {number} {planted.WORDS}"}
        made.append((f"{tenant}/c{number % 97}".encode(), json.dumps(value).encode()))
    return made


class Outcomes:
    """Everything that stands in ``verdicts``, read as a platform would read it."""

    def __init__(self, bootstrap: str, topic: str, partitions: int = 8) -> None:
        """Read from the beginning; connects with ``async with``."""
        self.records: list[Record] = []
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def poll(self) -> int:
        """Read what is there and return how many different messages have a verdict."""
        batches = await self._consumer.getmany(timeout_ms=100)
        now_s = time.monotonic()
        self.records += [Record(now_s, json.loads(record.value)) for batch in batches.values() for record in batch]
        return len(self.counts)

    async def until(self, count: int, timeout_s: float) -> None:
        """Wait until so many different messages have a verdict."""

        async def enough() -> bool:
            return await self.poll() >= count

        await wait_until(enough, timeout_s, what=f"{count} verdicts")

    @property
    def counts(self) -> Counter[Place]:
        """How many verdicts each message has, by its place."""
        return Counter(record.place for record in self.records)


def engines_of(pid: int) -> list[int]:
    """Return the processes that a worker has started, by asking the operating system."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def alive(pids: Iterable[int]) -> list[int]:
    """Return those processes that still run; a zombie does not."""
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def environment(bootstrap: str, prefix: str, **settings: object) -> dict[str, str]:
    """Return this process's environment with a worker's settings in it."""
    wanted = {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "group_id": f"{prefix}group", "web_port": 0}
    named = {"PLATFORM_API_KEY": planted.API_KEY}
    named |= {f"RSAFE_{name.upper()}": str(value) for name, value in (wanted | settings).items()}
    return {**{name: value for name, value in os.environ.items() if not name.startswith("RSAFE_")}, **named}
