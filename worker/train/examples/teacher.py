"""Soft labels from linear models that have not seen the row: distillation, named as such.

A network that starts from nothing needs many passes before it weighs words as well as a linear model
does at once. For each data set and concept the training rows are cut into folds by their group; a
linear model of words and characters, fitted on the other folds, says how likely a row is to be
violating. Development, calibration and test rows are never taught.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from worker.judge.placeholders import mask
from worker.train.data.labels import concept_of
from worker.train.data.rows import Row

FOLDS: Final = 5
#: Fewer rows of a class than this teach nothing beyond the label.
MIN_CLASS: Final = 40
_SMALL: Final = 500
_WORD: Final = r"\w+|[^\w\s]"


def teach(rows: Sequence[Row], own: Mapping[str, Sequence[str]]) -> list[dict[str, float]]:
    """Return, for each row, P(concept) by concept of a model that did not see the row's group.

    Args:
        rows: training rows.
        own: the concepts that each source was labelled for; only those are taught.

    """
    taught: list[dict[str, float]] = [{} for _ in rows]
    for source, keys in own.items():
        mine = [place for place, row in enumerate(rows) if row.source == source]
        asked = sorted({key for place in mine for key in rows[place].known if concept_of(key) in keys})
        features: Any = _features([rows[place] for place in mine]) if asked else None
        for key in asked:
            known = [number for number, place in enumerate(mine) if key in rows[place].known]
            chosen = [rows[mine[number]] for number in known]
            for number, score in zip(known, _scores(features[known], chosen, key), strict=True):
                taught[mine[number]][key] = score
    return taught


def _scores(features: Any, rows: Sequence[Row], key: str) -> list[float]:
    """Return P(key) of each row by a model of the other folds; the row's own label where there is none."""
    answers = np.array([row.known[key] for row in rows])
    folds = np.array([zlib.crc32(row.group.encode()) % FOLDS for row in rows])
    scores = answers.astype(float)
    for fold in range(FOLDS):
        seen, asked = folds != fold, folds == fold
        if asked.any() and MIN_CLASS <= answers[seen].sum() <= seen.sum() - MIN_CLASS:
            model: Any = LogisticRegression(C=5.0, solver="liblinear", tol=1e-2)
            model.fit(features[seen], answers[seen])
            scores[asked] = model.predict_proba(features[asked])[:, 1]
    return [round(float(score), 4) for score in scores]


def _features(rows: Sequence[Row]) -> Any:
    """Words, word pairs and characters of the masked text, words of its context beside; no label is used."""
    texts = [mask(row.text)[0] for row in rows]
    before = [" ".join(mask(turn.text)[0] for turn in row.context) for row in rows]
    small = len(rows) < _SMALL
    words: dict[str, Any] = {"ngram_range": (1, 2), "min_df": 1 if small else 2, "sublinear_tf": True}
    parts = [
        TfidfVectorizer(token_pattern=_WORD, **words).fit_transform(texts),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), min_df=1 if small else 3, sublinear_tf=True
        ).fit_transform(texts),
    ]
    return hstack([*parts, *_of_contexts(before, words)]).tocsr()


def _of_contexts(before: Sequence[str], words: Mapping[str, Any]) -> Iterator[Any]:
    """Words of contexts; nothing where there are none, or each stands in too few."""
    try:
        yield TfidfVectorizer(**words).fit_transform(before)
    except ValueError:
        return
