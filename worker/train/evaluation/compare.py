"""Two evaluations of the same rows, question by question: ``rsafe eval --compare A B``. Pure.

Differences are the second minus the first, with paired intervals: both sides of every resample hold
the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from worker.errors import UsageError
from worker.train.evaluation import bootstrap, metrics
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.following import PREFIX, is_right
from worker.train.evaluation.judging import Answered
from worker.train.evaluation.quality import grouped, labels_of, pooled, scores_of, served_of
from worker.train.evaluation.report import Evaluation

_POOLED: Final = "all own labels"


class Difference(Struct, frozen=True, kw_only=True):
    """One figure of two runs on the same questions; ``difference`` is the second minus the first."""

    rows: int
    first: float
    second: float
    difference: Interval


class Comparison(Struct, frozen=True, kw_only=True):
    """Both models, and differences by method (or ``direct`` and ``trace`` apart) and figure.

    Attributes:
        first, second: names and fingerprints.
        shared, only_first, only_second: questions.
        figures: by ``<set>, <method>: <figure>``.

    """

    first: str
    second: str
    seed: int
    shared: int
    only_first: int
    only_second: int
    figures: dict[str, Difference]


Pairs = Sequence[tuple[Answered, Answered]]


def compare(first: Evaluation, second: Evaluation, seed: int = 1) -> Comparison:
    """Compare what both were asked.

    Raises:
        UsageError: they share no question, or disagree about a label.

    """
    ours = {one.key: one for one in first.answers}
    theirs = {one.key: one for one in second.answers}
    shared = [(ours[key], theirs[key]) for key in ours if key in theirs]
    if not shared:
        text = "the two evaluations share no question; run both with the same --split, --only and --rows"
        raise UsageError(text)
    if any(one.unsafe != other.unsafe for one, other in shared):
        text = "the two evaluations disagree about labels; run both on the same data and version"
        raise UsageError(text)
    return Comparison(
        first=_name(first),
        second=_name(second),
        seed=seed,
        shared=len(shared),
        only_first=len(ours) - len(shared),
        only_second=len(theirs) - len(shared),
        figures=_figures(shared, seed),
    )


def _name(evaluation: Evaluation) -> str:
    facts = evaluation.report.facts
    return f"{facts.model} ({facts.fingerprint[:12]})"


def _figures(shared: Pairs, seed: int) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for method in sorted({one.method for one, _ in shared}):
        part = [pair for pair in shared if pair[0].method == method]
        names = {name: [pair for pair in part if pair[0].name == name] for name in _names(part)}
        own = _pooled([pair for pair in part if pair[0].is_own])
        for name, pairs in ({_POOLED: own} | names).items():
            if pairs:
                found |= {f"{name}, {method}: {key}": one for key, one in _of_set(name, pairs, seed).items()}
    return found


def _pooled(pairs: Pairs) -> Pairs:
    kept = {one.name for one in pooled([one for one, _ in pairs])}
    return [pair for pair in pairs if pair[0].name in kept]


def _names(pairs: Pairs) -> list[str]:
    return sorted(grouped([one for one, _ in pairs], lambda one: one.name))


def _of_set(name: str, pairs: Pairs, seed: int) -> dict[str, Difference]:
    if name.startswith(PREFIX):
        return {"pairs right": _pairs_right(pairs, seed)}
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    labels, groups = labels_of(first), [one.group for one in first]
    served = served_of(first), served_of(second)
    sides = {"accuracy": [bootstrap.share([one.is_right for one in side]) for side in (first, second)]}
    if not labels.all():
        sides["FPR"] = [bootstrap.false_positives(labels, said) for said in served]
    if labels.all() or not labels.any():
        return _differences(sides, groups, seed)
    sides["macro-F1"] = [bootstrap.macro_f1(labels, said) for said in served]
    sides["F1 unsafe"] = [bootstrap.f1(labels, said) for said in served]
    return _differences(sides, groups, seed) | _of_scores(pairs, seed)


def _of_scores(pairs: Pairs, seed: int) -> dict[str, Difference]:
    """Compare rows that both runs have a score for."""
    scored = [(one, other) for one, other in pairs if one.score is not None and other.score is not None]
    if not scored:
        return {}
    first, second = [one for one, _ in scored], [other for _, other in scored]
    labels, scores = labels_of(first), (scores_of(first), scores_of(second))
    sides = {"ECE": [bootstrap.calibration_error(labels, side) for side in scores]}
    if metrics.average_precision(labels, scores[0]) is not None:
        sides["average precision"] = [bootstrap.average_precision(labels, side) for side in scores]
    return _differences(sides, [one.group for one in first], seed)


def _pairs_right(pairs: Pairs, seed: int) -> Difference:
    """Compare shares of policy pairs of which every side is right."""
    sides = grouped([one for one, _ in pairs], _pair_of), grouped([other for _, other in pairs], _pair_of)
    names = sorted(sides[0])
    right = [np.array([all(is_right(one) for one in side[name]) for name in names]) for side in sides]
    groups = [sides[0][name][0].group for name in names]
    name = "pairs right"
    return _differences({name: [bootstrap.share(hits) for hits in right]}, groups, seed)[name]


def _pair_of(one: Answered) -> str:
    return one.place.rpartition("/")[0]


def _differences(
    sides: Mapping[str, Sequence[bootstrap.Figure]], groups: Sequence[str], seed: int
) -> dict[str, Difference]:
    """Compare both sides of each figure, all on the same resamples."""
    gaps = {name: bootstrap.difference(second, first) for name, (first, second) in sides.items()}
    found, once = bootstrap.intervals(gaps, groups, seed=seed), np.ones((1, len(groups)))
    return {
        name: Difference(rows=len(groups), first=float(first(once)[0]), second=float(second(once)[0]), difference=gap)
        for (name, (first, second)), gap in zip(sides.items(), found.values(), strict=True)
    }
