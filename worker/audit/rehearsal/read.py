"""The two verdicts of each rehearsed message, joined from their topics, and what follows: compare, promote.

In memory is one partition's outcomes of one rehearsal at a time, in short form. A time to start from
bounds it where a rehearsal has run for long; by default it is the time when the shadow was published.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.audit.comparison import Outcome
from worker.audit.rehearsal.rehearsal import Gates, RehearsalReport, Side, Tally, obstacles
from worker.audit.replay.originals import is_original
from worker.audit.replay.report import Seen, outcome_of, read_verdicts
from worker.audit.span import CLOCK_SLACK_MS, at_times
from worker.config import Settings
from worker.errors import UsageError
from worker.policy import lifecycle
from worker.policy.combine import AcceptedPolicy
from worker.policy.history import Book, above
from worker.policy.lifecycle import DECISION_WAIT_S, Compared, Published
from worker.policy.log import PolicyLog, read_book
from worker.policy.scope import parse_argument, shadow_key
from worker.records import PolicyRef

#: While a sample grows it is counted anew after so long, and at least after twice what counting takes.
_COUNT_AGAIN_S: Final = 5.0
#: Each question about offsets waits behind a fetch at a log's end; everything that is read is there already.
_FETCH_WAIT_MS: Final = 10

#: Place of a message in its partition.
Key = tuple[int, int]


class Promotion(Struct, frozen=True, kw_only=True):
    """What ``rsafe policy promote --json`` prints.

    Attributes:
        report: the comparison that was ruled on.
        gates: what had to hold.
        obstacles: why the policy is held; empty where every gate holds.
        published: the new live record; null where it is held or only tried (``--dry-run``).
        withdrawn: the shadow's tombstone; null where the live record is not in force yet, or another shadow is there.

    """

    report: RehearsalReport
    gates: Gates
    obstacles: tuple[str, ...]
    published: Published | None = None
    withdrawn: Published | None = None


class _Pair(Struct, frozen=True, kw_only=True):
    """The live record of a scope, if there is one, its shadow, Kafka's time of the shadow, and all that is in force."""

    scope: str
    live: AcceptedPolicy | None
    shadow: AcceptedPolicy
    timestamp_ms: int
    book: Book

    def is_now(self, others: Mapping[str, str]) -> bool:
        """Tell whether other parts of a policy are those in force, and none that stands above the scope is missing."""
        return all(self._digest(scope) == others.get(scope) for scope in {*others, *above(self.scope)})

    def _digest(self, scope: str) -> str | None:
        accepted = self.book.in_force(scope)
        return accepted.digest if accepted else None


class _Tried(Struct, frozen=True, kw_only=True):
    """One outcome of the rehearsal, and the policy that it was judged under."""

    outcome: Outcome
    policy: PolicyRef


async def compare(settings: Settings, key: str, from_ms: int | None = None) -> RehearsalReport:
    """Compare the verdicts of a scope's shadow with the live ones of the same messages.

    Args:
        settings: addresses and prefix.
        key: the scope, with or without ``#shadow``.
        from_ms: Kafka's time from which on outcomes count; by default when the shadow was published.

    Raises:
        UsageError: the key is no scope, or none of its policies is under rehearsal.
        StreamError: Kafka is away, or the topics are missing.

    """
    pair = await _pair(settings, parse_argument(key).live)
    # A worker's clock may stand behind the broker's.
    since_ms = max(0, pair.timestamp_ms - CLOCK_SLACK_MS) if from_ms is None else from_ms
    tally = Tally()
    async with kafka.reader(settings, fetch_max_wait_ms=_FETCH_WAIT_MS) as consumer:
        for partition in await kafka.partitions_of(consumer, settings.topic("shadow-verdicts")):
            await _compare(settings, consumer, pair, partition.partition, since_ms, tally)
    live = pair.live
    return tally.report(
        pair.scope,
        Side(version=live.policy.version if live else None, digest=live.digest if live else None),
        Side(version=pair.shadow.policy.version, digest=pair.shadow.digest),
    )


async def promote(
    settings: Settings,
    key: str,
    gates: Gates,
    *,
    from_ms: int | None = None,
    watch: bool = False,
    dry_run: bool = False,
    wait_s: float = DECISION_WAIT_S,
) -> Promotion:
    """Put a scope's shadow in the live record's place if every gate holds.

    Args:
        settings: addresses and prefix.
        key: the scope, with or without ``#shadow``.
        gates: what must hold.
        from_ms: as for ``compare``.
        watch: wait until the sample is as large as the gates want, and rule then, once.
        dry_run: rule, and publish nothing.
        wait_s: longest wait for a worker's decision, in seconds.

    Raises:
        UsageError: the key is no scope, or none of its policies is under rehearsal (any more), or the live one changed.
        PolicyInvalid: it cannot come into force under the floor as it is now; nothing was published.
        StreamError: Kafka is away, or the topics are missing.

    """
    report = await _grown(settings, key, gates.min_sample if watch else 0, from_ms)
    against = obstacles(report, gates)
    if against or dry_run:
        return Promotion(report=report, gates=gates, obstacles=against)
    assert report.shadow.digest is not None
    compared = Compared(shadow=report.shadow.digest, live=report.live.digest)
    published, withdrawn = await lifecycle.promote(settings, report.scope, compared, wait_s=wait_s)
    return Promotion(report=report, gates=gates, obstacles=(), published=published, withdrawn=withdrawn)


async def _grown(settings: Settings, key: str, least: int, from_ms: int | None) -> RehearsalReport:
    """Compare, again and again until the sample is large enough."""
    while True:
        began_s = time.monotonic()
        report = await compare(settings, key, from_ms)
        if report.sample >= least:
            return report
        await asyncio.sleep(max(_COUNT_AGAIN_S, 2 * (time.monotonic() - began_s)))


async def _pair(settings: Settings, live: str) -> _Pair:
    log = PolicyLog(settings)
    try:
        await log.open()
        book, _, _ = await read_book(log)
    finally:
        await log.close()
    key = shadow_key(live)
    shadow, last = book.in_force(key), book.last(key)
    if shadow is None or last is None:
        text = f"{live} has no policy under rehearsal; publish one with 'rsafe policy put {key} FILE'"
        raise UsageError(text)
    return _Pair(scope=live, live=book.in_force(live), shadow=shadow, timestamp_ms=last.timestamp, book=book)


async def _compare(settings: Settings, consumer: Any, pair: _Pair, partition: int, since_ms: int, tally: Tally) -> None:
    """Take one partition into the tally."""
    start = await _offset_at(settings, consumer, "shadow-verdicts", partition, since_ms)
    waiting: dict[Key, _Tried] = {}
    async for seen in read_verdicts(settings, consumer, "shadow-verdicts", partition, start, None):
        place = _place(seen)
        if place is None or not _is_of(seen, pair):
            continue
        tally.doubled += place in waiting
        waiting.setdefault(place, _Tried(outcome=outcome_of(seen), policy=seen.policy))
    if waiting:
        await _meet(settings, consumer, pair, partition, waiting, tally)
    tally.without_live += len(waiting)


async def _meet(
    settings: Settings, consumer: Any, pair: _Pair, partition: int, waiting: dict[Key, _Tried], tally: Tally
) -> None:
    """Find the live verdicts of what waits, and take what is met out."""
    topic = settings.topic("messages")
    oldest_ms = min(timestamp for _, timestamp in waiting) - CLOCK_SLACK_MS
    start = await _offset_at(settings, consumer, "verdicts", partition, max(0, oldest_ms))
    async for seen in read_verdicts(settings, consumer, "verdicts", partition, start, None):
        place = _place(seen)
        if (
            place is None
            or place not in waiting
            or not is_original(seen.mode, seen.run_id, seen.supersedes, seen.source, topic, partition)
        ):
            continue
        tried = waiting.pop(place)
        if _differ_only(pair, seen.policy, tried.policy):
            tally.add(outcome_of(seen), tried.outcome, place[1])
        else:
            tally.other_policy += 1
        if not waiting:
            return


async def _offset_at(settings: Settings, consumer: Any, name: str, partition: int, time_ms: int) -> int:
    topic = TopicPartition(settings.topic(name), partition)
    return (await at_times(consumer, await kafka.bounds(consumer, [topic]), time_ms))[topic]


def _place(seen: Seen) -> Key | None:
    source = seen.source
    return None if source.offset is None or source.timestamp is None else (source.offset, source.timestamp)


def _is_of(seen: Seen, pair: _Pair) -> bool:
    """Tell whether an outcome is of this rehearsal."""
    digest = pair.shadow.digest
    return seen.mode == "shadow" and seen.run_id == digest and _parts(seen.policy).get(pair.scope) == digest


def _differ_only(pair: _Pair, live: PolicyRef, shadow: PolicyRef) -> bool:
    """Tell whether a live verdict is of the live record in force now, and all other parts are equal, and in force."""
    ours, theirs = _parts(live), _parts(shadow)
    expected = pair.live.digest if pair.live else None
    differ = ours.pop(pair.scope, None) == expected and theirs.pop(pair.scope, None) is not None
    return differ and ours == theirs and pair.is_now(ours)


def _parts(policy: PolicyRef) -> dict[str, str]:
    return {part.scope: part.digest for part in policy.parts}
