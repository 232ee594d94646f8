"""Where the embeddings start: from what words stand beside and what they say of the labels.

A random start has to learn from gradients what counting tells at once. The first columns are the
weights of a linear model of tokens for each data set and concept; the rest are the main directions of
the tokens' co-occurrence (positive pointwise mutual information with a smoothed context, Levy, Goldberg
and Dagan 2015). Both come from training rows only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.utils.extmath import randomized_svd

Table = NDArray[np.float64]

_WINDOW: Final = 5
_SMOOTHING: Final = 0.75
_MIN_COUNT: Final = 3
#: What is left to chance in each row, so that no two tokens are the same.
_CHANCE: Final = 0.2


def embeddings(
    texts: Sequence[Sequence[int]], labels: Mapping[str, Mapping[int, bool]], vocab: int, width: int, seed: int
) -> Table:
    """Return a start for an embedding table: (vocab, width), with rows of unit mean square.

    Args:
        texts: token ids of the training texts.
        labels: by name, the label of some of the texts, by their place.
        vocab: rows of the table.
        width: columns of the table; more than there are labels.
        seed: for the rows of tokens that the texts hardly have.

    """
    table = np.random.default_rng(seed).standard_normal((vocab, width))
    counts = np.bincount(np.concatenate([np.asarray(ids) for ids in texts]), minlength=vocab)
    presence = _presence(texts, vocab)
    columns = [_weights(presence, found) for found in labels.values()]
    directions = _directions(_information(texts, vocab), width - len(columns), seed)
    whole = np.concatenate([np.array(columns).T.reshape(vocab, -1), directions], 1)
    met = counts >= _MIN_COUNT
    scaled = whole[met] / (whole[met].std(0) + 1e-9)
    scaled /= np.sqrt((scaled**2).mean(1, keepdims=True)) + 1e-9
    table[met] = (1 - _CHANCE) * scaled + _CHANCE * table[met]
    return table


def _presence(texts: Sequence[Sequence[int]], vocab: int) -> Any:
    """Return which text has which token: (texts, vocab), sparse."""
    rows = np.repeat(np.arange(len(texts)), [len(ids) for ids in texts])
    columns = np.concatenate([np.asarray(ids) for ids in texts])
    found = csr_matrix((np.ones(len(rows)), (rows, columns)), (len(texts), vocab))
    found.data[:] = 1.0
    return found


def _weights(presence: Any, labels: Mapping[int, bool]) -> Table:
    model: Any = LogisticRegression(C=1.0, solver="liblinear", tol=1e-2, class_weight="balanced")
    model.fit(presence[list(labels)], list(labels.values()))
    weights: Table = model.coef_[0]
    return weights


def _information(texts: Sequence[Sequence[int]], vocab: int) -> Any:
    """Return the positive pointwise mutual information of tokens within a window: (vocab, vocab), sparse."""
    lists = [np.asarray(ids) for ids in texts]
    steps = range(1, _WINDOW + 1)
    first = np.concatenate([ids[:-step] for ids in lists for step in steps])
    second = np.concatenate([ids[step:] for ids in lists for step in steps])
    counted = coo_matrix((np.ones(len(first)), (first, second)), (vocab, vocab)).tocsr()
    pairs = (counted + counted.T).tocoo()
    sums = np.asarray(pairs.sum(0)).ravel()
    smooth = sums**_SMOOTHING
    value = np.log(pairs.data * smooth.sum() / (sums[pairs.row] * smooth[pairs.col]))
    return csr_matrix((np.maximum(value, 0.0), (pairs.row, pairs.col)), (vocab, vocab))


def _directions(matrix: Any, width: int, seed: int) -> Table:
    left, strength, _ = randomized_svd(matrix, n_components=width, n_iter=3, random_state=seed)
    found: Table = left * np.sqrt(strength)
    return np.pad(found, ((0, 0), (0, width - found.shape[1])))
