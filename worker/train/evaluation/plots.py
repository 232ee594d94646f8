"""A report as pictures: reliability, precision over recall by source, policy following."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worker.train.evaluation.judging import Answered
from worker.train.evaluation.metrics import precision_recall
from worker.train.evaluation.quality import grouped, labels_of, pooled, scores_of
from worker.train.evaluation.report import Evaluation, Report


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Draw what the report has; return the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    report = evaluation.report
    drawn = []
    if report.quality:
        drawn.append(_reliability(report, folder / "reliability.png"))
        drawn.append(_precision_recall(report, evaluation.answers, folder / "precision_recall.png"))
    if report.following:
        drawn.append(_following(report, folder / "following.png"))
    return drawn


def _figure(columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, only needed here

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def _save(figure: Any, report: Report, title: str, path: Path) -> Path:
    facts = report.facts
    figure.suptitle(f"{title}: {facts.model}, {facts.split}, {facts.date:%Y-%m-%d}", fontsize=11)
    figure.savefig(path, dpi=110)
    return path


def _reliability(report: Report, path: Path) -> Path:
    """Draw mean score against share of unsafe rows, in bins of equal mass; swapped policies beside."""
    figure, axes = _figure(len(report.quality), 5.5 * len(report.quality), 5)
    for axis, (method, table) in zip(axes, report.quality.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        curves = {"own labels": table.pooled.calibration, "swapped policies": report.swapped_calibration.get(method)}
        for name, found in curves.items():
            if found:
                label = f"{name}: ECE {found.ece:.3f}, Brier {found.brier:.3f}, n {found.rows}"
                axis.plot([one.score for one in found.curve], [one.unsafe for one in found.curve], "o-", label=label)
        axis.set(title=f"score {method}", xlabel="mean score", ylabel="share unsafe", xlim=(0, 1), ylim=(0, 1))
        axis.legend(fontsize=8)
    return _save(figure, report, "Reliability", path)


def _precision_recall(report: Report, answers: Sequence[Answered], path: Path) -> Path:
    figure, axes = _figure(len(report.quality), 5.5 * len(report.quality), 5)
    for axis, method in zip(axes, report.quality, strict=True):
        own = [one for one in answers if one.method == method and one.is_own and one.score is not None]
        for source, whole in sorted(grouped(own, lambda one: one.source).items()):
            part = pooled(whole)
            labels = labels_of(part)
            if labels.any() and not labels.all():
                precision, recall = precision_recall(labels, scores_of(part))
                axis.plot(recall, precision, drawstyle="steps-post", label=f"{source}, n {len(part)}")
        axis.set(title=f"score {method}", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axis.legend(fontsize=8)
    return _save(figure, report, "Precision and recall by source", path)


def _following(report: Report, path: Path) -> Path:
    """Draw shares of pairs right, over rows right before, with intervals; names alone as a line."""
    kinds = list(next(iter(report.following.values())))
    figure, axes = _figure(1, 9, 0.5 + 0.4 * len(kinds) * len(report.following))
    axis, height = axes[0], 0.8 / len(report.following)
    for place, (method, found) in enumerate(report.following.items()):
        for row, kind in enumerate(kinds):
            one = found[kind].over_right
            if one is None:
                continue
            error = [[one.value - one.low], [one.high - one.value]]
            label = f"score {method}" if row == 0 else None
            axis.barh(row + place * height, one.value, height, xerr=error, color=f"C{place}", label=label)
    middle = 0.4 - height / 2
    first = next(iter(report.following.values()))
    listed = [first[kind].listed for kind in kinds]
    axis.plot(listed, [row + middle for row in range(len(kinds))], "kd", label="names alone (over all)")
    axis.set_yticks([row + middle for row in range(len(kinds))], [kind.replace("_", " ") for kind in kinds])
    axis.margins(y=0.01)
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.02), xlabel="share of pairs right, over rows right under the full policy")
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    return _save(figure, report, "Policy following", path)
