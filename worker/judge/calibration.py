"""From P(unsafe) as a model says it to one that can be believed: ``calibration.json`` in its folder.

A file holds one curve for each way to make a score (before reasoning, after it), fitted on rows that
neither trained nor chose anything: ``sigmoid(slope * logit(p) + intercept)`` (Platt 1999; with an
intercept of 0 it is temperature scaling, Guo et al. 2017, arXiv 1706.04599). The slope is above 0, so
the order of scores stays. It is applied right after the score is read and before any threshold or band
of the policy looks at it. Without a file, or without a curve for a method, the raw score stands.

After a reasoning that says "violates" the score hardly knows degrees any more. So a file may hold a third curve,
``mean_k``: then, where a policy reasons about every message, the model is asked before, too, and the score is the mean
of both, each calibrated, on the scale of logits, and calibrated in turn. ``train calibrate`` writes it where that is
better.

The file is keyed by ``fingerprint.model_key``: weights, tokenizer and template, and not the file itself.
The fingerprint in verdicts covers the file too, since it changes scores. Recommended thresholds and the
review band are advice for whoever writes policies; a policy's own numbers are never replaced by them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from worker.judge import beside
from worker.records import ScoreMethod

FILE_NAME: Final = "calibration.json"
_CURE: Final = "run 'rsafe train calibrate' on the folder, or delete the file"
#: Keeps logits finite; below the steps in which logits of any number format move.
_EPSILON: Final = 1e-12

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Curve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rising map from scores to scores: a line on their logits."""

    slope: Positive
    intercept: float

    def __call__(self, score: float) -> float:
        """Return the calibrated score, 0 to 1."""
        return _sigmoid(self.slope * logit(score) + self.intercept)


class Threshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A threshold recommended for one category, on calibrated scores.

    Attributes:
        id, name: of the category as it was asked.
        threshold: where macro-F1 is highest on the calibration rows; None where they are too few to say.
        low, high: 95 % interval by bootstrap over those rows.
        macro_f1: reached there, on the same rows.
        rows, unsafe: how many there were.

    """

    id: str
    name: str
    threshold: Share | None
    low: Share | None
    high: Share | None
    macro_f1: Share | None
    rows: int
    unsafe: int


class Band(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The calibrated scores between which a decision at 0.5 is wrong more often than ``max_error``.

    Attributes:
        low, high: its ends, both within it.
        max_error: the bound.
        rows: share of the calibration rows that lie in it.
        error_inside, error_outside: share of wrong decisions.

    """

    low: Share
    high: Share
    max_error: Share
    rows: Share
    error_inside: Share
    error_outside: Share


class Method(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was fitted for one way to make a score.

    Attributes:
        curve: the map; None where ``reason`` says why there is none.
        rows, unsafe: calibration rows with a score.
        unscored: rows that ended without one (truncated, contradictory).
        ece_before, ece_after, brier_before, brier_after: expected calibration error (10 bins of equal
            mass) and Brier score; after: of rows that were held out in turn, five parts.
        thresholds: by concept.
        band: None where no part of the scores is that often wrong.

    """

    curve: Curve | None
    reason: str = ""
    rows: int
    unsafe: int
    unscored: int
    ece_before: float
    ece_after: float | None
    brier_before: float
    brier_after: float | None
    thresholds: dict[str, Threshold]
    band: Band | None


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file.

    Attributes:
        model: ``fingerprint.model_key`` of the folder that it was made for.
        methods: by the verdicts' ``score_method``.
        engine, reasoning_max_tokens: what it was made with, for the record.
        split, seed, date: rows, their seed, and the day (UTC).

    """

    model: str
    methods: dict[ScoreMethod, Method]
    engine: str
    reasoning_max_tokens: int
    split: str
    seed: int
    date: str

    def apply(self, score: float | None, method: ScoreMethod) -> float | None:
        """Return the calibrated score; the raw one where this method has no curve."""
        found = self.methods.get(method)
        if score is None or found is None or found.curve is None:
            return score
        return found.curve(score)

    @property
    def takes_mean(self) -> bool:
        """Whether verdicts of ``reasoning: always`` are scored by the mean of before and after."""
        found = self.methods.get("mean_k")
        return found is not None and found.curve is not None

    def used_for(self, method: ScoreMethod) -> str:
        """Say in words which verdicts have this score, where those with reasoning have one of two; else nothing."""
        if not self.takes_mean or method == "direct":
            return ""
        return "where a policy reasons always" if method == "mean_k" else "where it reasons when unsure"

    def mean(self, direct: float, trace: float) -> float | None:
        """Return the score made of both, which are calibrated already."""
        return self.apply(mean_of(direct, trace), "mean_k")


def mean_of(direct: float, trace: float) -> float:
    """Return the mean of two scores on the scale of logits."""
    return _sigmoid((logit(direct) + logit(trace)) / 2)


def logit(score: float) -> float:
    """Return ``log(p / (1 - p))``, finite also for 0 and 1."""
    bounded = min(max(score, _EPSILON), 1 - _EPSILON)
    return math.log(bounded / (1 - bounded))


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    small = math.exp(max(value, -700.0))
    return small / (1 + small)


def read_calibration(folder: Path) -> Calibration | None:
    """Read the file of a model folder, whichever model it was made for; None where there is none.

    Raises:
        ModelError: it is not a calibration.

    """
    return beside.read(folder / FILE_NAME, Calibration, "a calibration", _CURE)


def load_calibration(folder: Path, key: str) -> Calibration | None:
    """Read the calibration of the model with this key; None where there is none.

    Raises:
        ModelError: it is not a calibration, or one of another model.

    """
    return beside.of_model(read_calibration(folder), FILE_NAME, key, _CURE)
