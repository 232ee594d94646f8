"""Decisions of people out of and into ``overrides``, and the verdicts that they are about."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from msgspec import UNSET, Struct

from worker import content_digest, kafka
from worker.audit.explain.find import Finder, Found, Hint
from worker.audit.overrides.overrides import Judged, OverridesReport, Ruling, override_of, summarize
from worker.audit.overrides.seal import sealed_for
from worker.audit.span import CLOCK_SLACK_MS, at_times
from worker.audit.standing import Wanted
from worker.config import Settings
from worker.decoding import UNREADABLE
from worker.erasure.sealed_words import opened_override, sealed_keys
from worker.erasure.subject_keys import read_keys
from worker.errors import AuditError, DecodeError, KeysUnavailable, RecordError
from worker.override_records import Override
from worker.records import Message, decode, decode_message, encode

_JUDGED: Final = msgspec.json.Decoder(Judged)


class Written(Struct, frozen=True, kw_only=True):
    """What ``rsafe audit override --json`` prints: the decision, its place, and whether its words were compared.

    ``compared`` is null where the decision has neither text nor reason, and false where the message is gone.
    """

    override: Override
    topic: str
    partition: int
    offset: int
    compared: bool | None


async def override(settings: Settings, verdict_id: str, ruling: Ruling, hint: Hint) -> Written:
    """Publish a decision about a verdict, with the verdict's key and into its partition.

    Args:
        settings: addresses and prefix.
        verdict_id: 32 hex digits.
        ruling: what was decided.
        hint: where to look for the verdict.

    Raises:
        UsageError: the parts of the decision do not fit each other, its words are the message's, or they are
            about somebody who was erased.
        WrongDigestKey: the words would be sealed where no erasure finds the key; nothing was written.
        KeysUnavailable: the words cannot be sealed, so nothing was written.
        AuditError: there is no such verdict.
        PublishFailed: no acknowledgement came; look with ``rsafe audit overrides`` before trying again.

    """
    async with kafka.reader(settings) as consumer:
        finder = Finder(consumer, settings)
        found = _only(await finder.verdicts(verdict_id, None, hint), verdict_id)
        has_words = ruling.text is not None or ruling.reason is not None
        message = await _message_of(finder, found) if has_words else None
    made = override_of(found.verdict, ruling, dt.datetime.now(dt.UTC), message.text if message else None)
    if settings.erasure == "on" and has_words:
        made = await sealed_for(settings, made, message)
    place = await _publish(settings, made, found.record)
    return Written(
        override=made,
        topic=place.topic,
        partition=place.partition,
        offset=place.offset,
        compared=message is not None if has_words else None,
    )


def _only(found: list[Found], verdict_id: str) -> Found:
    """Return the verdict itself, not one that supersedes it."""
    for one in found:
        if one.verdict.verdict_id == verdict_id:
            return one
    text = f"only verdicts that supersede {verdict_id} are left; name one of them: {found[0].verdict.verdict_id}"
    raise AuditError(text)


async def _message_of(finder: Finder, found: Found) -> Message | None:
    record = await finder.message(found.verdict)
    try:
        message = decode_message(record.value or b"") if record is not None else None
    except DecodeError:
        return None
    same = message is not None and message.message_id == found.verdict.message_id
    return message if same else None


async def _publish(settings: Settings, made: Override, record: Any) -> Any:
    value = encode(made)
    async with kafka.writer(settings) as producer:
        return await kafka.send(
            producer,
            settings.topic("overrides"),
            value,
            key=record.key,
            headers=[*kafka.cloud_event("override", settings.instance), content_digest.header(record.key, value)],
            partition=record.partition,
            timeout_s=settings.kafka_timeout_s,
        )


class _Decisions:
    """The last decision about each verdict, by partition of the verdict."""

    def __init__(self) -> None:
        self.last: dict[int, dict[str, Override]] = defaultdict(dict)
        self.revised = self.unreadable = 0

    async def open(self, settings: Settings) -> None:
        """Open the free texts that are sealed; those that nobody can read stay null."""
        every = [said for by_verdict in self.last.values() for said in by_verdict.values()]
        try:
            keys = await read_keys(settings, sealed_keys(every))
        except KeysUnavailable:
            return
        for by_verdict in self.last.values():
            for verdict_id, said in by_verdict.items():
                if said.sealed is not UNSET:
                    by_verdict[verdict_id], _ = opened_override(said, keys.get(said.sealed.key))

    def take(self, record: Any, wanted: Wanted) -> None:
        try:
            said = decode(record.value or b"", Override, RecordError)
        except RecordError:
            self.unreadable += 1
            return
        decided_ms = said.decided_at.timestamp() * 1000
        early = wanted.from_ms is not None and decided_ms < wanted.from_ms
        late = wanted.to_ms is not None and decided_ms >= wanted.to_ms
        if early or late or wanted.tenant_id not in {None, said.tenant_id}:
            return
        partition = record.partition if said.source.partition is None else said.source.partition
        self.revised += said.verdict_id in self.last[partition]
        self.last[partition][said.verdict_id] = said


async def read_overrides(settings: Settings, wanted: Wanted) -> OverridesReport:
    """Join decisions to their verdicts; in memory are the decisions, which people make one by one.

    Args:
        settings: addresses and prefix.
        wanted: of which tenant, and decided when.

    Raises:
        BrokerAway: Kafka stopped answering.
        TopicMissing: a topic does not exist.

    """
    async with kafka.reader(settings) as consumer:
        found = await _read_decisions(settings, consumer, wanted)
        pairs: list[tuple[Override, Judged]] = []
        for one in await kafka.partitions_of(consumer, settings.topic("verdicts")):
            said = found.last.get(one.partition, {})
            judged = await _judged(settings, consumer, one, said) if said else {}
            pairs += [(said[verdict_id], verdict) for verdict_id, verdict in judged.items()]
    every = [said for by_verdict in found.last.values() for said in by_verdict.values()]
    return summarize(pairs, decisions=every, revised=found.revised, unreadable=found.unreadable)


async def _read_decisions(settings: Settings, consumer: Any, wanted: Wanted) -> _Decisions:
    logs = await kafka.bounds(consumer, await kafka.partitions_of(consumer, settings.topic("overrides")))
    decisions = _Decisions()
    for one, (first, end) in logs.items():
        consumer.assign([one])
        consumer.seek(one, first)
        async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
            decisions.take(record, wanted)
    await decisions.open(settings)
    return decisions


async def _judged(
    settings: Settings, consumer: Any, one: TopicPartition, said: Mapping[str, Override]
) -> dict[str, Judged]:
    """Find the verdicts that decisions of one partition are about."""
    logs = await kafka.bounds(consumer, [one])
    first, end = logs[one]
    oldest_ms = max(0, min(each.source.timestamp or 0 for each in said.values()) - CLOCK_SLACK_MS)
    start = (await at_times(consumer, logs, oldest_ms))[one] if oldest_ms else first
    consumer.assign([one])
    consumer.seek(one, max(first, min(start, end)))
    found: dict[str, Judged] = {}
    async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
        try:
            judged = _JUDGED.decode(record.value or b"")
        except UNREADABLE:
            continue
        if judged.verdict_id in said and judged.tenant_id == said[judged.verdict_id].tenant_id:
            found.setdefault(judged.verdict_id, judged)
        if len(found) == len(said):
            break
    return found
