"""A linear model per concept: finds words as evidence, and texts too close to a concept to call it absent.

It sees the training split only, and masked text only. What it quotes is an attribution (the word
that weighs most towards the label), not a human's mark.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from worker.errors import TrainError
from worker.judge.placeholders import mask
from worker.train.data.rows import Row

_TOKEN: Final = re.compile(r"\[\w+\]|\w+|[^\w\s]")
_ATTRIBUTION_FLOOR: Final = 6.0
_MIN_QUOTE: Final = 3
_MAX_QUOTE: Final = 24
_STRONG: Final = 9.5
#: Words that weigh by the accident of a set's style and are nobody's evidence.
_STYLE: Final = ENGLISH_STOP_WORDS | {"ya", "yo", "ur", "wit", "ma", "haha", "rt", "jus", "gon", "u", "real", "sure"}


@lru_cache(maxsize=100_000)
def _tokens(text: str) -> tuple[str, ...]:
    """Split masked text into words and marks; kept, because each text is in the models of many labels."""
    return tuple(sys.intern(found.lower()) for found in _TOKEN.findall(mask(text)[0]))


class Linear:
    """TF-IDF of words and word pairs, and a logistic regression."""

    def __init__(self, texts: Sequence[str], labels: Sequence[bool]) -> None:
        """Fit on texts and their labels (both classes must occur)."""
        self._vectors: Any = TfidfVectorizer(analyzer=_with_pairs, min_df=2, sublinear_tf=True)
        self._model: Any = LogisticRegression(C=4.0, max_iter=200, class_weight="balanced")
        vectors = self._vectors.fit_transform(texts)
        # More threads gain nothing on sparse rows, and where cores are shared they wait for each other.
        with threadpool_limits(limits=1):
            self._model.fit(vectors, labels)
        names = self._vectors.get_feature_names_out()
        weights = self._model.coef_[0] * self._vectors.idf_
        self._weights: dict[str, float] = dict(zip(names, weights.tolist(), strict=True))

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Return P(label) of each text."""
        if not texts:
            return []
        scores: list[float] = self._model.predict_proba(self._vectors.transform(texts))[:, 1].tolist()
        return scores

    def quote(self, text: str) -> str | None:
        """Return the word of the masked text (as it stands there) that weighs most, or None if none does."""
        weight, word = max(self._weighed(text), default=(0.0, ""))
        emoji = not word.isascii()
        usable = weight > _ATTRIBUTION_FLOOR and (emoji or _MIN_QUOTE <= len(word) <= _MAX_QUOTE)
        return word if usable else None

    def has_strong_word(self, text: str) -> bool:
        """Whether one word alone makes the label likely."""
        return max(self._weighed(text), default=(0.0, ""))[0] > _STRONG

    def _weighed(self, text: str) -> list[tuple[float, str]]:
        words = [word for word in _TOKEN.findall(mask(text)[0]) if word.lower() not in _STYLE]
        return [(self._weights.get(word.lower(), 0.0), word) for word in words]


def _with_pairs(text: str) -> list[str]:
    words = _tokens(text)
    return [*words, *(f"{first} {second}" for first, second in itertools.pairwise(words))]


def fit_all(rows: Sequence[Row]) -> dict[str, Linear]:
    """Fit one model for each concept and each part, on rows of the training split.

    Raises:
        TrainError: a label is only ever true or only ever false; more rows are needed.

    """
    models = {}
    for key in sorted({key for row in rows for key in row.known}):
        known = [row for row in rows if key in row.known]
        labels = [row.known[key] for row in known]
        if len(set(labels)) == 1:
            text = (
                f"all {len(labels)} training rows have {key}={labels[0]}; a linear model needs both, so take more rows"
            )
            raise TrainError(text)
        models[key] = Linear([row.text for row in known], labels)
    return models
