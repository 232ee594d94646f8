"""The embedded broker: a real Kafka that our client agrees with, that keeps its data and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from jgo.maven import MavenContext

from tests.conftest import KafkaAddress
from tests.support.processes import line_with, processes_about, started
from tests.support.waiting import wait_until
from worker.broker import Broker, BrokerConfig
from worker.errors import BrokerAway, ConfigError

pytestmark = pytest.mark.broker


async def make_topic(address: str, name: str, **settings: str) -> TopicPartition:
    """Create a topic with one partition and wait until it can be written to."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        config = {key.replace("_", "."): value for key, value in settings.items()}
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config)])

        async def led() -> bool:
            topics = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
            return bool(topics.get(name)) and topics[name][0]["leader"] >= 0

        await wait_until(led, what=f"a leader of {name}")
    finally:
        await admin.close()
    return TopicPartition(name, 0)


async def produce(address: str, partition: TopicPartition, *pairs: tuple[bytes, bytes], **options: object) -> None:
    """Send key-value pairs, one after the other."""
    producer = AIOKafkaProducer(bootstrap_servers=address, **options)
    await producer.start()
    try:
        for key, value in pairs:
            await producer.send_and_wait(partition.topic, value, key=key, partition=partition.partition)
    finally:
        await producer.stop()


async def read_all(address: str, partition: TopicPartition, **options: object) -> list[tuple[bytes, bytes]]:
    """Return every key and value up to the end that the log had at the call."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, **options)
    await consumer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[tuple[bytes, bytes]] = []
        while await consumer.position(partition) < end:
            batch = await consumer.getmany(partition, timeout_ms=200)
            found += [(record.key, record.value) for record in batch.get(partition, [])]
        return found
    finally:
        await consumer.stop()


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A running broker for one test alone, which may stop and kill it."""
    async with Broker(BrokerConfig(port=0, data_dir=tmp_path / "kafka")) as kafka:
        yield kafka


@pytest.mark.parametrize("compression", [None, "gzip", "zstd", "lz4", "snappy"])
async def test_what_is_produced_is_consumed(broker: KafkaAddress, topic_prefix: str, compression: str | None) -> None:
    """Records come back in order under every compression that the settings offer."""
    partition = await make_topic(broker.bootstrap_servers, topic_prefix + "plain")
    pairs = [(b"k%d" % number, b"v" * 100 + b"%d" % number) for number in range(50)]

    await produce(broker.bootstrap_servers, partition, *pairs, compression_type=compression, enable_idempotence=True)

    assert pairs == await read_all(broker.bootstrap_servers, partition)


async def test_a_group_goes_on_where_it_committed(broker: KafkaAddress, topic_prefix: str) -> None:
    """A second member of a group starts at the offset that the first one committed."""
    partition = await make_topic(broker.bootstrap_servers, topic_prefix + "grouped")
    await produce(broker.bootstrap_servers, partition, *[(b"k", b"%d" % number) for number in range(5)])
    options = {
        "bootstrap_servers": broker.bootstrap_servers,
        "group_id": topic_prefix + "group",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
    }

    async with AIOKafkaConsumer(partition.topic, **options) as first:
        assert (await first.getone()).value == b"0"
        await first.commit({partition: 3})

    async with AIOKafkaConsumer(partition.topic, **options) as second:
        assert (await second.getone()).value == b"3"


async def test_an_aborted_transaction_is_not_read(broker: KafkaAddress, topic_prefix: str) -> None:
    """Under read_committed only the records of committed transactions are seen."""
    partition = await make_topic(broker.bootstrap_servers, topic_prefix + "transactional")
    name = f"tx-{uuid.uuid4().hex}"

    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, transactional_id=name) as producer:
        async with producer.transaction():
            await producer.send_and_wait(partition.topic, b"kept", key=b"a", partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(partition.topic, b"dropped", key=b"b", partition=0)
        await producer.abort_transaction()
    seen = await read_all(broker.bootstrap_servers, partition, isolation_level="read_committed")

    assert [(b"a", b"kept")] == seen


@pytest.mark.slow
async def test_compaction_keeps_the_last_of_a_key(broker: KafkaAddress, topic_prefix: str) -> None:
    """In a compacted topic the older values of a key go away by themselves."""
    partition = await make_topic(
        broker.bootstrap_servers,
        topic_prefix + "compacted",
        cleanup_policy="compact",
        segment_ms="1000",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="1000",
    )
    await produce(broker.bootstrap_servers, partition, (b"k", b"old"), (b"k", b"new"))

    async def compacted() -> bool:
        # A later record closes the segment, which is what allows the cleaner to look at it.
        await produce(broker.bootstrap_servers, partition, (b"tick", b""))
        return (b"k", b"old") not in await read_all(broker.bootstrap_servers, partition)

    await wait_until(compacted, 90, what="compaction", interval_s=1.0)
    assert (b"k", b"new") in await read_all(broker.bootstrap_servers, partition)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_data_outlives_the_process(own_broker: Broker, end: str) -> None:
    """After an orderly end and after a crash the same address serves the same records."""
    partition = await make_topic(own_broker.bootstrap_servers, "kept")
    await produce(own_broker.bootstrap_servers, partition, (b"k", b"before"))
    address, pid = own_broker.bootstrap_servers, own_broker.pid

    if end == "stop":
        await own_broker.stop()
    else:
        own_broker.kill()
    assert own_broker.pid is None
    await own_broker.start()

    assert (address, True) == (own_broker.bootstrap_servers, own_broker.pid != pid)
    assert await read_all(address, partition) == [(b"k", b"before")]


async def test_any_cluster_id_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One random id in 64 begins with a dash, which must not look like an option (seen as a broker that fails)."""
    monkeypatch.setattr("worker.broker._cluster_id", lambda: "-QlM0CTxS8ek3lP2Bq9bBQ")

    async with Broker(BrokerConfig(port=0, data_dir=tmp_path / "kafka")) as kafka:
        assert kafka.pid
    assert "-QlM0CTxS8ek3lP2Bq9bBQ" in (tmp_path / "kafka" / "log" / "meta.properties").read_text()


async def test_a_broker_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """Kafka dies with its parent process, not with whichever thread happened to start it."""
    kafka = Broker(BrokerConfig(port=0, data_dir=tmp_path / "kafka"))
    thread = threading.Thread(target=lambda: asyncio.run(kafka.start()))
    thread.start()
    await asyncio.to_thread(thread.join)

    partition = await make_topic(kafka.bootstrap_servers, "alive")
    await produce(kafka.bootstrap_servers, partition, (b"k", b"v"))
    await kafka.stop()


async def test_kafka_listens_on_loopback_only(own_broker: Broker) -> None:
    """Every port that the process listens on is bound to 127.0.0.1."""
    connections = psutil.Process(own_broker.pid).net_connections(kind="inet")
    listening = {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}

    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port that someone else listens on is refused before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} .* in use; .*--port"):
            await Broker(BrokerConfig(port=port, data_dir=tmp_path / "kafka")).start()


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A data folder in an impossible place is refused before anything is started."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"cannot be written .*--data-dir"):
        await Broker(BrokerConfig(port=0, data_dir=tmp_path / "file" / "kafka")).start()


async def test_one_folder_serves_one_broker(own_broker: Broker) -> None:
    """A second broker on the same data is refused before it touches anything."""
    with pytest.raises(ConfigError, match=r"in use by another broker; .*--data-dir"):
        await Broker(BrokerConfig(port=0, data_dir=own_broker.config.data_dir)).start()

    await make_topic(own_broker.bootstrap_servers, "alive")


async def test_a_broken_data_folder_is_explained(own_broker: Broker) -> None:
    """What Kafka cannot start on ends in one line with Kafka's own words and the way out."""
    await own_broker.stop()
    (own_broker.config.data_dir / "log" / "meta.properties").write_text("broken")

    with pytest.raises(BrokerAway, match=r"Kafka ended with status 1: .*--data-dir") as failure:
        await own_broker.start()

    assert "\n" not in str(failure.value)
    assert own_broker.pid is None


async def test_wait_reports_an_end_that_nobody_asked_for(own_broker: Broker) -> None:
    """When Kafka dies by itself, whoever waits for it hears of it."""
    assert own_broker.pid
    waiting = asyncio.create_task(own_broker.wait())

    os.kill(own_broker.pid, signal.SIGKILL)

    with pytest.raises(BrokerAway, match="ended with status -9"):
        await asyncio.wait_for(waiting, 30)


async def test_a_cancelled_start_leaves_no_process(tmp_path: Path) -> None:
    """Whoever gives up while Kafka starts does not have to clean up after it."""
    kafka = Broker(BrokerConfig(port=0, data_dir=tmp_path / "kafka"))
    starting = asyncio.create_task(kafka.start())
    await wait_until(lambda: processes_about(str(tmp_path / "kafka")), what="a Java process")

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not processes_about(str(tmp_path / "kafka"))


async def test_nothing_on_the_path_is_needed(tmp_path: Path) -> None:
    """With no Java, no Maven and no other program on the PATH the broker is ready all the same."""
    (tmp_path / "bin").mkdir()
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "M2_REPO": str(MavenContext().repo_cache)}
    arguments = ("broker", "--port", "0", "--data-dir", str(tmp_path / "kafka"))

    with started(*arguments, log=tmp_path / "out", env=env) as process:
        assert await line_with(tmp_path / "out", "ready 127.0.0.1:", process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_the_command_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """A signal to the whole process group, as a terminal sends it, ends the command with 0 and Java with it."""
    arguments = ("broker", "--port", "0", "--data-dir", str(tmp_path / "kafka"))

    with started(*arguments, log=tmp_path / "out") as process:
        ready = await line_with(tmp_path / "out", "ready ", process)
        os.killpg(process.pid, number)
        code = await asyncio.to_thread(process.wait, 60)

    assert code == 0
    assert (tmp_path / "out").read_text() == ready + "\n"
    assert not processes_about(str(tmp_path / "kafka"))


@pytest.mark.chaos
async def test_no_java_outlives_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL gives the command no time to clean up, and Kafka is gone nevertheless."""
    arguments = ("broker", "--port", "0", "--data-dir", str(tmp_path / "kafka"))

    with started(*arguments, log=tmp_path / "out") as process:
        await line_with(tmp_path / "out", "ready ", process)
        assert len(processes_about(str(tmp_path / "kafka"))) == 2
        process.kill()

    await wait_until(lambda: not processes_about(str(tmp_path / "kafka")), 10, what="the end of Java")
