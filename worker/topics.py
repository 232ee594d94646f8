"""Every topic of the worker: what it is for Kafka, and how it comes into being.

The catalogue and the plan are pure; ``create_topics`` carries the plan out and may be run again at any time.
Growing makes room for outputs first and for messages last, so that no message lies in a partition whose
verdict has no place. Nothing ever shrinks: Kafka cannot, and offsets would lose their meaning.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidPartitionsError, NoError, TopicAlreadyExistsError, for_code
from msgspec import Struct, structs

from worker import kafka
from worker.config import Settings
from worker.errors import BrokerAway, UsageError
from worker.kafka_errors import translated

DEFAULT_PARTITIONS: Final = 8

_MIB: Final = 1024 * 1024
_DAY_MS: Final = 24 * 60 * 60 * 1000
_WEEK_MS: Final = 7 * _DAY_MS
_MONTH_MS: Final = 30 * _DAY_MS
_FOREVER: Final = -1
_WANTED_REPLICATION: Final = 3
_WANTED_MIN_ISR: Final = 2
_POLL_INTERVAL_S: Final = 0.1


class TopicSpec(Struct, frozen=True):
    """One topic.

    Attributes:
        name: the full name, with the prefix.
        settings: Kafka's topic settings, as Kafka spells them.
        single: it has one partition whatever is asked for.
        follows: the full name of the input whose partition numbers it shares; empty for none.

    """

    name: str
    settings: Mapping[str, str]
    single: bool = False
    follows: str = ""


class Plan(Struct, frozen=True):
    """What is to be done, in order: full names and the number of partitions each shall have."""

    create: Mapping[str, int]
    grow: Mapping[str, int]


class TopicsReport(Struct, frozen=True):
    """What was done: names that are new, those that grew (to how many partitions), and what to look at."""

    partitions: int
    replication: int
    min_isr: int
    created: list[str]
    grown: dict[str, int]
    warnings: list[str]


def catalogue(prefix: str) -> tuple[TopicSpec, ...]:
    """Return all topics in the order in which they are made and grown: ``messages`` comes last."""
    messages = TopicSpec(prefix + "messages", _appended(_WEEK_MS, 2 * _MIB))

    def output(name: str, retention_ms: int, max_message_bytes: int = 3 * _MIB) -> TopicSpec:
        return TopicSpec(prefix + name, _appended(retention_ms, max_message_bytes), follows=messages.name)

    return (
        TopicSpec(prefix + "policies", _compacted(2 * _MIB), single=True),
        TopicSpec(prefix + "policy-history", _appended(_FOREVER, 3 * _MIB), single=True),
        TopicSpec(prefix + "commands", _appended(_WEEK_MS, 1 * _MIB), single=True),
        TopicSpec(prefix + "replays", _appended(_FOREVER, 1 * _MIB), single=True),
        # An erased key leaves the brokers' disks when its segment is compacted: within a day of the next record.
        TopicSpec(prefix + "subject-keys", _compacted(1 * _MIB) | {"max.compaction.lag.ms": str(_DAY_MS)}, single=True),
        TopicSpec(prefix + "erasures", _appended(_FOREVER, 1 * _MIB), single=True),
        output("verdicts", _MONTH_MS),
        output("traces", _MONTH_MS),
        output("dead-letters", _MONTH_MS, 4 * _MIB),
        output("shadow-verdicts", _WEEK_MS),
        output("shadow-traces", _WEEK_MS),
        output("overrides", _FOREVER),
        # What was replaced is kept as long as verdicts are: a replay asks which exceptions a message's time had.
        TopicSpec(
            prefix + "exceptions",
            _compacted(1 * _MIB) | {"retention.ms": "-1", "min.compaction.lag.ms": str(_MONTH_MS)},
            follows=messages.name,
        ),
        output("policy-applied", _MONTH_MS),
        output("replay-verdicts", _MONTH_MS),
        output("replay-traces", _MONTH_MS),
        messages,
    )


def _appended(retention_ms: int, max_message_bytes: int) -> dict[str, str]:
    return _common(max_message_bytes) | {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}


def _compacted(max_message_bytes: int) -> dict[str, str]:
    # The segment that is written to is never compacted: without a daily roll a small topic never would be.
    # A tombstone stays a week, so that a reader that was away over days still sees it.
    return _common(max_message_bytes) | {
        "cleanup.policy": "compact",
        "segment.ms": str(_DAY_MS),
        "min.cleanable.dirty.ratio": "0.1",
        "delete.retention.ms": str(_WEEK_MS),
    }


def _common(max_message_bytes: int) -> dict[str, str]:
    # The broker's clock stamps every record: one that a worker stamps an hour ahead is refused, and one that it
    # stamps a month ago counts as old enough to be deleted.
    return {
        "max.message.bytes": str(max_message_bytes),
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
    }


def plan(specs: Iterable[TopicSpec], existing: Mapping[str, int], partitions: int) -> Plan:
    """Decide what to create and what to grow.

    Args:
        specs: the catalogue.
        existing: full name to number of partitions of what is there.
        partitions: how many are asked for; an output gets no fewer than its input has.

    """
    create, grow = {}, {}
    for spec in specs:
        target = 1 if spec.single else max(partitions, existing.get(spec.follows, 0))
        if spec.name not in existing:
            create[spec.name] = target
        elif existing[spec.name] < target:
            grow[spec.name] = target
    return Plan(create=create, grow=grow)


async def create_topics(
    bootstrap: str,
    prefix: str,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int | None = None,
    min_isr: int | None = None,
    *,
    login: Settings | None = None,
) -> TopicsReport:
    """Create what is missing and grow what is too small; returns when every partition can be used.

    Args:
        bootstrap: Kafka addresses, ``host:port`` separated by commas.
        prefix: what stands before every topic's name.
        partitions: at least so many for each topic that is not single.
        replication: copies of each new partition (3, or as many as there are brokers).
        min_isr: copies that must have a record before it counts as written (2, or ``replication``).
        login: the settings whose login to Kafka is used; none where Kafka asks for none.

    Raises:
        UsageError: numbers that contradict each other or the cluster.
        BrokerAway: Kafka does not answer, or the topics got no leaders in time.
        ConfigError: Kafka refuses.

    """
    if partitions < 1:
        text = f"--partitions {partitions} is not at least 1"
        raise UsageError(text)
    settings = _settings(bootstrap, prefix, login)
    admin = kafka.make_admin(settings)
    await kafka.start(admin, settings)
    try:
        with translated("creating topics"):
            return await _Creation(admin, settings, partitions).run(replication, min_isr)
    finally:
        await kafka.close(admin)


def _settings(bootstrap: str, prefix: str, login: Settings | None) -> Settings:
    return structs.replace(login or Settings(), bootstrap_servers=bootstrap, topic_prefix=prefix)


async def missing_topics(bootstrap: str, prefix: str, *, login: Settings | None = None) -> list[str]:
    """Return the full names of the topics that do not exist; ``login`` as for ``create_topics``.

    Raises:
        BrokerAway: Kafka does not answer.

    """
    settings = _settings(bootstrap, prefix, login)
    admin = kafka.make_admin(settings)
    await kafka.start(admin, settings)
    try:
        with translated("listing topics"):
            existing = await _partition_counts(admin)
    finally:
        await kafka.close(admin)
    return [spec.name for spec in catalogue(prefix) if spec.name not in existing]


class _Creation:
    """One run of ``create_topics``."""

    def __init__(self, admin: AIOKafkaAdminClient, settings: Settings, partitions: int) -> None:
        self._admin = admin
        self._settings = settings
        self._partitions = partitions
        self._deadline = time.monotonic() + settings.kafka_timeout_s
        self._specs = {spec.name: spec for spec in catalogue(settings.topic_prefix)}

    async def run(self, replication: int | None, min_isr: int | None) -> TopicsReport:
        replication, min_isr = _copies(await self._count_brokers(), replication, min_isr)
        existing = await _partition_counts(self._admin)
        todo = plan(self._specs.values(), existing, self._partitions)
        created = await self._create(todo.create, replication, min_isr)
        for name, count in todo.grow.items():
            await self._grow(name, count)
        return TopicsReport(
            partitions=self._partitions,
            replication=replication,
            min_isr=min_isr,
            created=created,
            grown=dict(todo.grow),
            warnings=[
                *_copies_warning(replication, min_isr),
                *self._too_many(existing),
                *await self._differences(set(existing)),
            ],
        )

    async def _count_brokers(self) -> int:
        return len((await self._admin.describe_cluster())["brokers"])

    async def _create(self, wanted: Mapping[str, int], replication: int, min_isr: int) -> list[str]:
        """Create topics, all in one request; return those that nobody else made in between."""
        if not wanted:
            return []
        response = await self._admin.create_topics(
            [self._new_topic(name, count, replication, min_isr) for name, count in wanted.items()]
        )
        outcomes = {name: (for_code(code), f"{name}: {message}") for name, code, message in response.topic_errors}
        for error, text in outcomes.values():
            if error not in {NoError, TopicAlreadyExistsError}:
                raise error(text)
        await self._until_usable(wanted)
        return [name for name, (error, _) in outcomes.items() if error is NoError]

    def _new_topic(self, name: str, count: int, replication: int, min_isr: int) -> NewTopic:
        config = {**self._specs[name].settings, "min.insync.replicas": str(min_isr)}
        return NewTopic(name, num_partitions=count, replication_factor=replication, topic_configs=config)

    async def _grow(self, name: str, count: int) -> None:
        # Someone else may have grown it in between; whether it is large enough is looked at next.
        with contextlib.suppress(InvalidPartitionsError):
            await self._admin.create_partitions({name: NewPartitions(total_count=count)})
        await self._until_usable({name: count})

    async def _until_usable(self, wanted: Mapping[str, int]) -> None:
        """Wait until each topic has its partitions and each one's leader answers: from then on it can be used.

        A leader is named a moment before it takes requests, hence the question for the logs' ends.
        """
        while behind := [name for name, count in wanted.items() if (await self._led()).get(name, 0) < count]:
            if time.monotonic() > self._deadline:
                text = f"topic {behind[0]} has no leaders yet; look at the brokers' logs, then run this again"
                raise BrokerAway(text)
            await asyncio.sleep(_POLL_INTERVAL_S)
        async with kafka.reader(self._settings) as consumer:
            await kafka.bounds(consumer, [TopicPartition(name, n) for name in wanted for n in range(wanted[name])])

    async def _led(self) -> dict[str, int]:
        topics = await self._admin.describe_topics()
        return {topic["topic"]: sum(part["leader"] >= 0 for part in topic["partitions"]) for topic in topics}

    def _too_many(self, existing: Mapping[str, int]) -> list[str]:
        return [
            f"{spec.name} has {existing[spec.name]} partitions and must have one; delete it and run this again"
            for spec in self._specs.values()
            if spec.single and existing.get(spec.name, 1) > 1
        ]

    async def _differences(self, existing: set[str]) -> list[str]:
        """Name the settings of older topics that are not the catalogue's: they may be someone's choice."""
        names = [name for name in self._specs if name in existing]
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        found = []
        for response in await self._admin.describe_configs(resources) if resources else ():
            for _, _, _, name, entries in response.resources:
                found += self._compare(name, {entry[0]: entry[1] for entry in entries})
        return found

    def _compare(self, name: str, actual: Mapping[str, Any]) -> list[str]:
        return [
            f"{name} has {key}={actual.get(key)}, not {value}; left as it is"
            for key, value in self._specs[name].settings.items()
            if actual.get(key) != value
        ]


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Return every topic's number of partitions.

    All topics are asked for: naming one that is missing would create it where auto-creation is on.
    """
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


def _copies(brokers: int, replication: int | None, min_isr: int | None) -> tuple[int, int]:
    """Return replication and min.isr: what is asked for, or what the cluster allows."""
    replication = min(_WANTED_REPLICATION, brokers) if replication is None else replication
    min_isr = min(_WANTED_MIN_ISR, replication) if min_isr is None else min_isr
    if not 1 <= replication <= brokers:
        text = f"--replication {replication} does not fit {brokers} broker(s); ask for 1 to {brokers}"
        raise UsageError(text)
    if not 1 <= min_isr <= replication:
        text = f"--min-isr {min_isr} does not fit --replication {replication}; ask for 1 to {replication}"
        raise UsageError(text)
    return replication, min_isr


def _copies_warning(replication: int, min_isr: int) -> list[str]:
    if replication >= _WANTED_REPLICATION and min_isr >= _WANTED_MIN_ISR:
        return []
    text = (
        f"replication {replication}, min.isr {min_isr}: a lost disk can lose messages; "
        f"with {_WANTED_REPLICATION} brokers take {_WANTED_REPLICATION} and {_WANTED_MIN_ISR}"
    )
    return [text]
