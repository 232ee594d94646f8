"""The report of a replay: its outcomes and the original verdicts, read from the topics and compared.

Everything is read again from Kafka, so a report can be made at any time, also of a run that has not
ended, and by anybody. In memory is one partition's outcomes at a time, in short form.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import msgspec
from aiokafka import TopicPartition
from msgspec import UNSET, Meta, Struct, UnsetType

from worker import kafka
from worker.audit.compare import Comparer
from worker.audit.comparison import Comparison, Labels, Outcome
from worker.audit.replay.originals import control_id, is_original
from worker.config import Settings
from worker.decoding import UNREADABLE, read_csv
from worker.errors import UsageError
from worker.records import Action, Label, Mode, ModelRef, PolicyRef, Rfc3339, Source, Status, Timing, Usage, or_none
from worker.replay_records import ReplayCounts, ReplayFilter, ReplayRange, ReplayRun


class RunSummary(Struct, frozen=True, kw_only=True):
    """What was replayed; ``policies`` says in words what it was judged under."""

    run_id: str
    finished: bool
    started_at: Rfc3339
    finished_at: Rfc3339 | None
    duration_s: float | None
    topic: str
    partitions: int
    offsets: int
    filter: ReplayFilter
    policies: str
    model: ModelRef
    control_share: float
    counts: ReplayCounts | None


class ReplayReport(Struct, frozen=True, kw_only=True):
    """What ``rsafe replay --json`` prints.

    Attributes:
        run: what was replayed, under what, by what.
        comparison: the replay against the original verdicts.
        doubled: outcomes of the run beyond the first one of an offset; 0 unless something is wrong.
        made_at: when the report was made.

    """

    run: RunSummary
    comparison: Comparison
    doubled: int
    made_at: Rfc3339


class _Hit(Struct, frozen=True):
    scope: str
    id: str
    hit: bool


class Seen(Struct, frozen=True, kw_only=True):
    """The fields of a verdict that a comparison needs."""

    tenant_id: str
    message_id: str
    language: str | None
    mode: Mode
    run_id: str | None
    status: Status
    label: Label | None
    score: float | None
    categories: tuple[_Hit, ...]
    action: Action
    policy: PolicyRef
    model: ModelRef
    source: Source
    timing: Timing
    usage: Usage
    supersedes: str | UnsetType = UNSET
    degraded: str | UnsetType = UNSET


_SEEN: Final = msgspec.json.Decoder(Seen)


async def make_report(settings: Settings, run: ReplayRun, labels: Labels | None = None) -> ReplayReport:
    """Compare what a run has published with the original verdicts.

    Args:
        settings: addresses and deadlines.
        run: any record of the run.
        labels: those of people, by tenant and message id.

    Raises:
        TopicMissing: a topic is gone.
        BrokerAway: nobody answers.

    """
    comparer = Comparer(labels)
    doubled = 0
    async with kafka.reader(settings) as consumer:
        for part in run.ranges:
            if part.start < part.end:
                doubled += await _compare(settings, consumer, run, part, comparer)
    return ReplayReport(
        run=summary(run), comparison=comparer.result(), doubled=doubled, made_at=dt.datetime.now(dt.UTC)
    )


async def _compare(settings: Settings, consumer: Any, run: ReplayRun, part: ReplayRange, comparer: Comparer) -> int:
    """Take one partition into a comparison; return how many outcomes were doubles."""
    first: dict[int, Outcome] = {}
    second: dict[int, Outcome] = {}
    kinds = {run.run_id: first, control_id(run.run_id): second}
    doubled = 0
    async for seen in read_verdicts(settings, consumer, "replay-verdicts", part.partition, part.outputs_start, None):
        outcomes = kinds.get(seen.run_id or "")
        if seen.mode != "replay" or outcomes is None or not _in_range(seen, part):
            continue
        doubled += seen.source.offset in outcomes
        outcomes.setdefault(_offset(seen), outcome_of(seen))
    for offset, outcome in second.items():
        if offset in first:
            comparer.add_control(first[offset], outcome)
    start, end = part.verdicts_start, part.verdicts_end
    async for seen in read_verdicts(settings, consumer, "verdicts", part.partition, start, end):
        if is_original(seen.mode, seen.run_id, seen.supersedes, seen.source, run.topic, part.partition):
            after = first.get(_offset(seen))
            # A topic that was made anew uses offsets again.
            if after is not None and after.message_id == seen.message_id:
                comparer.add(outcome_of(seen), first.pop(after.offset))
    for after in first.values():
        comparer.add(None, after)
    return doubled


async def read_verdicts(
    settings: Settings, consumer: Any, name: str, partition: int, start: int, end: int | None
) -> AsyncIterator[Seen]:
    """Yield the verdicts of one partition of a topic between two offsets; no end is the log's end as it is now.

    Raises:
        BrokerAway: Kafka stopped answering.

    """
    topic = TopicPartition(settings.topic(name), partition)
    consumer.assign([topic])
    first, log_end = (await kafka.bounds(consumer, [topic]))[topic]
    consumer.seek(topic, max(first, min(start, log_end)))
    async for record in kafka.read(
        consumer, topic, log_end if end is None else min(end, log_end), settings.kafka_timeout_s
    ):
        seen = seen_of(record)
        if seen is not None:
            yield seen


def seen_of(record: Any) -> Seen | None:
    """Read a record of a topic of verdicts; one that was not written by a worker is nobody's verdict."""
    try:
        return _SEEN.decode(record.value or b"")
    except UNREADABLE:
        return None


def _in_range(seen: Seen, part: ReplayRange) -> bool:
    return seen.source.partition == part.partition and part.start <= _offset(seen) < part.end


def _offset(seen: Seen) -> int:
    return -1 if seen.source.offset is None else seen.source.offset


def outcome_of(seen: Seen) -> Outcome:
    """Return what a comparison needs of a verdict."""
    return Outcome(
        tenant_id=seen.tenant_id,
        message_id=seen.message_id,
        language=seen.language,
        partition=seen.source.partition or 0,
        offset=_offset(seen),
        status=seen.status,
        label=seen.label,
        action=seen.action,
        score=seen.score,
        hits=frozenset(f"{item.scope}:{item.id}" for item in seen.categories if item.hit),
        policy_digest=seen.policy.digest,
        fingerprint=seen.model.fingerprint,
        usage=seen.usage,
        engine_ms=seen.timing.engine_ms or 0.0,
        rung=or_none(seen.degraded),
    )


def summary(run: ReplayRun) -> RunSummary:
    """Say what a run replays."""
    ended = run.finished_at
    return RunSummary(
        run_id=run.run_id,
        finished=run.state == "finished",
        started_at=run.started_at,
        finished_at=ended,
        duration_s=round((ended - run.started_at).total_seconds(), 3) if ended else None,
        topic=run.topic,
        partitions=sum(part.start < part.end for part in run.ranges),
        offsets=sum(part.end - part.start for part in run.ranges),
        filter=run.filter,
        policies=_policies_in_words(run),
        model=run.model,
        control_share=run.control_share,
        counts=run.counts,
    )


def _policies_in_words(run: ReplayRun) -> str:
    if run.policies.mode == "as-judged":
        return "as judged: each message under the policy that its original verdict names"
    if run.policies.mode == "now":
        return f"now: what was in force at {run.started_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"what if: as judged, with a file in place of the part of {run.policies.scope}"


class _LabelRow(Struct, frozen=True):
    message_id: Annotated[str, Meta(min_length=1)]
    label: Label
    tenant_id: str | None = None


def read_labels(path: Path) -> Labels:
    """Read labels that people gave: JSON Lines, or CSV with a head line.

    Fields are ``message_id``, ``label`` and, where ids of several tenants could be equal, ``tenant_id``.

    Raises:
        UsageError: the file cannot be read, or a line is no label.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"--labels {path} cannot be read ({type(error).__name__}); give JSON Lines or CSV in UTF-8"
        raise UsageError(problem) from None
    parsed = _json_rows(text) if text.lstrip().startswith("{") else _csv_rows(text)
    labels: dict[tuple[str | None, str], Label] = {}
    for number, row in parsed:
        try:
            found = msgspec.convert(row, _LabelRow)
        except msgspec.ValidationError:
            words = " or ".join(get_args(Label))
            problem = f"--labels {path} line {number}: expected message_id, and label as {words}"
            raise UsageError(problem) from None
        labels[found.tenant_id or None, found.message_id] = found.label
    return labels


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    # Not splitlines(): an id may hold other signs that it takes for a line's end.
    for number, row in enumerate(text.split("\n"), 1):
        if row.strip():
            try:
                yield number, msgspec.json.decode(row)
            except UNREADABLE:
                yield number, None


def _csv_rows(text: str) -> Iterator[tuple[int, Any]]:
    number = 1
    try:
        for row in read_csv(text):
            number += 1
            yield number, row
    except ValueError:
        yield number + 1, None
