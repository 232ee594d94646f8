"""What a run replays: ranges with their ends, filters, policies; fixed once, written to ``replays``."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from msgspec import Struct, structs

from worker import kafka
from worker.audit.replay.originals import Original
from worker.audit.span import CLOCK_SLACK_MS, at_times, first_times
from worker.config import Settings
from worker.errors import AuditError, RecordError, TopicMissing, UsageError
from worker.records import Message, ModelRef, decode, encode, or_none
from worker.replay_records import ReplayCounts, ReplayFilter, ReplayPolicies, ReplayRange, ReplayRun

_CONTROL_BUCKETS: Final = 2**32
_CONTROL_SHARE: Final = 0.1
_CONTROL_MESSAGES: Final = 100

#: Offsets of one partition as somebody asked for them: first, and end (excluded) or none for the log's end.
Wanted = tuple[int, int | None]


class ReplayPlan(Struct, frozen=True, kw_only=True):
    """What is asked for, before Kafka was looked at.

    Attributes:
        offsets: ranges by partition; empty for all partitions, bounded by the filter's times.
        filter: which messages of these.
        policies: what to judge under; its ``history_end`` is set when the run starts.
        control_share: share of the messages that is judged twice; None takes one that suffices.

    """

    offsets: dict[int, Wanted]
    filter: ReplayFilter
    policies: ReplayPolicies
    control_share: float | None = None


def new_run_id(now: dt.datetime) -> str:
    """Return a name that sorts by time and that no other run has."""
    return f"r{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def usual_share(offsets: int) -> float:
    """Return a tenth, or as much as gives about a hundred messages: from fewer nothing can be told."""
    return max(_CONTROL_SHARE, min(1.0, _CONTROL_MESSAGES / max(1, offsets)))


def is_control(run_id: str, partition: int, offset: int, share: float) -> bool:
    """Tell whether a message is in the sample that is judged twice; always the same answer within a run."""
    digest = hashlib.sha256(f"{run_id}/{partition}/{offset}".encode()).digest()
    return int.from_bytes(digest[:4]) < share * _CONTROL_BUCKETS


def wants_message(wanted: ReplayFilter, message: Message, timestamp_ms: int) -> bool:
    """Tell whether a message passes the filter, as far as it alone says."""
    if wanted.from_ms is not None and timestamp_ms < wanted.from_ms:
        return False
    if wanted.to_ms is not None and timestamp_ms >= wanted.to_ms:
        return False
    if wanted.tenants and message.tenant_id not in wanted.tenants:
        return False
    return not wanted.channels or or_none(message.channel_id) in wanted.channels


def wants_original(wanted: ReplayFilter, original: Original | None) -> bool:
    """Tell whether a message passes the filter by its original verdict."""
    if not wanted.labels and not wanted.categories:
        return True
    if original is None or (wanted.labels and original.label not in wanted.labels):
        return False
    return not wanted.categories or not original.hits.isdisjoint(wanted.categories)


async def ranges(settings: Settings, plan: ReplayPlan) -> tuple[ReplayRange, ...]:
    """Turn what is asked for into ranges that end where the logs end now.

    With times, a range starts at the first message that is not older and ends before the first that is
    too young: exact where Kafka sets the times (``topics create`` asks for that).

    Raises:
        TopicMissing: a topic does not exist, or has no twin of a partition.
        UsageError: there is no such partition, or an offset is not in its log.
        BrokerAway: nobody answers.

    """
    async with kafka.reader(settings) as consumer:
        return await _ranges(settings, plan, consumer)


async def _ranges(settings: Settings, plan: ReplayPlan, consumer: Any) -> tuple[ReplayRange, ...]:
    messages = await kafka.partitions_of(consumer, settings.topic("messages"))
    numbers = [partition.partition for partition in messages]
    if strange := sorted(set(plan.offsets) - set(numbers)):
        text = f"--offsets: there is no partition {strange[0]}; {settings.topic('messages')} has 0 to {max(numbers)}"
        raise UsageError(text)
    chosen = [partition for partition in messages if not plan.offsets or partition.partition in plan.offsets]
    asked = await _asked(consumer, plan, chosen)
    verdicts = await _twins(consumer, settings.topic("verdicts"), chosen)
    outputs = await _twins(consumer, settings.topic("replay-verdicts"), chosen)
    await _twins(consumer, settings.topic("replay-traces"), chosen)
    starts = await _verdict_starts(consumer, settings, asked, verdicts)
    return tuple(
        ReplayRange(
            partition=partition.partition,
            start=first,
            end=end,
            verdicts_start=starts[partition.partition],
            verdicts_end=verdicts[partition.partition][1],
            outputs_start=outputs[partition.partition][1],
        )
        for partition, (first, end) in asked.items()
    )


async def _asked(
    consumer: Any, plan: ReplayPlan, chosen: Sequence[TopicPartition]
) -> dict[TopicPartition, tuple[int, int]]:
    """Return first and end offset of each partition: what the log has of what is asked for."""
    logs = await kafka.bounds(consumer, chosen)
    from_ms, to_ms = plan.filter.from_ms, plan.filter.to_ms
    after = {} if from_ms is None else await at_times(consumer, logs, from_ms)
    before = {} if to_ms is None else await at_times(consumer, logs, to_ms)
    asked = {}
    for partition, (first, end) in logs.items():
        start, stop = plan.offsets.get(partition.partition, (first, None))
        if not first <= start <= end:
            text = f"--offsets: partition {partition.partition} holds {first} to {end}, and not {start}"
            raise UsageError(text)
        low = max(start, after.get(partition, first))
        high = min(end if stop is None else stop, before.get(partition, end), end)
        asked[partition] = (min(low, high), high)
    return asked


async def _twins(consumer: Any, topic: str, chosen: Iterable[TopicPartition]) -> dict[int, tuple[int, int]]:
    """Return the bounds of a topic's partitions by number.

    Raises:
        TopicMissing: the topic or one of its partitions is not there.

    """
    there = {partition.partition: partition for partition in await kafka.partitions_of(consumer, topic)}
    if absent := [one.partition for one in chosen if one.partition not in there]:
        text = f"{topic} has no partition {absent[0]}; run 'rsafe topics create --partitions N'"
        raise TopicMissing(text)
    logs = await kafka.bounds(consumer, [there[one.partition] for one in chosen])
    return {partition.partition: log for partition, log in logs.items()}


async def _verdict_starts(
    consumer: Any,
    settings: Settings,
    asked: dict[TopicPartition, tuple[int, int]],
    verdicts: dict[int, tuple[int, int]],
) -> dict[int, int]:
    """Return where in ``verdicts`` the ranges' verdicts begin at the earliest: no verdict is older than its message."""
    oldest = await first_times(consumer, asked, settings.kafka_timeout_s)
    starts = {}
    for partition in asked:
        log = verdicts[partition.partition]
        twin = TopicPartition(settings.topic("verdicts"), partition.partition)
        found = await at_times(consumer, {twin: log}, max(0, oldest.get(partition, 0) - CLOCK_SLACK_MS))
        starts[partition.partition] = found[twin]
    return starts


async def find_run(settings: Settings, run_id: str) -> ReplayRun:
    """Return a run's first record, with the counts of its end where it has ended.

    Raises:
        AuditError: there is no such run.
        BrokerAway: nobody answers.

    """
    found = [run for run in await read_runs(settings) if run.run_id == run_id]
    if not found:
        text = f"there is no replay {run_id!r} in {settings.topic('replays')}; 'rsafe replay --list' shows them"
        raise AuditError(text)
    ended = next((run for run in found if run.state == "finished"), None)
    return ended or found[0]


async def read_runs(settings: Settings) -> list[ReplayRun]:
    """Return every record of ``replays``, oldest first; what is none is passed over.

    Raises:
        TopicMissing: the topic does not exist.
        BrokerAway: nobody answers.

    """
    found = []
    async with kafka.reader(settings) as consumer:
        partitions = await kafka.partitions_of(consumer, settings.topic("replays"))
        consumer.assign(partitions)
        for partition, (first, end) in (await kafka.bounds(consumer, partitions)).items():
            consumer.seek(partition, first)
            async for record in kafka.read(consumer, partition, end, settings.kafka_timeout_s):
                try:
                    found.append(decode(record.value or b"", ReplayRun, RecordError))
                except RecordError:
                    continue
    return found


async def write_run(settings: Settings, run: ReplayRun) -> None:
    """Append a record of a run to ``replays``.

    Raises:
        StreamError: it could not be written.

    """
    async with kafka.writer(settings, linger_ms=0) as producer:
        await kafka.send(
            producer,
            settings.topic("replays"),
            encode(run),
            key=run.run_id.encode(),
            headers=kafka.cloud_event("replay-run", settings.instance),
            timeout_s=settings.kafka_timeout_s,
        )


def started(settings: Settings, plan: ReplayPlan, found: tuple[ReplayRange, ...], model: ModelRef) -> ReplayRun:
    """Return the first record of a new run."""
    now = dt.datetime.now(dt.UTC)
    share = plan.control_share
    return ReplayRun(
        run_id=new_run_id(now),
        state="started",
        started_at=now,
        finished_at=None,
        by=settings.instance,
        topic=settings.topic("messages"),
        ranges=found,
        filter=plan.filter,
        policies=plan.policies,
        model=model,
        control_share=usual_share(sum(part.end - part.start for part in found)) if share is None else share,
    )


def finished(settings: Settings, run: ReplayRun, counts: ReplayCounts) -> ReplayRun:
    """Return the last record of a run."""
    return structs.replace(
        run, state="finished", finished_at=dt.datetime.now(dt.UTC), by=settings.instance, counts=counts
    )
