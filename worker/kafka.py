"""Kafka clients, made and ended in one place. Bytes in, bytes out; nothing here knows a record type.

What every client needs and is easily forgotten stands here: a deadline on each wait, fetch and
request sizes that fit the largest record, read_committed, an end that does not hang while the broker
is away. Errors come out as this program's (``worker/kafka_errors.py``).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from worker import clock, credentials, kafka_records
from worker.config import Settings
from worker.errors import BrokerAway, ConfigError, TopicMissing
from worker.kafka_errors import translated

#: The largest record of any topic (dead-letters: 4 MiB) and its envelope.
MAX_REQUEST_BYTES: Final = 5 * 1024 * 1024
MAX_FETCH_BYTES: Final = 4 * 1024 * 1024
#: A client holds what it fetched of every partition, so this bounds its memory whatever the backlog. A
#: larger record still comes: the broker sends the first batch whole (KIP-74).
MAX_PARTITION_FETCH_BYTES: Final = 512 * 1024
#: How long a fetch waits at the log's end; a new record ends the wait at once.
FETCH_WAIT_MS: Final = 250
#: Room between a group's rebalance and the end of the request that waits for it.
_JOIN_SLACK_S: Final = 10.0
#: How long one broker may take to say why it refused a login.
_LOGIN_S: Final = 5.0

Header = tuple[str, bytes]
Client: TypeAlias = AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient


def make_consumer(settings: Settings, *, group_id: str | None = None, **options: Any) -> AIOKafkaConsumer:
    """Make a consumer of raw bytes: no auto-commit, no offset reset, committed records only.

    With a group, JoinGroup waits under ``request_timeout_ms``, so that stands above the rebalance
    timeout. ``options`` go to aiokafka as they are.
    """
    kafka_records.install()
    request_s = settings.kafka_timeout_s
    if group_id is not None:
        request_s = max(request_s, settings.rebalance_timeout_s + _JOIN_SLACK_S)
    defaults: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.instance,
        "group_id": group_id,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "fetch_max_bytes": MAX_FETCH_BYTES,
        "max_partition_fetch_bytes": MAX_PARTITION_FETCH_BYTES,
        "request_timeout_ms": round(request_s * 1000),
        "session_timeout_ms": round(settings.session_timeout_s * 1000),
        "heartbeat_interval_ms": round(min(3.0, settings.session_timeout_s / 5) * 1000),
        "rebalance_timeout_ms": round(settings.rebalance_timeout_s * 1000),
        **credentials.options(settings),
    }
    return AIOKafkaConsumer(**(defaults | options))


def make_producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """Make an idempotent producer that waits for all in-sync replicas."""
    defaults: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.instance,
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": None if settings.compression == "none" else settings.compression,
        "linger_ms": settings.linger_ms,
        "max_request_size": MAX_REQUEST_BYTES,
        "request_timeout_ms": round(settings.kafka_timeout_s * 1000),
        **credentials.options(settings),
    }
    return AIOKafkaProducer(**(defaults | options))


def make_admin(settings: Settings) -> AIOKafkaAdminClient:
    """Make a client for topics and groups."""
    return AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=settings.instance,
        request_timeout_ms=round(settings.kafka_timeout_s * 1000),
        **credentials.options(settings),
    )


async def start(client: Client, settings: Settings, *, timeout_s: float | None = None) -> None:
    """Connect a client; one that cannot connect is closed.

    Args:
        client: a client of this module.
        settings: the deadline of one call.
        timeout_s: another deadline; joining a group takes longer.

    Raises:
        BrokerAway: nobody answered before the deadline.
        ConfigError: the address or the credentials cannot be used.

    """
    try:
        with translated(_starting(client, settings)):
            async with asyncio.timeout(timeout_s or settings.kafka_timeout_s):
                await client.start()
    except ValueError as error:
        await close(client)
        text = f"bootstrap_servers = {settings.bootstrap_servers!r}: {error}; expected host:port, separated by commas"
        raise ConfigError(text) from error
    except BaseException as error:
        await close(client)
        if isinstance(error, BrokerAway) and (why := await _refusal(settings)):
            raise ConfigError(why) from error
        raise


def _starting(client: Client, settings: Settings) -> str:
    group = getattr(client, "_group_id", None)
    return f"connecting to {settings.bootstrap_servers}" + (f" and joining group {group}" if group else "")


async def _refusal(settings: Settings) -> str | None:
    """Return why Kafka does not let this client in, if it is that.

    aiokafka only logs what a first connection fails of and says the same as for a broker that is away.
    """
    if settings.security_protocol == "PLAINTEXT":
        return None
    login = credentials.options(settings)
    timeout_ms = round(min(settings.kafka_timeout_s, _LOGIN_S) * 1000)
    for host, port, _ in collect_hosts(settings.bootstrap_servers, randomize=False):
        try:
            connection = await create_conn(host, port, request_timeout_ms=timeout_ms, **login)
        except (OSError, KafkaError, ValueError) as error:  # TimeoutError is an OSError
            if why := credentials.refusal(settings, error):
                return why
        else:
            connection.close()
    return None


async def close(client: Client, timeout_s: float = 5.0) -> None:
    """Close a client and never raise; one that does not end well in time is cut off.

    A consumer's stop can end in a ``CancelledError`` that nobody asked for (it awaits fetches that it
    has cancelled), which is why stopping is a task of its own.
    """
    stop = client.close if isinstance(client, AIOKafkaAdminClient) else client.stop
    if not await _ended_well(stop(), timeout_s):
        await kill(client)


@asynccontextmanager
async def reader(settings: Settings, *, close_s: float = 5.0, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Lend a connected consumer that belongs to no group, and close it whatever happens.

    ``options`` go to ``make_consumer``; ``close_s`` bounds the closing.

    Raises:
        BrokerAway: nobody answered before the deadline.
        ConfigError: the address or the credentials cannot be used.

    """
    async with _lent(make_consumer(settings, **options), settings, close_s) as consumer:
        yield consumer


@asynccontextmanager
async def writer(settings: Settings, *, close_s: float = 5.0, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """Lend a connected producer, and close it whatever happens; after a failed send it is of no more use.

    ``options`` go to ``make_producer``; ``close_s`` bounds the closing.

    Raises:
        BrokerAway: nobody answered before the deadline.
        ConfigError: the address or the credentials cannot be used.

    """
    async with _lent(make_producer(settings, **options), settings, close_s) as producer:
        yield producer


@asynccontextmanager
async def _lent(client: Client, settings: Settings, close_s: float) -> AsyncIterator[Any]:
    await start(client, settings)
    try:
        yield client
    finally:
        await close(client, close_s)


async def kill(client: Client) -> None:
    """Cut a client off: nothing that it still holds is sent any more, and the group is not told.

    A producer's ``stop`` flushes first; given up on in the middle it leaves a task behind that goes on
    trying.
    """
    if isinstance(client, AIOKafkaProducer):
        connections, sender = client.client, client._sender.sender_task  # noqa: SLF001  (no public way to end without a flush)
        if sender is not None:
            sender.cancel()
    else:
        connections = client._client  # noqa: SLF001  (as above)
    client._closed = True  # noqa: SLF001  (or its finalizer warns)
    await _ended_well(connections.close(), 1.0)


def on_heartbeat(consumer: AIOKafkaConsumer, heard: Callable[[float], None]) -> None:
    """Call ``heard`` whenever the group answers that a started consumer is its member.

    It is told when the group was asked, in seconds of ``time.monotonic``: the answer may have been on its way long.
    """
    coordinator = consumer._coordinator  # noqa: SLF001  (aiokafka tells nobody about its heartbeats)
    beat = coordinator._do_heartbeat  # noqa: SLF001  (as above)

    async def told() -> bool:
        asked_s = time.monotonic()
        answered = bool(await beat())
        if answered:
            heard(asked_s)
        return answered

    coordinator._do_heartbeat = told  # noqa: SLF001  (as above)


async def _ended_well(ending: Coroutine[Any, Any, None], timeout_s: float) -> bool:
    """Run a coroutine to its end, for so long, and tell whether it got there."""
    task = asyncio.create_task(ending)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        task.cancel()
    return task.done() and not task.cancelled() and task.exception() is None


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """Return a topic's partitions in order.

    Raises:
        TopicMissing: there is no such topic.
        BrokerAway: nobody answered.

    """
    with translated(f"looking for topic {topic}"):
        # As consumer.topics() does: the consumer's own metadata knows only topics that it reads already.
        cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001
    numbers = cluster.partitions_for_topic(topic)
    if not numbers:
        raise TopicMissing(credentials.absent_text(topic))
    return [TopicPartition(topic, number) for number in sorted(numbers)]


async def only_partition(consumer: AIOKafkaConsumer, topic: str) -> TopicPartition:
    """Return the partition of a topic that has one, so that its order is the order of all.

    Raises:
        TopicMissing: there is no such topic.
        ConfigError: it has several.
        BrokerAway: nobody answered.

    """
    found = await partitions_of(consumer, topic)
    if len(found) != 1:
        text = f"topic {topic} has {len(found)} partitions and must have one; recreate it"
        raise ConfigError(text)
    return found[0]


async def bounds(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, tuple[int, int]]:
    """Return (first offset, end offset) of each partition; the end is the last stable one."""
    wanted = list(partitions)
    with translated("asking for offsets"):
        first = await consumer.beginning_offsets(wanted)
        end = await consumer.end_offsets(wanted)
    return {partition: (first[partition], end[partition]) for partition in wanted}


async def read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, end: int, stall_s: float
) -> AsyncIterator[ConsumerRecord]:
    """Yield one assigned partition's records from its position up to offset ``end``, excluded.

    The position decides and not the last record: compaction and transaction markers leave holes.
    Afterwards the partition stands at ``end``, so that nothing behind it is passed over.

    Raises:
        BrokerAway: the position did not move for ``stall_s`` seconds.

    """
    what = f"reading {partition.topic}/{partition.partition}"
    moved = time.monotonic()
    while await consumer.position(partition) < end:
        # Never cancelled: a cancelled getmany leaves aiokafka's fetch count wrong for good.
        with translated(what):
            batch = (await consumer.getmany(partition, timeout_ms=FETCH_WAIT_MS)).get(partition, [])
        for record in batch:
            if record.offset >= end:
                consumer.seek(partition, end)
                return
            yield record
        if batch:
            moved = time.monotonic()
        elif time.monotonic() - moved > stall_s:
            text = f"{what}: nothing came for {stall_s:.0f} s before offset {end}; is Kafka running?"
            raise BrokerAway(text)


async def send(
    producer: AIOKafkaProducer,
    topic: str,
    value: bytes | None,
    *,
    key: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] = (),
    partition: int | None = None,
    timeout_s: float,
) -> RecordMetadata:
    """Send one record and wait for its acknowledgement.

    Raises:
        PublishFailed: refused, or no answer in time; replace the producer, the record may still arrive.
        OutputTooLarge: above the topic's limit.
        TopicMissing: there is no such topic.

    """
    with translated(f"publishing to {topic}", sending=True):
        async with asyncio.timeout(timeout_s):
            return await producer.send_and_wait(topic, value=value, key=key, headers=list(headers), partition=partition)


def cloud_event(kind: str, source: str, event_id: str | None = None) -> list[Header]:
    """Return CloudEvents 1.0 headers in Kafka's binary mode.

    Args:
        kind: type of the record, such as ``policy-applied``.
        source: who made it, such as the instance's name.
        event_id: the record's id (a fresh one if none is given).

    """
    fields = {
        "ce_specversion": "1.0",
        "ce_id": event_id or uuid.uuid4().hex,
        "ce_type": f"rsafe.{kind}",
        "ce_source": source,
        "ce_time": clock.utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return [(name, value.encode()) for name, value in fields.items()]


def is_member(consumer: AIOKafkaConsumer) -> bool:
    """Tell whether the group still knows the consumer; once it does not, its partitions are someone else's."""
    coordinator = consumer._coordinator  # noqa: SLF001  (aiokafka tells listeners nothing about it)
    return coordinator is not None and getattr(coordinator, "generation", -1) > 0
