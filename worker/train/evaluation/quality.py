"""How good verdicts and scores are: by set and category, by source, by category, and all together. Pure.

Whatever is of several sets of questions is of those that can be told apart (``pooled``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from worker.records import ScoreMethod
from worker.train.data.papers import PAPERS
from worker.train.evaluation import bootstrap, metrics
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.judging import Answered
from worker.train.evaluation.metrics import Bools, Calibration, Decisions, Floats

DEFAULT_THRESHOLD: Final = 0.5
POOLED: Final = "all"
#: Fewer tuning rows of either label say nothing about a threshold; the one of all rows is taken then.
MIN_EACH: Final = 10


class Quality(Struct, frozen=True, kw_only=True):
    """Figures of one group of questions. A row that was not judged counts as decided wrongly.

    Attributes:
        rows, unsafe: how many.
        statuses: how many of each status.
        served: the verdicts, at the policy's threshold of 0.5.
        macro_f1: theirs.
        threshold: chosen on tuning rows; None where there were none.
        tuned, tuned_macro_f1: decisions at that threshold.
        average_precision: of rows with a score; None for one class.
        calibration: of rows with a score; None without any.
        always: what saying the same of every row reaches.
        precision, recall, f1, fpr: those of ``served``, with intervals; ``recall`` and ``fpr`` are None without a row
            of their label.
        ece: that of ``calibration``, with its interval; None without any score.
        always_average_precision: of one score for every row, which is the share of unsafe rows; None for one class.

    """

    rows: int
    unsafe: int
    statuses: dict[str, int]
    served: Decisions
    macro_f1: Interval
    threshold: float | None
    tuned: Decisions | None
    tuned_macro_f1: Interval | None
    average_precision: Interval | None
    calibration: Calibration | None
    always: dict[str, Decisions]
    precision: Interval | None = None
    recall: Interval | None = None
    f1: Interval | None = None
    fpr: Interval | None = None
    ece: Interval | None = None
    always_average_precision: float | None = None


class Table(Struct, frozen=True, kw_only=True):
    """Quality in four cuts."""

    pooled: Quality
    by_set: dict[str, Quality]
    by_source: dict[str, Quality]
    by_category: dict[str, Quality]


def table(found: Sequence[Answered], tuning: Sequence[Answered], seed: int) -> Table:
    """Compute all figures of one method.

    Raises:
        ValueError: there are no answers.

    """
    limits = thresholds(tuning)

    def cut(key: Callable[[Answered], str]) -> dict[str, Quality]:
        parts = grouped(found, key)
        return {name: quality(pooled(parts[name]), limits, seed) for name in sorted(parts)}

    return Table(
        pooled=quality(pooled(found), limits, seed),
        by_set=cut(lambda one: one.name),
        by_source=cut(lambda one: one.source),
        by_category=cut(lambda one: one.concept),
    )


def pooled(found: Sequence[Answered]) -> list[Answered]:
    """Return what figures over several sets of questions are made of.

    A paper set's category may have one label only, in a sample or at all. Its rows can be wrong one way alone, and one
    row may stand in a dozen such categories, so they are left out where there are others. The folder's sets have both
    labels in every split, and what a small sample lacks by chance still counts.
    """
    labels = {(one.name, one.unsafe) for one in found}
    kept = [one for one in found if one.source not in PAPERS or (one.name, not one.unsafe) in labels]
    return kept or list(found)


def grouped(found: Sequence[Answered], key: Callable[[Answered], str]) -> dict[str, list[Answered]]:
    """Part answers by a key."""
    parts: dict[str, list[Answered]] = defaultdict(list)
    for one in found:
        parts[key(one)].append(one)
    return dict(parts)


def thresholds(tuning: Sequence[Answered], key: Callable[[Answered], str] = lambda one: one.name) -> dict[str, float]:
    """Choose a threshold for each set of questions by macro-F1, and one for all of them (``POOLED``)."""
    scored = [one for one in tuning if one.score is not None]
    if not scored:
        return {}
    parts = {name: part for name, part in grouped(scored, key).items() if _enough(part)}
    return {name: _best(part) for name, part in [*parts.items(), (POOLED, pooled(scored))]}


def _enough(part: Sequence[Answered]) -> bool:
    counts = Counter(one.unsafe for one in part)
    return min(counts[True], counts[False]) >= MIN_EACH


def _best(part: Sequence[Answered]) -> float:
    return metrics.best_threshold([one.unsafe for one in part], [one.score or 0.0 for one in part])


def quality(found: Sequence[Answered], limits: Mapping[str, float], seed: int) -> Quality:
    """Compute the figures of one group of answers.

    Raises:
        ValueError: there are none.

    """
    labels, served, tuned = labels_of(found), served_of(found), tuned_of(found, limits)
    scored = [one for one in found if one.score is not None]
    spread = _of_decisions(found, served, tuned, seed)
    ranked = _of_scores(scored, seed)
    return Quality(
        rows=len(found),
        unsafe=int(labels.sum()),
        statuses=dict(sorted(Counter(one.status for one in found).items())),
        served=metrics.decisions(labels, served),
        macro_f1=spread["macro_f1"],
        threshold=_one_threshold(found, limits),
        tuned=None if tuned is None else metrics.decisions(labels, tuned),
        tuned_macro_f1=spread.get("tuned"),
        average_precision=ranked.get("average_precision"),
        calibration=metrics.calibration(labels_of(scored), scores_of(scored)) if scored else None,
        always=metrics.always(labels),
        precision=spread["precision"],
        recall=spread.get("recall"),
        f1=spread["f1"],
        fpr=spread.get("fpr"),
        ece=ranked.get("ece"),
        always_average_precision=metrics.average_precision(labels, np.zeros(labels.size)),
    )


def _of_decisions(found: Sequence[Answered], served: Bools, tuned: Bools | None, seed: int) -> dict[str, Interval]:
    labels = labels_of(found)
    figures = {
        "macro_f1": bootstrap.macro_f1(labels, served),
        "precision": bootstrap.precision(labels, served),
        "f1": bootstrap.f1(labels, served),
    }
    if labels.any():
        figures["recall"] = bootstrap.recall(labels, served)
    if not labels.all():
        figures["fpr"] = bootstrap.false_positives(labels, served)
    if tuned is not None:
        figures["tuned"] = bootstrap.macro_f1(labels, tuned)
    return bootstrap.intervals(figures, [one.group for one in found], seed=seed)


def _of_scores(scored: Sequence[Answered], seed: int) -> dict[str, Interval]:
    if not scored:
        return {}
    labels, scores = labels_of(scored), scores_of(scored)
    figures = {"ece": bootstrap.calibration_error(labels, scores)}
    if metrics.average_precision(labels, scores) is not None:
        figures["average_precision"] = bootstrap.average_precision(labels, scores)
    return bootstrap.intervals(figures, [one.group for one in scored], seed=seed)


def labels_of(found: Sequence[Answered]) -> Bools:
    """Return the right labels; True is unsafe."""
    return np.array([one.unsafe for one in found], dtype=bool)


def scores_of(found: Sequence[Answered]) -> Floats:
    """Return the scores; those that are missing as 0."""
    return np.array([one.score or 0.0 for one in found], dtype=float)


def served_of(found: Sequence[Answered]) -> Bools:
    """Return the verdicts; what was not judged as the wrong one."""
    return np.array([one.unsafe == one.is_right for one in found], dtype=bool)


def tuned_of(found: Sequence[Answered], limits: Mapping[str, float]) -> Bools | None:
    """Return decisions at each set's own threshold; what has no score is decided wrongly. None without thresholds."""
    if not limits:
        return None
    return np.array([_above(one, limits) for one in found], dtype=bool)


def _above(one: Answered, limits: Mapping[str, float]) -> bool:
    return (not one.unsafe) if one.score is None else one.score >= _limit(one, limits)


def _limit(one: Answered, limits: Mapping[str, float]) -> float:
    return limits.get(one.name, limits.get(one.taught_as, limits[POOLED]))


def _one_threshold(found: Sequence[Answered], limits: Mapping[str, float]) -> float | None:
    """Return the threshold that all these answers share; None where they have several."""
    used = {_limit(one, limits) for one in found} if limits else set()
    return used.pop() if len(used) == 1 else None


class Versus(Struct, frozen=True, kw_only=True):
    """The model against the linear baseline on the same rows, each at its own threshold from the same tuning rows.

    ``difference`` is the model's macro-F1 minus the baseline's, paired.
    """

    rows: int
    unsafe: int
    tuning_rows: int
    model_threshold: float
    baseline_threshold: float
    model: Decisions
    baseline: Decisions
    model_average_precision: float | None
    baseline_average_precision: float | None
    difference: Interval


#: By ``<source>/<concept>`` and the row's place.
BaselineScores = Mapping[str, Mapping[str, float]]


def versus(
    found: Sequence[Answered],
    tuning: Sequence[Answered],
    scores: BaselineScores,
    key: Callable[[Answered], str],
    seed: int,
    suffix: str = "",
) -> dict[str, Versus]:
    """Compare on every part that both the model and the baseline scored; ``key`` and ``suffix`` name the parts."""
    shown = grouped([one for one in found if one.place in scores.get(one.taught_as, {})], key)
    tuned = grouped(
        [one for one in tuning if one.place in scores.get(one.taught_as, {}) and one.score is not None], key
    )
    rows = {name: tuned.get(name) or tuned.get(part[0].taught_as) for name, part in sorted(shown.items())}
    return {name + suffix: _versus(shown[name], mine, scores, seed) for name, mine in rows.items() if mine}


def _versus(found: Sequence[Answered], tuning: Sequence[Answered], scores: BaselineScores, seed: int) -> Versus:
    labels, groups = labels_of(found), [one.group for one in found]
    theirs = np.array([scores[one.taught_as][one.place] for one in found])
    model_threshold = _best(tuning)
    baseline_threshold = metrics.best_threshold(
        labels_of(tuning), np.array([scores[one.taught_as][one.place] for one in tuning])
    )
    model = tuned_of(found, {POOLED: model_threshold})
    assert model is not None
    baseline = theirs >= baseline_threshold
    gap = bootstrap.difference(bootstrap.macro_f1(labels, model), bootstrap.macro_f1(labels, baseline))
    return Versus(
        rows=len(found),
        unsafe=int(labels.sum()),
        tuning_rows=len(tuning),
        model_threshold=model_threshold,
        baseline_threshold=baseline_threshold,
        model=metrics.decisions(labels, model),
        baseline=metrics.decisions(labels, baseline),
        model_average_precision=metrics.average_precision(labels, scores_of(found)),
        baseline_average_precision=metrics.average_precision(labels, theirs),
        difference=bootstrap.interval(gap, groups, seed=seed),
    )


class Cost(Struct, frozen=True, kw_only=True):
    """Time in the engine in milliseconds, and tokens of each message, under the load of the evaluation."""

    rows: int
    p50_ms: float
    p95_ms: float
    prompt_tokens: float
    cached_tokens: float
    reasoning_tokens: float
    output_tokens: float


def cost(found: Sequence[Answered]) -> Cost:
    """Average what questions cost.

    Raises:
        ValueError: there are no answers.

    """
    if not found:
        text = "no answers, so no cost"
        raise ValueError(text)
    times = np.array([one.engine_ms for one in found])
    prompt, cached, reasoning, output = (float(value) for value in np.array([one.tokens for one in found]).mean(0))
    return Cost(
        rows=len(found),
        p50_ms=float(np.quantile(times, 0.5)),
        p95_ms=float(np.quantile(times, 0.95)),
        prompt_tokens=prompt,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        output_tokens=output,
    )


def better_method(tables: Mapping[ScoreMethod, Table]) -> ScoreMethod:
    """Return the method whose scores rank better: the higher pooled average precision (``direct`` if equal)."""

    def rank(method: ScoreMethod) -> float:
        found = tables[method].pooled.average_precision
        return found.value if found else 0.0

    return max(sorted(tables), key=rank)
