"""How good a model in training is on dev rows: ranking and decisions, without the engine that serves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sklearn.metrics import average_precision_score, roc_auc_score

from worker.train.evaluation.cases import Case, canonical, cases
from worker.train.examples.format import Formatter
from worker.train.model.scoring import after_reasoning, p_unsafe, reason

__all__ = ["canonical", "cases", "direct_scores", "table", "trace_scores"]


def direct_scores(model: Any, formatter: Formatter, chosen: Sequence[Case]) -> list[float]:
    """Score without reasoning."""
    return p_unsafe(
        model, formatter, [formatter.prompt_ids(wording, row, reasoning=False) for _, wording, row, _ in chosen]
    )


def trace_scores(model: Any, formatter: Formatter, chosen: Sequence[Case]) -> list[float]:
    """Score after greedy reasoning."""
    reasoned = reason(model, formatter, [(wording, row) for _, wording, row, _ in chosen])
    return after_reasoning(model, formatter, reasoned)


def table(chosen: Sequence[Case], scores: Sequence[float]) -> dict[str, dict[str, float]]:
    """Return, per data set and concept, average precision, ROC area, accuracy at 0.5, and counts."""
    grouped: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for (name, _, _, label), score in zip(chosen, scores, strict=True):
        grouped[name].append((label, score))
    return {name: _measures(pairs) for name, pairs in grouped.items() if len({label for label, _ in pairs}) > 1}


def _measures(pairs: Sequence[tuple[bool, float]]) -> dict[str, float]:
    labels, scores = [label for label, _ in pairs], [score for _, score in pairs]
    right = sum((score >= 0.5) == label for label, score in pairs)  # noqa: PLR2004 - the default threshold
    return {
        "average_precision": round(float(average_precision_score(labels, scores)), 4),
        "roc_auc": round(float(roc_auc_score(labels, scores)), 4),
        "accuracy": round(right / len(pairs), 4),
        "rows": len(pairs),
        "unsafe": sum(labels),
    }
