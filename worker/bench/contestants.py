"""The ways of doing the work that are compared. Each is run on messages that are written first, and returns a rate.

All rates are messages per second of wall-clock time. What is not measured: connecting, joining a
group, writing the messages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import orjson
from aiokafka import ConsumerRecord
from msgspec import Struct
from prometheus_client import CollectorRegistry

from worker import kafka
from worker.audit.span import Span
from worker.audit.verify.verify import verify
from worker.bench.rig import at_end, count, put
from worker.config import Settings
from worker.errors import StreamError
from worker.judge.judgement import Judge
from worker.judge.verdict import Attempt, verdict
from worker.metrics import Metrics
from worker.policy.source import PolicySource
from worker.records import Message, Timing, decode_message, encode
from worker.stream.ledger import OUTCOME_TOPICS
from worker.stream.plane import DataPlane
from worker.stream.work import source_of

#: Between two looks at the counters of the data plane.
_LOOK_S: Final = 0.005
_TIMEOUT_S: Final = 900.0


class Work(Struct, frozen=True, kw_only=True):
    """What all contestants share: the very same judge and policies."""

    judge: Judge
    policies: PolicySource


async def through_plane(settings: Settings, work: Work, messages: Sequence[Message]) -> float:
    """Judge messages Kafka to Kafka with the data plane as it is.

    It joins, is paused while the messages are written, and is timed from when it may read to the
    acknowledgement of its last outcome.

    Raises:
        StreamError: not every message got its outcome.

    """
    metrics = Metrics(CollectorRegistry())
    plane = DataPlane(settings, work.judge, work.policies, metrics)
    before = await count(settings, "verdicts")
    await plane.start()
    try:
        await plane.joined.wait()
        plane.pause("the messages are being written")
        await put(settings, messages)
        began = time.perf_counter()
        plane.resume()
        await _until(metrics, len(messages))
        elapsed_s = time.perf_counter() - began
    finally:
        await plane.stop()
    written = await count(settings, "verdicts") - before
    if written != len(messages):
        text = f"{written} verdicts for {len(messages)} messages; the measurement is void"
        raise StreamError(text)
    return len(messages) / elapsed_s


async def judge_what_is_there(settings: Settings, work: Work, wanted: int) -> None:
    """Start a data plane and stop it when it has published so many verdicts.

    Raises:
        StreamError: Kafka refused or is away.

    """
    metrics = Metrics(CollectorRegistry())
    plane = DataPlane(settings, work.judge, work.policies, metrics)
    await plane.start()
    try:
        await _until(metrics, wanted)
    finally:
        await plane.stop()


async def _until(metrics: Metrics, wanted: int) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        # The counter of a registry has no event to wait for.
        while _published(metrics) < wanted:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)


def _published(metrics: Metrics) -> float:
    samples = (sample for family in metrics.verdicts.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


async def judge_alone(work: Work, messages: Sequence[Message]) -> float:
    """Judge messages without Kafka, everything submitted at once."""
    began = time.perf_counter()
    await asyncio.gather(*(_judge(work, message) for message in messages))
    return len(messages) / (time.perf_counter() - began)


async def _judge(work: Work, message: Message) -> None:
    policy = work.policies.resolve(message.tenant_id, None)
    assert policy is not None
    await work.judge.judge(message, policy)


async def one_at_a_time(settings: Settings, work: Work, messages: Sequence[Message]) -> float:
    """Poll, judge, publish, next: what a consumer without concurrency reaches.

    Raises:
        StreamError: Kafka refused or is away.

    """
    consumer = await at_end(settings, "messages")
    producer = kafka.make_producer(settings, linger_ms=0)
    await kafka.start(producer, settings)
    await put(settings, messages)
    try:
        began = time.perf_counter()
        for _ in messages:
            await _next(settings, work, await consumer.getone(), producer)
        return len(messages) / (time.perf_counter() - began)
    finally:
        await kafka.close(consumer)
        await kafka.close(producer)


async def _next(settings: Settings, work: Work, record: ConsumerRecord, producer: Any) -> None:
    message = decode_message(record.value)
    policy = work.policies.resolve(message.tenant_id, None)
    assert policy is not None
    judgement = await work.judge.judge(message, policy)
    attempt = Attempt(
        message=message,
        source=source_of(record),
        mode="live",
        run_id=None,
        trace_id=f"{record.partition}-{record.offset}",
        model=work.judge.model,
        timing=Timing(queue_ms=None, engine_ms=judgement.engine_ms, total_ms=None),
    )
    for topic, value in zip(("verdicts", "traces"), verdict(attempt, judgement, policy), strict=True):
        if value is not None:
            await producer.send_and_wait(settings.topic(topic), encode(value), key=record.key)


async def bare_loop(
    settings: Settings,
    messages: Sequence[Message],
    traces: Sequence[ConsumerRecord],
    verdicts: Sequence[ConsumerRecord],
) -> float:
    """Decode each message's JSON and send two records that are ready: what aiokafka alone reaches.

    Args:
        settings: of the topics; acks, idempotence, compression and linger are those of the data plane.
        messages: to be read.
        traces: records to send, as the data plane wrote them; one per message.
        verdicts: the same.

    Raises:
        StreamError: Kafka refused or is away.

    """
    consumer = await at_end(settings, "messages")
    producer = kafka.make_producer(settings)
    await kafka.start(producer, settings)
    await put(settings, messages)
    ready = iter(zip(traces, verdicts, strict=True))
    acknowledged: list[asyncio.Future[Any]] = []
    try:
        began = time.perf_counter()
        while len(acknowledged) < 2 * len(messages):
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                for record in batch:
                    orjson.loads(record.value)
                    for topic, row in zip(("traces", "verdicts"), next(ready), strict=True):
                        future = await _send(producer, settings.topic(topic), row, record)
                        acknowledged.append(future)
        await asyncio.gather(*acknowledged)
        return len(messages) / (time.perf_counter() - began)
    finally:
        await kafka.close(consumer)
        await kafka.close(producer)


async def audited(settings: Settings) -> float:
    """Audit everything that there is, and return records of all topics per second.

    Raises:
        StreamError: Kafka is away, or the audit found something; the measurement is void then.

    """
    report, _ = await verify(settings, Span())
    if not report.ok:
        text = f"the audit found {report.counts}; the measurement is void"
        raise StreamError(text)
    return report.records / report.elapsed_s


async def bare_reader(settings: Settings) -> float:
    """Read what an audit reads and decode nothing: what aiokafka alone reaches, in records per second.

    Raises:
        StreamError: Kafka is away.

    """
    began = time.perf_counter()
    async with kafka.reader(settings) as consumer:
        topics = [settings.topic(name) for name in ("messages", *OUTCOME_TOPICS)]
        partitions = [one for topic in topics for one in await kafka.partitions_of(consumer, topic)]
        logs = await kafka.bounds(consumer, partitions)
        consumer.assign(partitions)
        for partition, (first, _) in logs.items():
            consumer.seek(partition, first)
        left = sum(end - first for first, end in logs.values())
        total = left
        while left > 0:
            left -= sum(map(len, (await consumer.getmany(timeout_ms=100)).values()))
    return total / (time.perf_counter() - began)


async def _send(producer: Any, topic: str, row: ConsumerRecord, record: ConsumerRecord) -> asyncio.Future[Any]:
    return await producer.send(  # type: ignore[no-any-return]
        topic, row.value, key=record.key, partition=record.partition, headers=list(row.headers)
    )
