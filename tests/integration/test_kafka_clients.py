"""The one place where Kafka clients are made, read from and ended, against a real broker."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tests.conftest import KafkaAddress
from tests.support import policy_topics as topics
from tests.support.waiting import wait_until
from worker import kafka
from worker.config import Settings
from worker.errors import BrokerAway, ConfigError, OutputTooLarge, TopicMissing


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings whose topics exist."""
    made = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, kafka_timeout_s=30)
    await topics.create(made)
    return made


@pytest.mark.broker
async def test_reading_ends_at_its_end_and_loses_nothing_behind_it(settings: Settings) -> None:
    """Markers of transactions are holes in the log; aborted records are not read."""
    topic = settings.topic("policies")
    producer = kafka.make_producer(settings, transactional_id=f"{settings.topic_prefix}t")
    await kafka.start(producer, settings)
    for keep in (True, False, True):
        await producer.begin_transaction()
        for number in range(3):
            await producer.send_and_wait(topic, b"kept" if keep else b"aborted", key=b"%d" % number)
        await (producer.commit_transaction() if keep else producer.abort_transaction())
    await kafka.close(producer)

    consumer = kafka.make_consumer(settings)
    await kafka.start(consumer, settings)
    (only,) = await kafka.partitions_of(consumer, topic)
    first, end = (await kafka.bounds(consumer, [only]))[only]
    assert (first, end) == (0, 12)
    consumer.assign([only])
    consumer.seek(only, first)
    assert [record.offset async for record in kafka.read(consumer, only, 2, 30)] == [0, 1]
    assert await consumer.position(only) == 2
    assert [record.offset async for record in kafka.read(consumer, only, end, 30)] == [2, 8, 9, 10]
    await kafka.close(consumer)


@pytest.mark.broker
async def test_a_missing_topic_is_named_with_its_cure(settings: Settings) -> None:
    """The partitions of a topic that is not there."""
    consumer = kafka.make_consumer(settings)
    await kafka.start(consumer, settings)
    with pytest.raises(TopicMissing, match="rsafe topics create"):
        await kafka.partitions_of(consumer, settings.topic("nothing"))
    await kafka.close(consumer)


@pytest.mark.broker
async def test_a_record_above_the_topics_limit_is_too_large(settings: Settings) -> None:
    """Refused by the broker, or by the producer itself beyond any topic's limit."""
    for size in (1_100_000, kafka.MAX_REQUEST_BYTES + 1):
        producer = kafka.make_producer(settings, compression_type=None)
        await kafka.start(producer, settings)
        with pytest.raises(OutputTooLarge):
            await kafka.send(producer, settings.topic("policies"), b"x" * size, key=b"k", timeout_s=30)
        await kafka.close(producer)


async def test_nobody_there_is_said_before_the_deadline() -> None:
    """A closed port fails at once, a port that never answers at the deadline; nothing is left open."""
    for listening in (False, True):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            if listening:
                taken.listen()
            settings = Settings(bootstrap_servers=f"127.0.0.1:{taken.getsockname()[1]}", kafka_timeout_s=0.5)
            for client in (kafka.make_consumer(settings), kafka.make_producer(settings), kafka.make_admin(settings)):
                began = time.monotonic()
                with pytest.raises(BrokerAway, match="is Kafka running"):
                    await kafka.start(client, settings)
                assert time.monotonic() - began < 5
    # A task that was cancelled ends at one of the next turns.
    await wait_until(lambda: len(asyncio.all_tasks()) == 1, what="nothing is left open")


async def test_an_address_that_is_none_names_the_setting() -> None:
    """A port that is no number is a wrong setting and not a broker that is away."""
    settings = Settings(bootstrap_servers="localhost:kafka")
    with pytest.raises(ConfigError, match="bootstrap_servers"):
        await kafka.start(kafka.make_consumer(settings), settings)
