"""Fits a calibration from raw scores of calibration rows, and says what it is worth. No I/O.

Platt scaling (Platt 1999): a logistic regression on the logit of the score, its targets drawn in a
little, as in the paper, so that few rows cannot make it certain. Scores come from the worker's own judge
on the engine that serves. What is fitted is a probability, so 0.5 stays 0.5 of the rows that look alike;
the thresholds that would be best for macro-F1 are given beside it as advice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct, structs
from sklearn.linear_model import LogisticRegression

from worker.errors import TrainError
from worker.judge.calibration import Band, Curve, Method, Threshold, logit, mean_of
from worker.records import ScoreMethod
from worker.train.data.taxonomy import UNSAFE
from worker.train.evaluation.metrics import Bools, Floats, calibration

#: Fewer rows of either label say nothing about a category's threshold, or about a curve.
MIN_EACH: Final = 20
MAX_ERROR: Final = 0.1
#: Whose mean may be a score of its own.
PAIR: Final[tuple[ScoreMethod, ScoreMethod]] = ("direct", "trace")
#: What the mean of two scores must be better by, in Brier score: it costs a call for each message.
MIN_GAIN: Final = 0.005
_PARTS: Final = 5
_BAND_ROWS: Final = 50
_BAND_BINS: Final = 20
_DRAWS: Final = 300
_INTERVAL: Final = (2.5, 97.5)
_DEFAULT: Final = 0.5
_DIGITS: Final = 4
_FALLS: Final = "scores do not rise with the labels"
_FEW: Final = f"fewer than {MIN_EACH} rows of a label"


class Scored(Struct, frozen=True, kw_only=True):
    """Rows with their raw scores (None: the judge gave none), labels, and the category that was asked."""

    scores: Sequence[float | None]
    labels: Sequence[bool]
    categories: Sequence[str]


def fit_methods(
    raw: Mapping[ScoreMethod, Scored], names: Mapping[str, tuple[str, str]], seed: int
) -> tuple[dict[ScoreMethod, Method], dict[ScoreMethod, Scored]]:
    """Fit every way to make a score, and the mean of before and after reasoning where that is the better one after it.

    Args:
        raw: the calibration rows by method.
        names: id and name that each category was asked under.
        seed: of the held-out parts and the bootstrap.

    Returns:
        What was fitted, and what it was fitted on.

    Raises:
        TrainError: no row has a score.

    """
    shown = dict(raw)
    methods = {method: fit_method(scored, names, seed) for method, scored in shown.items()}
    if all(name in methods and methods[name].curve for name in PAIR):
        scored = averaged(shown["direct"], shown["trace"], methods)
        mean, trace = _of_same_rows(scored, shown["trace"], names, seed)
        if mean and trace and is_better(mean, trace):
            shown["mean_k"], methods["mean_k"] = scored, mean
    return methods, shown


def _of_same_rows(
    scored: Scored, trace: Scored, names: Mapping[str, tuple[str, str]], seed: int
) -> tuple[Method | None, Method | None]:
    """Fit means, and the scores after reasoning of the rows that have one; nothing where none has."""
    if all(score is None for score in scored.scores):
        return None, None
    pairs = zip(trace.scores, scored.scores, strict=True)
    same = structs.replace(trace, scores=[None if mean is None else after for after, mean in pairs])
    return fit_method(scored, names, seed), fit_method(same, names, seed)


def fit_method(scored: Scored, names: Mapping[str, tuple[str, str]], seed: int, max_error: float = MAX_ERROR) -> Method:
    """Fit the curve of one way to make a score, with thresholds and band on its calibrated scores.

    Args:
        scored: the calibration rows; equal lengths.
        names: id and name that each category was asked under.
        seed: of the held-out parts and the bootstrap.
        max_error: the review band is where decisions at 0.5 are wrong more often than this.

    Raises:
        TrainError: no row has a score.

    """
    kept = [place for place, score in enumerate(scored.scores) if score is not None]
    if not kept:
        text = "no calibration row was given a score; give --data the folder of data sets, and look at the model"
        raise TrainError(text)
    raw: Floats = np.array([scored.scores[place] for place in kept], dtype=np.float64)
    labels: Bools = np.array([scored.labels[place] for place in kept], dtype=np.bool_)
    categories = [scored.categories[place] for place in kept]
    curve, reason = fit(raw, labels)
    before = calibration(labels, raw)
    after = calibration(labels, _held_out(raw, labels, seed)) if curve else None
    shown = np.array([curve(score) for score in raw]) if curve else raw
    return Method(
        curve=curve,
        reason=reason,
        rows=len(kept),
        unsafe=int(labels.sum()),
        unscored=len(scored.scores) - len(kept),
        ece_before=_rounded(before.ece),
        ece_after=_rounded(after.ece) if after else None,
        brier_before=_rounded(before.brier),
        brier_after=_rounded(after.brier) if after else None,
        thresholds=_thresholds(shown, labels, categories, names, seed),
        band=review_band(shown, labels, max_error),
    )


def averaged(direct: Scored, trace: Scored, methods: Mapping[ScoreMethod, Method]) -> Scored:
    """Return the means of the calibrated scores of the same rows, before and after reasoning; None where one is none.

    Also None of rows under the whole taxonomy: a model that is asked apart judges them in several calls, and their
    scores are the highest of those.

    Raises:
        ValueError: they are not the same rows.

    """
    if (direct.labels, direct.categories) != (trace.labels, trace.categories):
        text = "only scores of the same rows have a mean"
        raise ValueError(text)
    before, after = _shown(direct, methods["direct"]), _shown(trace, methods["trace"])
    means = [
        None if first is None or second is None or category == UNSAFE else mean_of(first, second)
        for first, second, category in zip(before, after, direct.categories, strict=True)
    ]
    return Scored(scores=means, labels=direct.labels, categories=direct.categories)


def _shown(scored: Scored, method: Method) -> list[float | None]:
    curve = method.curve
    return [score if score is None or curve is None else curve(score) for score in scored.scores]


def is_better(mean: Method, trace: Method) -> bool:
    """Tell whether the mean of before and after is the better score of a verdict with reasoning.

    Its Brier score is lower by more than noise makes it, and it costs a call. Both are of held-out parts; the curves
    inside the mean, of two numbers each, are fitted on all rows.
    """
    if mean.brier_after is None or trace.brier_after is None:
        return False
    return mean.brier_after <= trace.brier_after - MIN_GAIN


def fit(raw: Floats, labels: Bools) -> tuple[Curve | None, str]:
    """Fit slope and intercept; where that cannot be done return None and the reason."""
    unsafe, safe = int(labels.sum()), int((~labels).sum())
    if min(unsafe, safe) < MIN_EACH:
        return None, _FEW
    logits = np.array([logit(score) for score in raw])
    # Platt's targets: each row counts a little for the other label too.
    chance = np.where(labels, (unsafe + 1) / (unsafe + 2), 1 / (safe + 2))
    column = np.concatenate([logits, logits])[:, None]
    target = np.concatenate([np.ones(len(raw)), np.zeros(len(raw))])
    found: Any = LogisticRegression(C=1e6, max_iter=1000)
    found.fit(column, target, sample_weight=np.concatenate([chance, 1 - chance]))
    slope, intercept = float(found.coef_[0, 0]), float(found.intercept_[0])
    return (Curve(slope=slope, intercept=intercept), "") if slope > 0 else (None, _FALLS)


def _held_out(raw: Floats, labels: Bools, seed: int) -> Floats:
    """Calibrate each part of the rows by a curve fitted on the other parts; raw where that fails."""
    parts = np.random.default_rng(seed).permutation(len(raw)) % _PARTS
    out = raw.copy()
    for part in range(_PARTS):
        curve, _ = fit(raw[parts != part], labels[parts != part])
        if curve:
            out[parts == part] = [curve(score) for score in raw[parts == part]]
    return out


def best_threshold(scores: Floats, labels: Bools) -> tuple[float, float]:
    """Return the threshold with the highest macro-F1 and that value; of equals the one nearest 0.5.

    Thresholds stand half way between neighbouring scores, so that rows lie on both sides; where all
    scores are equal it is 0.5. Both labels must occur.
    """
    order = np.argsort(scores, kind="stable")
    ranked, hits = scores[order], labels[order]
    # Threshold i calls rows i and above unsafe.
    below_unsafe = np.concatenate([[0], np.cumsum(hits)])
    below_safe = np.concatenate([[0], np.cumsum(~hits)])
    unsafe, safe = below_unsafe[-1], below_safe[-1]
    right_unsafe, wrong_unsafe = unsafe - below_unsafe, safe - below_safe
    macro = _f1(right_unsafe, wrong_unsafe, below_unsafe) / 2 + _f1(below_safe, below_unsafe, wrong_unsafe) / 2
    if ranked[0] == ranked[-1]:
        return _DEFAULT, float(macro[0] if ranked[0] >= _DEFAULT else macro[-1])
    edges, macro = (ranked[:-1] + ranked[1:]) / 2, np.where(ranked[:-1] < ranked[1:], macro[1:-1], -1.0)
    ties = np.flatnonzero(macro >= macro.max() - 1e-12)
    chosen = ties[np.argmin(np.abs(edges[ties] - _DEFAULT))]
    return float(edges[chosen]), float(macro[chosen])


def _f1(right: Floats, false: Floats, missed: Floats) -> Floats:
    found: Floats = 2 * right / np.maximum(2 * right + false + missed, 1)
    return found


def _thresholds(
    scores: Floats, labels: Bools, categories: Sequence[str], names: Mapping[str, tuple[str, str]], seed: int
) -> dict[str, Threshold]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, category in enumerate(categories):
        places[category].append(place)
    return {
        category: _threshold(scores[places[category]], labels[places[category]], names[category], seed)
        for category in sorted(places)
    }


def _threshold(scores: Floats, labels: Bools, named: tuple[str, str], seed: int) -> Threshold:
    rows, unsafe = len(scores), int(labels.sum())
    if min(unsafe, rows - unsafe) < MIN_EACH:
        none: dict[str, Any] = dict.fromkeys(("threshold", "low", "high", "macro_f1"))
        return Threshold(id=named[0], name=named[1], rows=rows, unsafe=unsafe, **none)
    best, macro = best_threshold(scores, labels)
    low, high = _interval(scores, labels, seed)
    return Threshold(
        id=named[0],
        name=named[1],
        threshold=_rounded(best),
        low=_rounded(low),
        high=_rounded(high),
        macro_f1=_rounded(macro),
        rows=rows,
        unsafe=unsafe,
    )


def _interval(scores: Floats, labels: Bools, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(_DRAWS):
        rows = rng.integers(0, len(scores), len(scores))
        if 0 < labels[rows].sum() < len(rows):
            drawn.append(best_threshold(scores[rows], labels[rows])[0])
    low, high = np.percentile(drawn, _INTERVAL)
    return float(low), float(high)


def review_band(scores: Floats, labels: Bools, max_error: float = MAX_ERROR) -> Band | None:
    """Return the stretch of scores whose bins are wrong more often than ``max_error`` at 0.5.

    Bins have equal mass and at least 50 rows; the band runs from the first such bin to the last. None
    where there is none, or fewer rows than one bin.
    """
    if len(scores) < _BAND_ROWS:
        return None
    wrong = (scores >= _DEFAULT) != labels
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, min(_BAND_BINS, len(scores) // _BAND_ROWS))
    bad = [part for part in bins if wrong[part].mean() > max_error]
    if not bad:
        return None
    low, high = float(scores[bad[0]].min()), float(scores[bad[-1]].max())
    inside = (scores >= low) & (scores <= high)
    return Band(
        # Outwards, so that every row of the band stays in it.
        low=math.floor(low * 10**_DIGITS) / 10**_DIGITS,
        high=math.ceil(high * 10**_DIGITS) / 10**_DIGITS,
        max_error=max_error,
        rows=_rounded(float(inside.mean())),
        error_inside=_rounded(float(wrong[inside].mean())),
        error_outside=_rounded(float(wrong[~inside].mean()) if (~inside).any() else 0.0),
    )


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
