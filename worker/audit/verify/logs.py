"""Which logs an audit reads, and from where to where: asked once, at its start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.audit.span import CLOCK_SLACK_MS, Span, at_times, chosen, first_times, offsets
from worker.config import Settings
from worker.kafka_errors import translated
from worker.stream.cluster import Cluster
from worker.stream.ledger import OUTCOME_TOPICS

#: Later than any record: where a range has none, nothing is old enough to belong to it.
NEVER_MS: Final = 2**62


class Logs(Struct, kw_only=True):
    """The logs as they stood when the audit began.

    Attributes:
        messages: first offset and end of each partition that is audited.
        ranges: the part of each that is meant.
        outcomes: start and end of what is read of each outcome partition.
        committed: the group's commits.
        working: whether the group had a living member, so that something may be in flight.
        first_ms: timestamp of the range's first message; outcomes of older messages and time are not looked at.
        lost: by partition, below the log, the offsets of which the range wants to know that they were lost.

    """

    messages: dict[TopicPartition, tuple[int, int]]
    ranges: dict[TopicPartition, tuple[int, int]]
    outcomes: dict[TopicPartition, tuple[int, int]]
    committed: dict[int, int]
    working: bool
    first_ms: int
    lost: dict[TopicPartition, tuple[int, int]]


async def survey(consumer: Any, settings: Settings, span: Span) -> Logs:
    """Ask for living members, commits, outcomes' ends and messages' ends, in this order."""
    working = await _is_working(settings)
    inputs = chosen(await kafka.partitions_of(consumer, settings.topic("messages")), span)
    cluster = Cluster(settings)
    try:
        commits = await cluster.committed(one.partition for one in inputs)
    finally:
        await cluster.close()
    twins = [
        twin
        for name in OUTCOME_TOPICS
        for twin in await kafka.partitions_of(consumer, settings.topic(name))
        if span.partition in {None, twin.partition}
    ]
    outcomes = await kafka.bounds(consumer, twins)
    messages = await kafka.bounds(consumer, inputs)
    # A commit above the end is of a topic that was made anew since.
    committed = {
        one.partition: commits[one.partition].offset
        for one, (_, end) in messages.items()
        if one.partition in commits and commits[one.partition].offset <= end
    }
    ranges = await offsets(consumer, messages, span)
    times = await first_times(consumer, ranges, settings.kafka_timeout_s)
    first_ms = min(times.values(), default=NEVER_MS)
    lost = {one: _below(at[0], messages[one][0], span) for one, at in ranges.items()}
    ranges = {one: (_with_lost(one, at, messages[one][0], span, committed), at[1]) for one, at in ranges.items()}
    if any(start < messages[one][0] for one, (start, _) in ranges.items()):
        # Of what is gone nobody knows when it came.
        first_ms = 0
    starts = await at_times(consumer, outcomes, max(0, first_ms - CLOCK_SLACK_MS))
    letters = {one: at for one, at in outcomes.items() if one.topic == settings.topic("dead-letters")}
    starts |= await _declared_since(consumer, {one: at for one, at in letters.items() if _asks(lost, one)}, span)
    read = {twin: (max(first, min(starts[twin], end)), end) for twin, (first, end) in outcomes.items()}
    return Logs(
        messages=messages,
        ranges=ranges,
        outcomes=read,
        committed=committed,
        working=working,
        first_ms=first_ms,
        lost=lost,
    )


def _below(start: int, first: int, span: Span) -> tuple[int, int]:
    """Return the offsets below a log that a range means: what retention took is older than all that is there."""
    if start > first:
        return first, first
    return span.from_offset or 0, first if span.to_offset is None else min(first, span.to_offset)


def _asks(lost: Mapping[TopicPartition, tuple[int, int]], letters: TopicPartition) -> bool:
    return any(low < high for one, (low, high) in lost.items() if one.partition == letters.partition)


async def _declared_since(
    consumer: Any, letters: Mapping[TopicPartition, tuple[int, int]], span: Span
) -> dict[TopicPartition, int]:
    """Return from where dead letters are read for what is lost: only the declaration of it has a time."""
    return await at_times(consumer, letters, max(0, (span.from_ms or 0) - CLOCK_SLACK_MS)) if letters else {}


async def _is_working(settings: Settings) -> bool:
    """Tell whether the group has a member; one that died counts until its session ends."""
    admin = kafka.make_admin(settings)
    await kafka.start(admin, settings)
    try:
        with translated("asking for the group's members"):
            async with asyncio.timeout(settings.kafka_timeout_s):
                answers = await admin.describe_consumer_groups([settings.group_id])
    finally:
        await kafka.close(admin)
    # (error, group, state, protocol type, protocol, members, ...), as Kafka's DescribeGroups has it.
    return any(members for answer in answers for _, _, _, _, _, members, *_ in answer.groups)


def _with_lost(one: TopicPartition, at: tuple[int, int], first: int, span: Span, committed: Mapping[int, int]) -> int:
    """Return where the range starts once the offsets count that retention took before they were judged.

    They are known as long as the commit stands below the log; what stands below both was committed in its time.
    """
    start = at[0]
    if start > first:
        return start
    return min(start, max(committed.get(one.partition, start), span.from_offset or 0))
