"""Verdicts of a replay against the original ones, and against a second judgement of the same. Pure.

A **flip** is a message that was judged both times and got another label. What became judged, or no
longer is, is counted apart: it says something about failures, not about the policy.

The **A/A control** is a sample that the replay judged twice, under the same policy and with the same
model. Its flips are those of numerics: sums of floating-point numbers depend on what else is in the
batch, so a model may answer otherwise the second time. Flips of the whole replay beyond that rate are
those of policy, of the model or of what overload left out one of both times, each where it is another one;
where none is, the original verdicts cannot be repeated.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from worker.audit.comparison import (
    SCORE_STEP,
    CategoryGroup,
    Cell,
    Comparison,
    Confusion,
    Control,
    Cost,
    Example,
    Group,
    Labels,
    Outcome,
    Quality,
)
from worker.audit.intervals import difference, interval
from worker.records import Label, Usage

#: Examples that a report names in each place.
MOST_EXAMPLES: Final = 5
_SCORE_BARS: Final = 21
#: Stands for a message that names no language.
NO_LANGUAGE: Final = "(none)"


def flipped(before: Outcome, after: Outcome) -> bool:
    """Tell whether both were judged and the label is another one."""
    return before.label is not None and after.label is not None and before.label != after.label


class Comparer:
    """Takes in pairs in any order; keeps counts and a few examples, never the pairs."""

    def __init__(self, labels: Labels | None = None) -> None:
        """Start empty; ``labels`` are those of people, if there are any."""
        self._labels = labels
        self._total = _GroupTally("all")
        self._tenants: dict[str, _GroupTally] = {}
        self._languages: dict[str, _GroupTally] = {}
        self._policies = {same: _GroupTally("same" if same else "other") for same in (True, False)}
        self._other_rung = _GroupTally("other rung")
        self._categories: dict[str, _CategoryTally] = {}
        self._matrix: Counter[tuple[str, str]] = Counter()
        self._score_changes = [0] * _SCORE_BARS
        self._models: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._control = _ControlTally()
        self._costs = (_CostTally(), _CostTally())
        self._confusions = (Counter[str](), Counter[str]())
        self._labelled = 0
        self._without_original = 0

    def add(self, before: Outcome | None, after: Outcome) -> None:
        """Take in one outcome of the replay and the original verdict, if there is one."""
        self._costs[0].add(after)
        if before is None:
            self._without_original += 1
            return
        example = _example(before, after)
        tenants, languages = self._tenants, self._languages
        language = after.language or NO_LANGUAGE
        for tally in (
            self._total,
            tenants.setdefault(after.tenant_id, _GroupTally(after.tenant_id)),
            languages.setdefault(language, _GroupTally(language)),
            self._policies[before.policy_digest == after.policy_digest],
        ):
            tally.add(before, after, example)
        if before.rung != after.rung:
            self._other_rung.add(before, after, example)
        for key in before.hits | after.hits:
            self._categories.setdefault(key, _CategoryTally(key)).add(before, after, example)
        self._matrix[before.state, after.state] += 1
        self._note_scores(before.score, after.score)
        for counter, outcome in zip(self._models, (before, after), strict=True):
            counter[outcome.fingerprint or "none"] += 1
        self._note_label(before, after)

    def add_control(self, first: Outcome, second: Outcome) -> None:
        """Take in two judgements of one message, both by the replay."""
        self._costs[1].add(second)
        self._control.add(first, second)

    def result(self) -> Comparison:
        """Return what has come together."""
        total, control = self._total.group(), self._control.result()
        excess = difference(total.flips, total.judged, control.flips, control.pairs)
        return Comparison(
            total=total,
            matrix=tuple(Cell(before=b, after=a, count=n) for (b, a), n in sorted(self._matrix.items())),
            tenants=_ranked(self._tenants.values()),
            languages=_ranked(self._languages.values()),
            categories=self._ranked_categories(),
            same_policy=self._policies[True].group(),
            other_policy=self._policies[False].group(),
            other_rung=self._other_rung.group(),
            control=control,
            excess=excess,
            explained=None if excess.value is None else excess.low <= 0.0,
            score_changes=tuple(self._score_changes),
            without_original=self._without_original,
            models_before=dict(self._models[0]),
            models_after=dict(self._models[1]),
            cost=self._costs[0].result(),
            control_cost=self._costs[1].result(),
            quality=self._quality(),
        )

    def _ranked_categories(self) -> tuple[CategoryGroup, ...]:
        groups = [tally.group() for tally in self._categories.values()]
        return tuple(sorted(groups, key=lambda group: (-(group.gained + group.lost), group.key)))

    def _note_scores(self, before: float | None, after: float | None) -> None:
        if before is not None and after is not None and math.isfinite(before) and math.isfinite(after):
            # From -1 to 1; the middle bar is "no change".
            bar = round((after - before) / SCORE_STEP) + _SCORE_BARS // 2
            self._score_changes[min(max(bar, 0), _SCORE_BARS - 1)] += 1

    def _note_label(self, before: Outcome, after: Outcome) -> None:
        label = _label_of(self._labels, after)
        if label is None:
            return
        self._labelled += 1
        for counter, outcome in zip(self._confusions, (before, after), strict=True):
            counter[_cell(label, outcome.label)] += 1

    def _quality(self) -> Quality | None:
        if self._labels is None:
            return None
        first, second = self._confusions
        return Quality(labelled=self._labelled, before=_confusion(first), after=_confusion(second))


class _GroupTally:
    """Counts of one group."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._counts: Counter[str] = Counter()
        self._examples: list[Example] = []

    def add(self, before: Outcome, after: Outcome, example: Example) -> None:
        counts = self._counts
        counts["messages"] += 1
        counts["judged"] += before.label is not None and after.label is not None
        counts["status_changes"] += before.status != after.status
        counts["action_changes"] += before.action != after.action
        if flipped(before, after):
            counts[f"to_{after.label}"] += 1
            _keep(self._examples, example)

    def group(self) -> Group:
        counts = self._counts
        return Group(
            key=self._key,
            messages=counts["messages"],
            judged=counts["judged"],
            to_unsafe=counts["to_unsafe"],
            to_safe=counts["to_safe"],
            status_changes=counts["status_changes"],
            action_changes=counts["action_changes"],
            rate=interval(counts["to_unsafe"] + counts["to_safe"], counts["judged"]),
            examples=tuple(self._examples),
        )


class _CategoryTally:
    """Counts of one category."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._before = self._after = self._gained = self._lost = 0
        self._examples: list[Example] = []

    def add(self, before: Outcome, after: Outcome, example: Example) -> None:
        was, is_now = self._key in before.hits, self._key in after.hits
        self._before += was
        self._after += is_now
        self._gained += is_now and not was
        self._lost += was and not is_now
        if was != is_now:
            _keep(self._examples, example)

    def group(self) -> CategoryGroup:
        return CategoryGroup(
            key=self._key,
            before=self._before,
            after=self._after,
            gained=self._gained,
            lost=self._lost,
            examples=tuple(self._examples),
        )


class _ControlTally:
    """Counts of the A/A control."""

    def __init__(self) -> None:
        self._pairs = self._flips = self._scored = 0
        self._shift_sum = self._shift_max = 0.0
        self._examples: list[Example] = []

    def add(self, first: Outcome, second: Outcome) -> None:
        if first.label is not None and second.label is not None:
            self._pairs += 1
            self._flips += first.label != second.label
        if flipped(first, second):
            _keep(self._examples, _example(first, second))
        if first.score is not None and second.score is not None:
            shift = abs(first.score - second.score)
            self._scored += 1
            self._shift_sum += shift
            self._shift_max = max(self._shift_max, shift)

    def result(self) -> Control:
        return Control(
            pairs=self._pairs,
            flips=self._flips,
            rate=interval(self._flips, self._pairs),
            score_shift_mean=self._shift_sum / self._scored if self._scored else None,
            score_shift_max=self._shift_max if self._scored else None,
            examples=tuple(self._examples),
        )


class _CostTally:
    """Sums of tokens and time."""

    def __init__(self) -> None:
        self._messages = 0
        self._tokens: Counter[str] = Counter()
        self._engine_ms = 0.0

    def add(self, outcome: Outcome) -> None:
        self._messages += 1
        self._tokens.update(msgspec.structs.asdict(outcome.usage))
        self._engine_ms += outcome.engine_ms

    def result(self) -> Cost:
        tokens = {name: self._tokens[name] for name in Usage.__struct_fields__}
        return Cost(messages=self._messages, engine_s=round(self._engine_ms / 1000, 3), **tokens)


def _example(before: Outcome, after: Outcome) -> Example:
    return Example(
        tenant_id=after.tenant_id,
        message_id=after.message_id,
        partition=after.partition,
        offset=after.offset,
        before=before.state,
        after=after.state,
    )


def _keep(examples: list[Example], example: Example) -> None:
    """Keep the first few in the order of the log, whatever order they come in, so that a report repeats itself."""
    examples.append(example)
    examples.sort(key=lambda one: (one.partition, one.offset))
    del examples[MOST_EXAMPLES:]


def _ranked(tallies: Iterable[_GroupTally]) -> tuple[Group, ...]:
    return tuple(sorted((tally.group() for tally in tallies), key=lambda group: (-group.flips, group.key)))


def _label_of(labels: Labels | None, outcome: Outcome) -> Label | None:
    if labels is None:
        return None
    own = labels.get((outcome.tenant_id, outcome.message_id))
    return own or labels.get((None, outcome.message_id))


def _cell(label: Label, said: Label | None) -> str:
    if said is None:
        return "unjudged"
    right = "true" if said == label else "false"
    return f"{right}_{'positives' if said == 'unsafe' else 'negatives'}"


def _confusion(counts: Counter[str]) -> Confusion:
    hits = counts["true_positives"]
    return Confusion(
        true_positives=hits,
        false_positives=counts["false_positives"],
        false_negatives=counts["false_negatives"],
        true_negatives=counts["true_negatives"],
        unjudged=counts["unjudged"],
        precision=interval(hits, hits + counts["false_positives"]),
        recall=interval(hits, hits + counts["false_negatives"]),
    )
