"""What breaks around the data plane: the engine, the topics, the records, Kafka itself. Nothing is ever lost."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.conftest import KafkaAddress
from tests.support.dataplane import (
    FixedPolicies,
    committed,
    count,
    make_topics,
    message,
    read_all,
    running,
    send,
    settings_for,
    sources,
    status_counts,
    until_verdicts,
)
from tests.support.judges import FailingJudge, VerboseJudge
from tests.support.waiting import wait_until
from worker.broker import Broker
from worker.config import Settings
from worker.errors import EngineDead
from worker.topics import create_topics

pytestmark = pytest.mark.broker


async def test_an_aborted_message_is_judged_again(broker: KafkaAddress, topic_prefix: str) -> None:
    """An engine that cuts a request short has said nothing; the message still gets one verdict."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1, "[abort]")])
    async with running(settings, FailingJudge(aborts=2)) as plane:
        await until_verdicts(settings, 1)

        assert plane._state.metrics.engine_aborts._value.get() == 2

    assert status_counts(await read_all(settings, "verdicts")) == {"judged": 1}


async def test_an_engine_that_only_aborts_is_dead(broker: KafkaAddress, topic_prefix: str) -> None:
    """A message cut short again and again ends the process instead of waiting for ever."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1, "[abort]")])
    async with running(settings, FailingJudge(aborts=10**9)) as plane:
        with pytest.raises(EngineDead):
            async with asyncio.timeout(120):
                await plane.wait_failed()

    assert await committed(settings) == {0: 0}


async def test_a_dead_engine_commits_nothing_in_flight(broker: KafkaAddress, topic_prefix: str) -> None:
    """The process ends; whoever comes next judges what was in flight, and nothing twice."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 2)
    await send(settings, [message(number, "[dead]" if number == 150 else "hello") for number in range(300)])
    async with running(settings, FailingJudge()) as plane:
        with pytest.raises(EngineDead):
            async with asyncio.timeout(120):
                await plane.wait_failed()

        assert plane.unready()

    verdicts = sources(await read_all(settings, "verdicts"))
    assert len(verdicts) < 300
    for partition, offset in (await committed(settings)).items():
        assert {(partition, earlier) for earlier in range(offset)} <= verdicts.keys()

    async with running(settings):
        await until_verdicts(settings, 300)

    assert set(sources(await read_all(settings, "verdicts")).values()) == {1}


async def test_a_bug_in_the_judge_stops_nobody_else(
    broker: KafkaAddress, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody foresaw becomes ``engine_error``, and its text reaches no log."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1, "[bug] secret"), message(2)])
    async with running(settings, FailingJudge()):
        await until_verdicts(settings, 2)

    assert status_counts(await read_all(settings, "verdicts")) == {"engine_error": 1, "judged": 1}
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_trace_above_the_limit_keeps_its_digest(broker: KafkaAddress, topic_prefix: str) -> None:
    """The texts are dropped before anything is refused; the verdict is as it would be."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1, "a" * 1_900_000)])
    async with running(settings, VerboseJudge(4_000_000)) as plane:
        await until_verdicts(settings, 1)

        assert plane._state.metrics.producer_replacements._value.get() == 0

    (trace,) = [json.loads(record.value) for record in await read_all(settings, "traces")]
    assert (trace["reasoning"], trace["raw"], trace["level"]) == (None, None, "redacted")
    assert len(trace["reasoning_digest"]) == 64


async def test_a_refused_batch_replaces_the_producer(broker: KafkaAddress, topic_prefix: str) -> None:
    """A topic with a lower limit than ours refuses: the large trace loses its texts, everything else arrives once."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, compression="none")
    await make_topics(settings, 2)
    await set_limit(settings, "traces", 20_000)
    await send(settings, (message(number) for number in range(200)))
    async with running(settings, VerboseJudge(50_000)) as plane:
        await until_verdicts(settings, 200)
        metrics = plane._state.metrics

        assert metrics.producer_replacements._value.get() >= 1
        assert metrics.redacted_traces._value.get() == 200

    assert set(sources(await read_all(settings, "verdicts")).values()) == {1}
    assert {json.loads(record.value)["level"] for record in await read_all(settings, "traces")} == {"redacted"}


async def test_a_refused_verdict_becomes_a_dead_letter(broker: KafkaAddress, topic_prefix: str) -> None:
    """Where a verdict cannot be written at all, its message is kept byte for byte with the reason."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, compression="none")
    await make_topics(settings, 1)
    await set_limit(settings, "verdicts", 5_000)
    large = message(1, language="x" * 10_000)
    await send(settings, [message(0), large, message(2)])
    async with running(settings):
        await until_verdicts(settings, 2)

        async def written() -> bool:
            return await count(settings, "dead-letters") == 1

        await wait_until(written)
    (letter,) = await read_all(settings, "dead-letters")

    assert letter.value == large
    assert dict(letter.headers)["stage"] == b"publish"
    assert dict(letter.headers)["error"] == b"OutputTooLarge"


async def set_limit(settings: Settings, name: str, size_bytes: int) -> None:
    """Change a topic's ``max.message.bytes``."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        configs = {"max.message.bytes": str(size_bytes)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topic(name), configs)])
    finally:
        await admin.close()


async def test_retention_leaves_a_declared_gap(broker: KafkaAddress, topic_prefix: str) -> None:
    """Offsets that are gone before they are read are counted, and work goes on behind them."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(number) for number in range(10)])
    async with running(settings):
        await until_verdicts(settings, 10)
    await send(settings, [message(number) for number in range(10, 50)])
    await delete_before(settings, 30)
    async with running(settings) as plane:
        await until_verdicts(settings, 30)

        assert plane._state.metrics.gaps.labels("0")._value.get() == 20

    assert set(sources(await read_all(settings, "verdicts"))) == {(0, n) for n in (*range(10), *range(30, 50))}


async def test_retention_can_overtake_a_worker_that_waits(broker: KafkaAddress, topic_prefix: str) -> None:
    """A partition whose next offset vanishes while intake waits goes on where the log begins."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(number) for number in range(10)])
    async with running(settings) as plane:
        await until_verdicts(settings, 10)
        plane.pause("maintenance")
        # A poll that was under way may still take a record; afterwards intake waits, and clears this each time.
        plane._state.buffer.changed.set()
        await wait_until(lambda: not plane._state.buffer.changed.is_set(), what="intake waits")
        # More than one fetch holds, so that some of it is still to be asked for.
        await send(settings, [message(number, "x" * 1_500_000) for number in range(10, 30)])
        await delete_before(settings, 28)
        plane.resume()

        gaps = plane._state.metrics.gaps.labels("0")._value

        async def all_are_told() -> bool:
            found = sources(await read_all(settings, "verdicts"))
            return {(0, 28), (0, 29)} <= found.keys() and len(found) + gaps.get() >= 30

        await wait_until(all_are_told)
        verdicts = sources(await read_all(settings, "verdicts"))

        assert set(verdicts.values()) == {1}
        assert gaps.get() == 30 - len(verdicts) > 0
        await wait_until(lambda: plane.unready() == [])


async def delete_before(settings: Settings, offset: int) -> None:
    """Delete the start of the messages of partition 0, as retention would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(settings.topic("messages"), 0): RecordsToDelete(before_offset=offset)}
        )
    finally:
        await admin.close()


async def test_missing_topics_are_waited_for(broker: KafkaAddress, topic_prefix: str) -> None:
    """While a topic is missing the worker is not ready, names the command that makes it, and makes none itself."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    async with running(settings) as plane:
        await wait_until(lambda: any("rsafe topics create" in reason for reason in plane.unready()))
        await make_topics(settings, 1)
        await send(settings, [message(1)])
        await until_verdicts(settings, 1)

        await wait_until(lambda: plane.unready() == [])


async def test_a_partition_without_its_twin_waits_for_it(broker: KafkaAddress, topic_prefix: str) -> None:
    """An input partition whose output partition is missing is halted with an alert until it is there."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await grow(settings, "messages", 2)
    await send(settings, [message(number) for number in range(20)])
    async with running(settings) as plane:
        await until_verdicts(settings, 10)
        await wait_until(lambda: any("partition 1 is halted" in reason for reason in plane.unready()))

        assert await count(settings, "verdicts") == 10

        await create_topics(settings.bootstrap_servers, settings.topic_prefix, 2)
        await until_verdicts(settings, 20)
        await wait_until(lambda: plane.unready() == [])


async def grow(settings: Settings, name: str, partitions: int) -> None:
    """Give one topic more partitions."""
    from aiokafka.admin import NewPartitions  # noqa: PLC0415

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({settings.topic(name): NewPartitions(total_count=partitions)})
    finally:
        await admin.close()


async def test_stale_policies_stop_intake(broker: KafkaAddress, topic_prefix: str) -> None:
    """While policies may be old nothing new is read, and readiness says so."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    policies = FixedPolicies()
    policies.is_stale = True
    async with running(settings, policies=policies) as plane:
        await wait_until(plane.joined.is_set)
        await send(settings, [message(1)])

        assert any("policies may be old" in reason for reason in plane.unready())
        assert plane._state.buffer.messages == 0

        policies.is_stale = False
        await until_verdicts(settings, 1)


@pytest.mark.slow
async def test_a_broker_restart_loses_nothing(own_broker: Broker, topic_prefix: str) -> None:
    """A broker that is killed in the middle and comes back finds each message judged once."""
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 4)
    await send(settings, (message(number, "[sleep:100]") for number in range(2000)))
    async with running(settings) as plane:
        await until_verdicts(settings, 500)
        own_broker.kill()
        await wait_until(lambda: plane.unready() != [])
        await own_broker.start()
        await until_verdicts(settings, 2000, 240)
        await wait_until(lambda: plane.unready() == [])

    assert sorted(sources(await read_all(settings, "verdicts")).values()) == [1] * 2000


@pytest.mark.slow
async def test_stopping_ends_in_time_with_kafka_away(own_broker: Broker, topic_prefix: str) -> None:
    """With Kafka gone and messages in flight, stopping takes no longer than the drain and ten seconds."""
    # Nobody can leave the group then, so the next worker has to wait for the session's end.
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix, drain_timeout_s=3.0, session_timeout_s=6.0)
    await make_topics(settings, 4)
    await send(settings, (message(number, "[sleep:2000]") for number in range(300)))
    async with running(settings) as plane:
        await until_verdicts(settings, 50)
        own_broker.kill()
        await wait_until(lambda: plane._state.buffer.messages > 0)
        began_s = time.monotonic()
        await plane.stop()

        assert time.monotonic() - began_s < settings.drain_timeout_s + 10

    await own_broker.start()
    async with running(settings):
        await until_verdicts(settings, 300, 240)

    assert sorted(sources(await read_all(settings, "verdicts")).values()) == [1] * 300


async def test_starting_without_kafka_waits(own_broker: Broker, topic_prefix: str) -> None:
    """A worker that starts before Kafka is alive, not ready, and goes to work when it comes; it can stop before."""
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1)])
    await own_broker.stop()
    async with running(settings) as early:
        await wait_until(lambda: any("is Kafka running" in reason for reason in early.unready()))
    async with running(settings):
        await own_broker.start()
        await until_verdicts(settings, 1)
