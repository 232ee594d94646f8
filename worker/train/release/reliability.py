"""The reliability of scores before and after calibration, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from worker.judge.calibration import Calibration
from worker.records import ScoreMethod
from worker.train.evaluation import metrics
from worker.train.release.calibrate import Scored

FILE_NAME: Final = "reliability.png"


def draw(path: Path, calibration: Calibration, scored: Mapping[ScoreMethod, Scored]) -> None:
    """Draw one panel for each method: raw and calibrated scores of the same rows against the diagonal."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, only needed here

    figure = Figure(figsize=(5 * len(scored), 4.5))
    axes = np.atleast_1d(figure.subplots(1, len(scored)))
    for axis, (method, rows) in zip(axes, scored.items(), strict=True):
        _panel(axis, method, rows, calibration)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _panel(axis: Any, method: ScoreMethod, scored: Scored, calibration: Calibration) -> None:
    raw = [score for score in scored.scores if score is not None]
    labels = [label for score, label in zip(scored.scores, scored.labels, strict=True) if score is not None]
    after = [calibration.apply(score, method) or 0.0 for score in raw]
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, scores, style in (("raw", raw, "o--"), ("calibrated", after, "s-")):
        bins = metrics.calibration(labels, scores).curve
        axis.plot([one.score for one in bins], [one.unsafe for one in bins], style, label=name)
    axis.set(
        xlabel="mean P(unsafe) of a bin",
        ylabel="share of unsafe rows",
        title=f"{method}: {calibration.methods[method].rows} rows of {calibration.split}",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axis.legend()
