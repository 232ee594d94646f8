"""How good a model is on rows that it has not seen: ranking and decisions, per data set and concept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sklearn.metrics import average_precision_score, roc_auc_score

from worker.policy.model import EffectiveCategory, Panel
from worker.train.data.labels import one
from worker.train.data.rows import Row
from worker.train.examples.format import MAX_CHARS, OWN, Formatter
from worker.train.model.scoring import after_reasoning, p_unsafe, reason
from worker.train.policies.draw import Wording
from worker.train.policies.wordings import CONCEPTS

Case = tuple[str, Wording, Row, bool]


def canonical(key: str) -> Wording:
    """Return the policy of one concept in its canonical words."""
    concept = CONCEPTS[key]
    category = EffectiveCategory(scope="t", id=concept.ids[0], name=concept.names[0], definition=concept.definitions[0])
    return Wording(panel=Panel(categories=(category,)), senses=(one(key),))


def cases(rows: Sequence[Row], limit: int) -> list[Case]:
    """Return up to ``limit`` rows for each data set and concept that it was labelled for."""
    found: dict[str, list[Case]] = defaultdict(list)
    for row in rows:
        for key in OWN[row.source]:
            name = f"{row.source}/{key}"
            if key in row.known and len(row.text) <= MAX_CHARS and len(found[name]) < limit:
                found[name].append((name, canonical(key), row, row.known[key]))
    return [case for name in sorted(found) for case in found[name]]


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
