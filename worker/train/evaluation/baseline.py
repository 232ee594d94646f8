"""The linear model that every figure is held against: one per data set, on the same rows, with the context.

Words (1 and 2) and characters (2 to 5) weighted by TF-IDF, and a logistic regression (issue 4, "It
must show"). Where a set's rows are each labelled for one of several categories (DiaSafety), the
policy tells the model which one, so the baseline is told as well: by a feature of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline

from worker.judge.placeholders import mask
from worker.train.data.papers import PAPERS
from worker.train.data.rows import Row

#: Sets with several categories of which each row is labelled for one: a single model, told which.
ONE_MODEL: Final = frozenset({"diasafety"})
#: Of 3, 10 and 30 the best or nearly so on the dev rows of five sets; characters across words, too.
_C: Final = 3.0
#: Fewer rows with a context teach nothing about it.
_MIN_CONTEXTS: Final = 5
#: A category of the paper's sets that has fewer rows of either label is no baseline; the folder's have hundreds.
_MIN_EACH: Final = 10
_WORDS: Final = r"(?u)\[\w+\]|\w+|[^\w\s]"

Key = tuple[str, str]
#: Masked text, masked context and concepts, all in lower case.
_Document = tuple[str, str, tuple[str, ...]]


class Baseline:
    """One linear model for one data set, or for one concept of it."""

    def __init__(self, rows: Sequence[Row], concepts: Sequence[str]) -> None:
        """Learn from rows and the concept that each is asked for.

        Raises:
            ValueError: the rows hold one label only.

        """
        spaces = (0, 1) if sum(bool(row.context) for row in rows) >= _MIN_CONTEXTS else (0,)
        vectors: list[tuple[str, Any]] = [("concept", CountVectorizer(analyzer=itemgetter(2)))]
        vectors += [(f"words {place}", _words(place)) for place in spaces]
        vectors += [(f"characters {place}", _characters(place)) for place in spaces]
        linear = LogisticRegression(C=_C, max_iter=1000, class_weight="balanced", solver="liblinear")
        self._model: Any = make_pipeline(FeatureUnion(vectors), linear)
        labels = [row.known[key] for row, key in zip(rows, concepts, strict=True)]
        self._model.fit(_documents(rows, concepts), labels)

    def scores(self, rows: Sequence[Row], concepts: Sequence[str]) -> list[float]:
        """Return P(unsafe) of each row."""
        if not rows:
            return []
        found: list[float] = self._model.predict_proba(_documents(rows, concepts))[:, 1].tolist()
        return found


def _documents(rows: Sequence[Row], concepts: Sequence[str]) -> list[_Document]:
    return [
        (mask(row.text)[0].lower(), context_of(row).lower(), (key,)) for row, key in zip(rows, concepts, strict=True)
    ]


def context_of(row: Row) -> str:
    """Return the earlier turns of a row as one masked text; a line for each."""
    return "\n".join(mask(turn.text)[0] for turn in row.context)


def _words(place: int) -> Any:
    chosen = itemgetter(place)
    return TfidfVectorizer(preprocessor=chosen, ngram_range=(1, 2), token_pattern=_WORDS, min_df=2, sublinear_tf=True)


def _characters(place: int) -> Any:
    return TfidfVectorizer(
        preprocessor=itemgetter(place), analyzer="char", ngram_range=(2, 5), min_df=2, sublinear_tf=True
    )


def model_key(source: str, concept: str) -> Key:
    """Return which model answers for a set's concept: one for each, or one for the whole set."""
    return (source, "" if source in ONE_MODEL else concept)


def fit_baselines(rows: Sequence[Row], own: Mapping[str, Sequence[str]]) -> dict[Key, Baseline]:
    """Fit every baseline on rows of the training split.

    Args:
        rows: training rows with the sets' own labels.
        own: the concepts that each set was labelled for.

    Returns:
        By ``model_key``; a set or concept with one label only is left out, and one of the paper's with few rows of it.

    """
    taught: dict[Key, list[tuple[Row, str]]] = defaultdict(list)
    for row in rows:
        for concept in own.get(row.source, ()):
            if concept in row.known:
                taught[model_key(row.source, concept)].append((row, concept))
    usable = {key: pairs for key, pairs in taught.items() if _has_both(key, pairs)}
    return {key: Baseline([row for row, _ in pairs], [name for _, name in pairs]) for key, pairs in usable.items()}


def _has_both(key: Key, pairs: Sequence[tuple[Row, str]]) -> bool:
    counts = Counter(row.known[name] for row, name in pairs)
    return min(counts[True], counts[False]) >= (_MIN_EACH if key[0] in PAPERS else 1)


def baseline_scores(
    train_rows: Sequence[Row], other_rows: Sequence[Row], own: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Fit on one split and score another.

    Returns:
        By ``<source>/<concept>``: P(unsafe) by the row's place. A row is scored for each concept of
        ``own`` that its label is known for.

    """
    models = fit_baselines(train_rows, own)
    asked: dict[Key, list[Row]] = defaultdict(list)
    for row in other_rows:
        for concept in own.get(row.source, ()):
            if concept in row.known and model_key(row.source, concept) in models:
                asked[row.source, concept].append(row)
    found = {}
    for (source, concept), rows in asked.items():
        scores = models[model_key(source, concept)].scores(rows, [concept] * len(rows))
        found[f"{source}/{concept}"] = dict(zip((row.place for row in rows), scores, strict=True))
    return found
