"""What an erasure touches and what it leaves: counts, and until when ``messages`` holds the text."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Collection
from typing import Final

import msgspec
from aiokafka import ConsumerRecord
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from msgspec import Struct

from worker import kafka
from worker.audit.erasing.misfiled import misfiled
from worker.audit.erasing.whole import whole
from worker.config import Settings
from worker.dead_letter import redriven_from
from worker.erasure.sealed_words import letter_key
from worker.erasure.subjects import Subject, subject_of_bytes
from worker.errors import ConfigError, TopicMissing
from worker.kafka_errors import translated
from worker.stream.work import source_of

#: Where sealed words stand.
SEALED_TOPICS: Final = ("traces", "shadow-traces", "replay-traces", "dead-letters", "overrides")
_KEY: Final = re.compile(rb'"sealed":\{"key":"([0-9a-f]{32})"')
#: Kafka looks for what is too old every five minutes, and deletes a minute later.
_SLACK: Final = dt.timedelta(minutes=10)
_FOREVER_MS: Final = -1


class Counted(Struct, frozen=True, kw_only=True):
    """The subject's messages that are still there, the newest one's time, and its sealed records by topic.

    ``misfiled`` are places in ``messages`` of dead letters that may hold its words under another name. Null
    stands for what this login may not read: who erases need not be able to.
    """

    messages: int
    newest: dt.datetime | None
    records: dict[str, int | None]
    misfiled: tuple[str, ...] | None


class Bound(Struct, frozen=True, kw_only=True):
    """When ``messages`` has let go of every message up to ``newest``; null where its retention has no end."""

    until: dt.datetime | None
    newest: dt.datetime | None


async def bound(settings: Settings, counted: Counted | None) -> Bound:
    """Return until when ``messages`` holds the text at the latest.

    Kafka drops whole segments, once the youngest record in one is older than the retention: so a record
    may stay for the time that a segment is written to (``segment.ms``) longer than the retention says.

    Args:
        settings: addresses and prefix.
        counted: with the subject's newest message; without, the topic's newest counts, which is not older.

    Raises:
        StreamError: Kafka is away, or there is no such topic.
        ConfigError: this login may not look at the topic's settings.

    """
    newest = await _newest(settings) if counted is None else counted.newest
    found = await _topic_settings(settings)
    retention_ms, segment_ms = int(found["retention.ms"]), int(found["segment.ms"])
    if retention_ms == _FOREVER_MS:
        return Bound(until=None, newest=newest)
    last = newest or dt.datetime.now(dt.UTC)
    return Bound(until=last + dt.timedelta(milliseconds=retention_ms + segment_ms) + _SLACK, newest=newest)


async def _topic_settings(settings: Settings) -> dict[str, str]:
    name = settings.topic("messages")
    admin = kafka.make_admin(settings)
    await kafka.start(admin, settings)
    try:
        with translated(f"asking for the retention of {name}"):
            async with asyncio.timeout(settings.kafka_timeout_s):
                answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    finally:
        await kafka.close(admin)
    found = {entry[0]: entry[1] for answer in answers for *_, entries in answer.resources for entry in entries}
    if not {"retention.ms", "segment.ms"} <= found.keys():
        text = f"Kafka does not show the retention of {name}; this login needs DescribeConfigs on it"
        raise ConfigError(text)
    return found


async def _newest(settings: Settings) -> dt.datetime | None:
    """Return the time of the youngest last record of ``messages``."""
    times = []
    async with kafka.reader(settings) as consumer:
        every = await kafka.partitions_of(consumer, settings.topic("messages"))
        for one, (first, end) in (await kafka.bounds(consumer, every)).items():
            consumer.assign([one])
            consumer.seek(one, max(first, end - 1))
            times += [record.timestamp async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s)]
    return _moment(max(times)) if times else None


async def count(settings: Settings, subject: Subject, keys: Collection[str]) -> Counted:
    """Count a subject's messages, and the records that are sealed under its keys; reads those topics whole.

    Raises:
        StreamError: Kafka is away, or a topic is missing.

    """
    messages, newest_ms, redriven = 0, 0, set[str]()
    async for record in whole(settings, "messages"):
        if record.value is not None and _is_of(record, subject):
            messages, newest_ms = messages + 1, max(newest_ms, record.timestamp)
            redriven |= {reference for reference in [redriven_from(record.headers)] if reference is not None}
    return Counted(
        messages=messages,
        newest=_moment(newest_ms) if newest_ms else None,
        records={name: await _count_sealed(settings, name, keys) for name in SEALED_TOPICS},
        misfiled=await misfiled(settings, subject, keys, redriven),
    )


async def _count_sealed(settings: Settings, name: str, keys: Collection[str]) -> int | None:
    try:
        return sum([_sealed_under(record) in keys async for record in whole(settings, name)]) if keys else 0
    except (ConfigError, TopicMissing):
        return None


def _is_of(record: ConsumerRecord, subject: Subject) -> bool:
    # Most records do not hold the id at all, whichever way it is written; an escaped one is decoded.
    needle = msgspec.json.encode(subject.id)[1:-1]
    if subject.kind != "record" and needle not in record.value and b"\\" not in record.value:
        return False
    return subject_of_bytes(record.value, source_of(record)) == subject


def _sealed_under(record: ConsumerRecord) -> str | None:
    if (key := letter_key(record.headers)) is not None:
        return key
    found = _KEY.search(record.value or b"")
    return None if found is None else found[1].decode()


def _moment(time_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
