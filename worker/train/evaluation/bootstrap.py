"""Intervals by resampling rows, or whole groups of rows, with replacement. Pure and seeded.

Percentile bootstrap (Efron 1979). A resample is a vector of how often each row was drawn, so that
every figure of all resamples comes from a few matrix products. Paired figures share their resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from worker.train.evaluation.metrics import BINS, Bools, Floats

REPEATS: Final = 1000
LEVEL: Final = 0.95
#: Cells of one block of resamples: a bound on memory.
_BLOCK_CELLS: Final = 4_000_000

Weights = npt.NDArray[np.float64]
#: From resamples of shape (repeats, rows) to one figure each.
Figure = Callable[[Weights], Floats]


class Interval(Struct, frozen=True, kw_only=True):
    """A figure on all rows, and the middle 95 % of its resamples."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write it as reports do."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def interval(figure: Figure, groups: Sequence[str], *, seed: int, repeats: int = REPEATS) -> Interval:
    """Resample groups and compute a figure on each resample.

    Args:
        figure: computes one number per resample, from weights of shape (repeats, rows); NaN where a
            resample has nothing to compute it from, which is then left out.
        groups: of each row; rows of one group are drawn together. Give rows distinct names to draw them singly.
        seed: the same seed draws the same resamples for the same groups, which is what pairs two figures.
        repeats: how many resamples.

    Raises:
        ValueError: there are no rows.

    """
    return intervals({"": figure}, groups, seed=seed, repeats=repeats)[""]


def intervals(
    figures: Mapping[str, Figure], groups: Sequence[str], *, seed: int, repeats: int = REPEATS
) -> dict[str, Interval]:
    """Compute several figures on the same resamples, which are drawn once; else as ``interval``.

    Raises:
        ValueError: there are no rows.

    """
    if not groups:
        text = "an interval needs at least one row"
        raise ValueError(text)
    rng = np.random.default_rng(seed)
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    block = max(1, _BLOCK_CELLS // len(groups))
    values = {name: float(figure(np.ones((1, len(groups))))[0]) for name, figure in figures.items()}
    found: dict[str, list[Floats]] = {name: [] for name in figures}
    for start in range(0, repeats, block):
        count = min(block, repeats - start)
        drawn = rng.multinomial(names.size, np.full(names.size, 1 / names.size), size=count)
        weights = drawn[:, places].astype(float)
        for name, figure in figures.items():
            found[name].append(figure(weights))
    return {name: _middle(value, np.concatenate(found[name])) for name, value in values.items()}


def _middle(value: float, resampled: Floats) -> Interval:
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return Interval(value=value, low=float(low), high=float(high))


def of_counts(
    hits: Sequence[int], rows: Sequence[int], figure: Figure, *, seed: int, repeats: int = REPEATS
) -> Interval:
    """Resample the rows of each part singly, where a figure needs no more than each part's share of hits.

    How many of a part's drawn rows hit is then a binomial number, so that no row has to be drawn.

    Args:
        hits: rows of each part that hit.
        rows: all rows of each part, at least one.
        figure: computes one number per resample, from shares of shape (repeats, parts).
        seed: of the draws.
        repeats: how many resamples.

    """
    whole = np.asarray(rows)
    shares = np.asarray(hits) / whole
    drawn = np.random.default_rng(seed).binomial(whole, shares, size=(repeats, whole.size)) / whole
    return _middle(float(figure(shares[np.newaxis])[0]), figure(drawn))


def share(hits: Sequence[bool] | Bools) -> Figure:
    """Return the figure "share of rows that hit"."""
    return mean(np.asarray(hits, float))


def mean(values: Sequence[float] | Floats) -> Figure:
    """Return the figure "mean over rows"."""
    found = np.asarray(values, float)
    return lambda weights: _divide(weights @ found, weights.sum(1))


def macro_f1(labels: Sequence[bool] | Bools, decided: Sequence[bool] | Bools) -> Figure:
    """Return the figure "mean of the two classes' F1"."""
    truth, said = np.asarray(labels, bool), np.asarray(decided, bool)
    return lambda weights: (_f1(weights, truth, said) + _f1(weights, ~truth, ~said)) / 2


def f1(labels: Sequence[bool] | Bools, decided: Sequence[bool] | Bools) -> Figure:
    """Return the figure "F1 of unsafe"."""
    truth, said = np.asarray(labels, bool), np.asarray(decided, bool)
    return lambda weights: _f1(weights, truth, said)


def precision(labels: Sequence[bool] | Bools, decided: Sequence[bool] | Bools) -> Figure:
    """Return the figure "precision of unsafe"; 0 where nothing is called unsafe."""
    truth, said = np.asarray(labels, bool), np.asarray(decided, bool)
    return _part_of(truth & said, said)


def recall(labels: Sequence[bool] | Bools, decided: Sequence[bool] | Bools) -> Figure:
    """Return the figure "recall of unsafe"; 0 where nothing is unsafe."""
    truth, said = np.asarray(labels, bool), np.asarray(decided, bool)
    return _part_of(truth & said, truth)


def false_positives(labels: Sequence[bool] | Bools, decided: Sequence[bool] | Bools) -> Figure:
    """Return the figure "false-positive rate"; 0 where nothing is safe."""
    truth, said = np.asarray(labels, bool), np.asarray(decided, bool)
    return _part_of(~truth & said, ~truth)


def _part_of(part: Bools, whole: Bools) -> Figure:
    hits, all_ = part.astype(float), whole.astype(float)
    return lambda weights: _divide(weights @ hits, weights @ all_)


def calibration_error(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats, bins: int = BINS) -> Figure:
    """Return the figure "expected calibration error" over bins of equal mass, as ``metrics.calibration`` has it.

    A resample errs more than the rows that it is drawn from, by about what chance does to so few rows. So an interval
    leans to higher values, and may begin above its own value.
    """
    truth, found = np.asarray(labels, float), np.asarray(scores, float)
    order = np.argsort(found, kind="stable")
    gaps = (found - truth)[order]

    def figure(weights: Weights) -> Floats:
        drawn = weights[:, order]
        zero = np.zeros((len(drawn), 1))
        counts, sums = np.hstack([zero, drawn.cumsum(1)]), np.hstack([zero, (drawn * gaps).cumsum(1)])
        ends = _ends(counts[:, -1], bins)
        # Between two rows a sum grows evenly, since a bin may end among the copies of one row.
        at = np.array([np.interp(end, count, total) for end, count, total in zip(ends, counts, sums, strict=True)])
        return _divide(np.abs(np.diff(at, axis=1)).sum(1), counts[:, -1])

    return figure


def _ends(rows: Floats, bins: int) -> Floats:
    """Return where bins begin and end, for each number of rows: their sizes differ by at most one, larger first."""
    places, size = np.arange(bins + 1), rows[:, np.newaxis] // bins
    ends: Floats = places * size + np.minimum(places, rows[:, np.newaxis] - size * bins)
    return ends


def average_precision(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats) -> Figure:
    """Return the figure "average precision"; equal scores count as one step, as scikit-learn has it.

    It is NaN on a resample without an unsafe row.
    """
    truth, found = np.asarray(labels, float), np.asarray(scores, float)
    order = np.argsort(-found, kind="stable")
    truth, found = truth[order], found[order]
    last = np.append(np.flatnonzero(np.diff(found)), found.size - 1)
    ends = last[np.searchsorted(last, np.arange(found.size))]

    def figure(weights: Weights) -> Floats:
        drawn = weights[:, order]
        hits, shown = np.cumsum(drawn * truth, 1), np.cumsum(drawn, 1)
        precision = _divide(hits[:, ends], shown[:, ends])
        return ratio((drawn * truth * precision).sum(1), hits[:, -1])

    return figure


def difference(first: Figure, second: Figure) -> Figure:
    """Return the figure "first minus second" on the same resamples."""
    return lambda weights: first(weights) - second(weights)


def lower_of(first: Figure, second: Figure) -> Figure:
    """Return the figure "the lower of two" on the same resamples."""
    return lambda weights: np.minimum(first(weights), second(weights))


def _f1(weights: Weights, truth: Bools, said: Bools) -> Floats:
    hits = weights @ (truth & said)
    return _divide(2 * hits, weights @ truth.astype(float) + weights @ said.astype(float))


def ratio(parts: Floats, wholes: Floats) -> Floats:
    """Divide; NaN where there is nothing to divide by."""
    found: Floats = np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)
    return found


def _divide(parts: Floats, wholes: Floats) -> Floats:
    return np.divide(parts, wholes, out=np.zeros(np.broadcast(parts, wholes).shape), where=wholes > 0)
