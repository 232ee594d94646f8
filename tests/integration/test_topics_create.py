"""``rsafe topics create`` against a real Kafka: once, again, larger, and with nobody there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.conftest import KafkaAddress
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker.broker import _free_port
from worker.errors import BrokerAway
from worker.topics import catalogue, create_topics, missing_topics

pytestmark = pytest.mark.broker


async def describe(address: str, prefix: str) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """Return partition counts and settings of every topic under a prefix."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        topics = await admin.describe_topics()
        counts = {topic["topic"]: len(topic["partitions"]) for topic in topics if topic["topic"].startswith(prefix)}
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in counts])
    finally:
        await admin.close()
    settings = {
        name: {entry[0]: entry[1] for entry in entries}
        for response in responses
        for _, _, _, name, entries in response.resources
    }
    return counts, settings


async def test_every_topic_is_there_with_its_settings(broker: KafkaAddress, topic_prefix: str) -> None:
    """After one run each topic of the catalogue exists and Kafka reports the settings asked for."""
    report = await create_topics(broker.bootstrap_servers, topic_prefix)

    counts, settings = await describe(broker.bootstrap_servers, topic_prefix)
    assert {spec.name: 1 if spec.single else 8 for spec in catalogue(topic_prefix)} == counts
    for spec in catalogue(topic_prefix):
        assert dict(spec.settings).items() <= settings[spec.name].items()
        assert str(report.min_isr) == settings[spec.name]["min.insync.replicas"]


async def test_a_second_run_does_nothing(broker: KafkaAddress, topic_prefix: str) -> None:
    """The same request again, or one for fewer partitions, changes nothing and says so."""
    first = await create_topics(broker.bootstrap_servers, topic_prefix, 4)
    before = await describe(broker.bootstrap_servers, topic_prefix)

    again = await create_topics(broker.bootstrap_servers, topic_prefix, 4)
    fewer = await create_topics(broker.bootstrap_servers, topic_prefix, 2)

    assert len(catalogue(topic_prefix)) == len(first.created)
    assert ([], {}, [], {}) == (again.created, again.grown, fewer.created, fewer.grown)
    assert before == await describe(broker.bootstrap_servers, topic_prefix)


async def test_growing(broker: KafkaAddress, topic_prefix: str) -> None:
    """More partitions reach every topic but the single ones."""
    await create_topics(broker.bootstrap_servers, topic_prefix, 2)

    report = await create_topics(broker.bootstrap_servers, topic_prefix, 3)

    counts, _ = await describe(broker.bootstrap_servers, topic_prefix)
    assert {spec.name: 1 if spec.single else 3 for spec in catalogue(topic_prefix)} == counts
    assert {spec.name: 3 for spec in catalogue(topic_prefix) if not spec.single} == report.grown


async def test_runs_at_the_same_time_agree(broker: KafkaAddress, topic_prefix: str) -> None:
    """Of several runs at once each succeeds, and each topic is made by exactly one of them and grown to the end."""
    reports = await asyncio.gather(*[create_topics(broker.bootstrap_servers, topic_prefix, 2) for _ in range(3)])
    await asyncio.gather(*[create_topics(broker.bootstrap_servers, topic_prefix, 3) for _ in range(3)])

    created = [name for report in reports for name in report.created]
    counts, _ = await describe(broker.bootstrap_servers, topic_prefix)
    assert sorted(spec.name for spec in catalogue(topic_prefix)) == sorted(created)
    assert {spec.name: 1 if spec.single else 3 for spec in catalogue(topic_prefix)} == counts


async def test_what_is_missing_is_named(broker: KafkaAddress, topic_prefix: str) -> None:
    """First every topic is missing, then none."""
    before = await missing_topics(broker.bootstrap_servers, topic_prefix)
    await create_topics(broker.bootstrap_servers, topic_prefix, 1)
    after = await missing_topics(broker.bootstrap_servers, topic_prefix)

    assert ([spec.name for spec in catalogue(topic_prefix)], []) == (before, after)


async def test_older_topics_are_left_alone_and_named(broker: KafkaAddress, topic_prefix: str) -> None:
    """A topic made by hand with other settings or too many partitions stays as it is, with a warning."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic_prefix + "policies", 1, 1)])
        await admin.create_partitions({topic_prefix + "policies": NewPartitions(total_count=2)})

        async def grown() -> bool:
            counts, _ = await describe(broker.bootstrap_servers, topic_prefix)
            return counts == {topic_prefix + "policies": 2}

        await wait_until(grown, what="two partitions")
    finally:
        await admin.close()

    report = await create_topics(broker.bootstrap_servers, topic_prefix, 1)

    warnings = "\n".join(report.warnings)
    assert f"{topic_prefix}policies has 2 partitions and must have one" in warnings
    assert f"{topic_prefix}policies has cleanup.policy=delete, not compact" in warnings


async def test_nobody_there(topic_prefix: str) -> None:
    """Without Kafka the error names the address and what to look at."""
    address = f"127.0.0.1:{_free_port()}"

    with pytest.raises(BrokerAway, match=f"{address}.*is Kafka running"):
        await create_topics(address, topic_prefix)


def run_command(address: str, prefix: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``rsafe topics create`` and wait for its end."""
    command = [sys.executable, "-m", "worker", "topics", "create", *arguments]
    env = {"RSAFE_BOOTSTRAP_SERVERS": address, "RSAFE_TOPIC_PREFIX": prefix, "PATH": ""}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_prints_json(broker: KafkaAddress, topic_prefix: str) -> None:
    """With ``--json`` standard output is one object, whatever is warned of beside it."""
    done = run_command(broker.bootstrap_servers, topic_prefix, "--partitions", "2", "--json")

    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0
    assert (2, {}) == (report["partitions"], report["grown"])
    assert len(report["created"]) == len(catalogue(topic_prefix))


@pytest.mark.parametrize(
    "arguments",
    [("--partitions", "0"), ("--replication", "99"), ("--replication", "1", "--min-isr", "2"), ("--partitions", "x")],
)
def test_wrong_use_ends_with_2(broker: KafkaAddress, topic_prefix: str, arguments: tuple[str, ...]) -> None:
    """Numbers that cannot be are wrong use: exit 2, one line, no traceback."""
    done = run_command(broker.bootstrap_servers, topic_prefix, *arguments)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
