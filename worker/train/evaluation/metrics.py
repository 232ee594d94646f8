"""Figures of a binary decision and of its score. Pure; every array is one-dimensional, one entry per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

BINS: Final = 10
#: A score outside this says that the model is sure; a threshold there is hard to set.
SURE: Final = (0.01, 0.99)
_CANDIDATES: Final = 400
#: Draws of labels from the scores themselves, and the share of them below ``Calibration.chance_high``.
_DRAWS: Final = 200
_HIGH: Final = 0.95


class Decisions(Struct, frozen=True, kw_only=True):
    """Figures of decisions; ``unsafe`` is the positive class. NaN-free: a share of nothing is 0."""

    rows: int
    unsafe: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    macro_f1: float
    fpr: float


class Bin(Struct, frozen=True, kw_only=True):
    """One point of a reliability curve."""

    rows: int
    score: float
    unsafe: float


class Calibration(Struct, frozen=True, kw_only=True):
    """How far scores are probabilities.

    Attributes:
        rows: how many.
        ece: expected calibration error over bins of equal mass (Nixon et al. 2019, arXiv 1904.01685).
        chance, chance_high: the error that scores which are right by definition have with so many rows: labels are
            drawn from them; mean, and what 95 % of draws stay below. An error below the second shows nothing.
        brier: mean squared difference of score and label.
        sure: share of scores outside ``SURE``.
        curve: mean score and share of unsafe rows by bin.

    """

    rows: int
    ece: float
    chance: float = 0.0
    chance_high: float = 0.0
    brier: float
    sure: float
    curve: tuple[Bin, ...]


def decisions(labels: Sequence[bool] | Bools, decided: Sequence[bool] | Bools) -> Decisions:
    """Count and divide.

    Raises:
        ValueError: the two differ in length.

    """
    truth, said = np.asarray(labels, bool), np.asarray(decided, bool)
    if truth.shape != said.shape:
        text = f"{truth.size} labels and {said.size} decisions"
        raise ValueError(text)
    tp, fp = int((truth & said).sum()), int((~truth & said).sum())
    fn, tn = int((truth & ~said).sum()), int((~truth & ~said).sum())
    positive, negative = _share(2 * tp, 2 * tp + fp + fn), _share(2 * tn, 2 * tn + fp + fn)
    return Decisions(
        rows=truth.size,
        unsafe=tp + fn,
        accuracy=_share(tp + tn, truth.size),
        precision=_share(tp, tp + fp),
        recall=_share(tp, tp + fn),
        f1=positive,
        macro_f1=(positive + negative) / 2,
        fpr=_share(fp, fp + tn),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def always(labels: Sequence[bool] | Bools) -> dict[str, Decisions]:
    """Return what saying the same of every row reaches; every other figure is read beside it."""
    rows = len(labels)
    return {
        "always safe": decisions(labels, np.zeros(rows, bool)),
        "always unsafe": decisions(labels, np.ones(rows, bool)),
    }


def average_precision(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats) -> float | None:
    """Return the area under precision over recall, as steps; None where there is one class only."""
    truth = np.asarray(labels, bool)
    if truth.all() or not truth.any():
        return None
    return float(average_precision_score(truth, np.asarray(scores, float)))


def precision_recall(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    """Return precision and recall at every threshold; both classes must occur."""
    precision, recall, _ = precision_recall_curve(np.asarray(labels, bool), np.asarray(scores, float))
    return precision, recall


def calibration(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats, bins: int = BINS) -> Calibration:
    """Compare scores with labels.

    Bins of equal mass: rows sorted by score (equal scores by their place) and cut into ``bins`` parts
    whose sizes differ by at most one. Fewer rows than bins make fewer bins.

    Raises:
        ValueError: there are no rows, or labels and scores differ in length.

    """
    truth, found = np.asarray(labels, float), np.asarray(scores, float)
    if truth.shape != found.shape or not truth.size:
        text = f"calibration needs a score for each of at least one label, not {found.size} for {truth.size}"
        raise ValueError(text)
    order = np.argsort(found, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    curve = tuple(
        Bin(rows=part.size, score=float(found[part].mean()), unsafe=float(truth[part].mean())) for part in parts
    )
    low, high = SURE
    chance = _by_chance([found[part] for part in parts])
    return Calibration(
        rows=truth.size,
        ece=sum(one.rows * abs(one.score - one.unsafe) for one in curve) / truth.size,
        chance=float(chance.mean()),
        chance_high=float(np.quantile(chance, _HIGH)),
        brier=float(brier_score_loss(truth, found, labels=[0, 1])),
        sure=float(((found < low) | (found > high)).mean()),
        curve=curve,
    )


def _by_chance(parts: Sequence[Floats]) -> Floats:
    """Return the calibration error of ``_DRAWS`` draws in which every score is the chance of its label."""
    rng = np.random.default_rng(0)
    errors = np.zeros(_DRAWS)
    for part in parts:
        drawn = rng.random((_DRAWS, part.size)) < part
        errors += np.abs(part.mean() - drawn.mean(1)) * part.size
    found: Floats = errors / sum(part.size for part in parts)
    return found


def best_threshold(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats) -> float:
    """Return the threshold with the highest macro-F1 at ``score >= threshold``.

    Candidates lie halfway between neighbouring scores; of equally good ones the middle one is taken,
    since it is the least fitted to single rows. Without two classes it is 0.5.
    """
    truth, found = np.asarray(labels, bool), np.asarray(scores, float)
    if truth.all() or not truth.any():
        return 0.5
    points = np.unique(found)
    halves = (points[1:] + points[:-1]) / 2 if points.size > 1 else points
    steps = np.linspace(0, halves.size - 1, min(halves.size, _CANDIDATES)).astype(int)
    values = np.array([decisions(truth, found >= halves[step]).macro_f1 for step in steps])
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return float(halves[steps[best[best.size // 2]]])
