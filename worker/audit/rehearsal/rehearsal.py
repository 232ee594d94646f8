"""Verdicts of a policy under rehearsal against the live ones, and whether it may take their place. Pure.

Both judged the same messages at about the same time with the same model; of several models the one that judged last
counts, since that is what a promoted policy will be judged with. A **disagreement** is a message
for which platforms would do or record something else: another label, action or status. A **flip** is one
that both judged and labelled otherwise.

Gates look at the upper end of an interval and not at the estimate: a small sample that looks good is held.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec import Struct

from worker.audit.compare import flipped
from worker.audit.comparison import Cell, Example, Outcome
from worker.audit.intervals import Interval, interval

#: Examples that a report names in each place.
MOST_EXAMPLES: Final = 5
#: Messages that are compared before a policy is promoted, unless somebody says otherwise: with no
#: disagreement among them, their share lies below 2 %.
MIN_SAMPLE: Final = 200


class Side(Struct, frozen=True, kw_only=True):
    """One of the two records: version and digest, both null where there is no live policy yet."""

    version: int | None
    digest: str | None


class CategoryChange(Struct, frozen=True, kw_only=True):
    """One category: how many messages hit it live and under rehearsal, which ones newly and which no longer."""

    key: str
    live: int
    shadow: int
    newly_hit: Interval
    no_longer_hit: Interval
    newly_hit_count: int
    no_longer_hit_count: int
    newly_hit_examples: tuple[Example, ...]
    no_longer_hit_examples: tuple[Example, ...]


class RehearsalReport(Struct, frozen=True, kw_only=True):
    """What ``rsafe policy compare --json`` prints. Rates have intervals (95 %, Wilson).

    Attributes:
        scope: the live key.
        shadow, live: the two records that are compared.
        sample: messages that both have a verdict for, all else of their policies being equal.
        judged: those among them that both judged.
        flag_rate_shadow, flag_rate_live: share of ``judged`` that is unsafe.
        flips: share of ``judged`` with another label.
        disagreement: share of ``sample`` with another label, action or status.
        labels, actions: how many messages went from where (live) to where (shadow).
        categories: those with a change, most changes first.
        disagreement_examples: messages by their ids, never a text; before and after are label or status, and action.
        without_live: outcomes of the rehearsal whose live verdict is not there, or not yet.
        other_policy: outcomes whose live verdict was made under another live policy than now, or another floor, or
            while any other part of either policy was not what it is now.
        other_model: outcomes of another model than the one that judged last, or of two different ones.
        doubled: outcomes beyond the first one of a message.

    """

    scope: str
    shadow: Side
    live: Side
    sample: int
    judged: int
    flag_rate_shadow: Interval
    flag_rate_live: Interval
    flips: Interval
    disagreement: Interval
    labels: tuple[Cell, ...]
    actions: tuple[Cell, ...]
    categories: tuple[CategoryChange, ...]
    disagreement_examples: tuple[Example, ...]
    without_live: int
    other_policy: int
    doubled: int
    other_model: int = 0


class Gates(Struct, frozen=True, kw_only=True):
    """What must hold before a policy is promoted; shares from 0 to 1, null for no limit."""

    min_sample: int = MIN_SAMPLE
    max_flag_rate: float | None = None
    max_disagreement: float | None = None


def obstacles(report: RehearsalReport, gates: Gates) -> tuple[str, ...]:
    """Say why a policy may not be promoted; empty where every gate holds."""
    found = []
    if report.sample < gates.min_sample:
        found.append(f"{report.sample} messages are compared and {gates.min_sample} are wanted")
    limits = (
        ("flag rate", report.flag_rate_shadow, gates.max_flag_rate),
        ("disagreement", report.disagreement, gates.max_disagreement),
    )
    for name, rate, limit in limits:
        if limit is not None and rate.high > limit:
            value = "unknown" if rate.value is None else f"{rate.value:.4f}"
            found.append(f"{name} is {value} and may be up to {rate.high:.4f}, above the limit of {limit:g}")
    return tuple(found)


class Tally:
    """Takes in pairs in any order; keeps counts and a few examples by model, never the pairs."""

    def __init__(self) -> None:
        """Start empty."""
        self.without_live = self.other_policy = self.doubled = 0
        self._mixed = 0
        self._models: dict[str | None, _Sample] = {}

    def add(self, live: Outcome, shadow: Outcome, at_ms: int = 0) -> None:
        """Take in the two outcomes of one message; ``at_ms`` is the message's time."""
        if live.fingerprint != shadow.fingerprint:
            self._mixed += 1
            return
        self._models.setdefault(shadow.fingerprint, _Sample()).add(live, shadow, at_ms)

    def report(self, scope: str, live: Side, shadow: Side) -> RehearsalReport:
        """Return what has come together, of the model that judged last."""
        newest = max(self._models.values(), key=lambda one: (one.newest_ms, one.size), default=_Sample())
        older = sum(one.size for one in self._models.values() if one is not newest)
        return newest.report(scope, live, shadow, self, other_model=self._mixed + older)


class _Sample:
    """The pairs that one model judged."""

    def __init__(self) -> None:
        self.newest_ms = 0
        self._counts: Counter[str] = Counter()
        self._labels: Counter[tuple[str, str]] = Counter()
        self._actions: Counter[tuple[str, str]] = Counter()
        self._categories: dict[str, _CategoryTally] = {}
        self._examples: list[Example] = []

    @property
    def size(self) -> int:
        return self._counts["sample"]

    def add(self, live: Outcome, shadow: Outcome, at_ms: int) -> None:
        self.newest_ms = max(self.newest_ms, at_ms)
        judged = live.label is not None and shadow.label is not None
        disagree = (live.state, live.action) != (shadow.state, shadow.action)
        self._counts["sample"] += 1
        self._counts["judged"] += judged
        self._counts["flagged_live"] += judged and live.label == "unsafe"
        self._counts["flagged_shadow"] += judged and shadow.label == "unsafe"
        self._counts["flips"] += flipped(live, shadow)
        self._counts["disagreements"] += disagree
        self._labels[live.state, shadow.state] += 1
        self._actions[live.action, shadow.action] += 1
        example = _example(live, shadow)
        if disagree:
            _keep(self._examples, example)
        for key in live.hits | shadow.hits:
            self._categories.setdefault(key, _CategoryTally(key)).add(live, shadow, example)

    def report(self, scope: str, live: Side, shadow: Side, left_out: Tally, *, other_model: int) -> RehearsalReport:
        counts = self._counts
        sample, judged = counts["sample"], counts["judged"]
        changes = [tally.change(sample) for tally in self._categories.values() if tally.changes]
        return RehearsalReport(
            scope=scope,
            shadow=shadow,
            live=live,
            sample=sample,
            judged=judged,
            flag_rate_shadow=interval(counts["flagged_shadow"], judged),
            flag_rate_live=interval(counts["flagged_live"], judged),
            flips=interval(counts["flips"], judged),
            disagreement=interval(counts["disagreements"], sample),
            labels=_cells(self._labels),
            actions=_cells(self._actions),
            categories=tuple(sorted(changes, key=_most_changes_first)),
            disagreement_examples=tuple(self._examples),
            without_live=left_out.without_live,
            other_policy=left_out.other_policy,
            doubled=left_out.doubled,
            other_model=other_model,
        )


class _CategoryTally:
    """Counts of one category."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._live = self._shadow = self._newly = self._no_longer = 0
        self._newly_examples: list[Example] = []
        self._no_longer_examples: list[Example] = []

    @property
    def changes(self) -> int:
        return self._newly + self._no_longer

    def add(self, live: Outcome, shadow: Outcome, example: Example) -> None:
        was, is_now = self._key in live.hits, self._key in shadow.hits
        self._live += was
        self._shadow += is_now
        if is_now and not was:
            self._newly += 1
            _keep(self._newly_examples, example)
        if was and not is_now:
            self._no_longer += 1
            _keep(self._no_longer_examples, example)

    def change(self, sample: int) -> CategoryChange:
        return CategoryChange(
            key=self._key,
            live=self._live,
            shadow=self._shadow,
            newly_hit=interval(self._newly, sample),
            no_longer_hit=interval(self._no_longer, sample),
            newly_hit_count=self._newly,
            no_longer_hit_count=self._no_longer,
            newly_hit_examples=tuple(self._newly_examples),
            no_longer_hit_examples=tuple(self._no_longer_examples),
        )


def _most_changes_first(change: CategoryChange) -> tuple[int, str]:
    return -(change.newly_hit_count + change.no_longer_hit_count), change.key


def _cells(counts: Counter[tuple[str, str]]) -> tuple[Cell, ...]:
    return tuple(Cell(before=before, after=after, count=count) for (before, after), count in sorted(counts.items()))


def _example(live: Outcome, shadow: Outcome) -> Example:
    return Example(
        tenant_id=shadow.tenant_id,
        message_id=shadow.message_id,
        partition=shadow.partition,
        offset=shadow.offset,
        before=f"{live.state} {live.action}",
        after=f"{shadow.state} {shadow.action}",
    )


def _keep(examples: list[Example], example: Example) -> None:
    """Keep the first few in the order of the log, whatever order they come in, so that a report repeats itself."""
    examples.append(example)
    examples.sort(key=lambda one: (one.partition, one.offset))
    del examples[MOST_EXAMPLES:]
