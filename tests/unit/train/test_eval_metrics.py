"""Figures of decisions and scores, against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from worker.train.evaluation import metrics

LABELS = [True, True, True, False, False, False, False, False]
DECIDED = [True, True, False, True, False, False, False, False]


def test_decisions_by_hand() -> None:
    """Two of three found, one false alarm of five."""
    found = metrics.decisions(LABELS, DECIDED)

    assert (found.rows, found.unsafe) == (8, 3)
    assert found.accuracy == 6 / 8
    assert (found.precision, found.recall, found.fpr) == (2 / 3, 2 / 3, 1 / 5)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_decisions_are_those_of_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    """Also where a class is missing, which counts as 0."""
    labels, decided = [one for one, _ in pairs], [other for _, other in pairs]

    found = metrics.decisions(labels, decided)

    assert found.accuracy == pytest.approx(accuracy_score(labels, decided))
    assert found.precision == pytest.approx(precision_score(labels, decided, zero_division=0))
    assert found.recall == pytest.approx(recall_score(labels, decided, zero_division=0))
    assert found.f1 == pytest.approx(f1_score(labels, decided, zero_division=0))
    both = f1_score(labels, decided, labels=[False, True], average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(both)


def test_lengths_must_agree() -> None:
    """A decision without a label is a bug, not a row."""
    with pytest.raises(ValueError, match="2 labels and 1 decisions"):
        metrics.decisions([True, False], [True])


def test_always_rows() -> None:
    """Saying the same of every row has the accuracy of its class, and half of one F1 at most."""
    found = metrics.always(LABELS)

    assert found["always safe"].accuracy == 5 / 8
    assert found["always safe"].recall == 0
    assert found["always unsafe"].fpr == 1
    assert found["always unsafe"].macro_f1 == pytest.approx((2 * 3 / (3 + 8)) / 2)


def test_average_precision_by_hand() -> None:
    """Unsafe rows at ranks 1 and 3: the mean of 1/1 and 2/3."""
    assert metrics.average_precision([True, False, True, False], [0.9, 0.8, 0.7, 0.1]) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.average_precision([True, True], [0.9, 0.8]) is None
    assert metrics.average_precision([False], [0.9]) is None


def test_calibration_by_hand() -> None:
    """Two bins of two rows: mean scores 0.15 and 0.85, shares 0.5 and 1."""
    found = metrics.calibration([False, True, True, True], [0.1, 0.2, 0.8, 0.9], bins=2)

    assert found.ece == pytest.approx((abs(0.15 - 0.5) + abs(0.85 - 1.0)) / 2)
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.04 + 0.01) / 4)
    assert [(one.rows, one.unsafe) for one in found.curve] == [(2, 0.5), (2, 1.0)]
    assert [one.score for one in found.curve] == pytest.approx([0.15, 0.85])


def test_bins_have_equal_mass() -> None:
    """Their sizes differ by one at most, whatever the scores; few rows make few bins."""
    sizes = [one.rows for one in metrics.calibration([True] * 23, np.linspace(0, 1, 23) ** 4).curve]

    assert (sum(sizes), len(sizes), max(sizes) - min(sizes)) == (23, 10, 1)
    assert len(metrics.calibration([True, False], [0.3, 0.7]).curve) == 2


def test_perfect_scores_have_no_error() -> None:
    """Scores that are labels: error 0, all of them sure."""
    found = metrics.calibration([True, False] * 10, [1.0, 0.0] * 10)

    assert (found.ece, found.brier, found.sure) == (0, 0, 1)
    assert (found.chance, found.chance_high) == (0, 0)


def test_scores_that_are_right_err_by_chance() -> None:
    """Labels drawn from their scores stay within what is expected of chance; it falls with the number of rows."""
    rng = np.random.default_rng(3)
    few, many = (rng.random(rows) for rows in (100, 10_000))
    found = [metrics.calibration(rng.random(scores.size) < scores, scores) for scores in (few, many)]

    assert found[0].chance / 8 > found[1].chance > 0
    assert all(one.chance / 2 < one.ece < 1.5 * one.chance_high for one in found)
    assert all(one.chance < one.chance_high for one in found)
    assert metrics.calibration(many < 0.5, many).ece > 5 * found[1].chance_high


def test_sure_share() -> None:
    """Outside [0.01, 0.99], its ends not among them."""
    assert metrics.calibration([True] * 5, [0.001, 0.01, 0.5, 0.99, 0.995]).sure == 2 / 5


def test_calibration_needs_rows() -> None:
    """Nothing has no error."""
    with pytest.raises(ValueError, match="at least one label"):
        metrics.calibration([], [])


def test_best_threshold_by_hand() -> None:
    """Between 0.3 and 0.6 both classes are parted."""
    assert metrics.best_threshold([False, False, True, True], [0.1, 0.3, 0.6, 0.7]) == pytest.approx(0.45)
    assert metrics.best_threshold([True, True], [0.1, 0.3]) == 0.5
    assert metrics.best_threshold([True, False], [0.4, 0.4]) == 0.4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=30))
def test_no_threshold_is_better(pairs: list[tuple[bool, int]]) -> None:
    """No score as a threshold beats the one that was chosen."""
    labels, scores = np.array([one for one, _ in pairs]), np.array([other / 20 for _, other in pairs])
    if labels.all() or not labels.any() or np.unique(scores).size == 1:
        return
    chosen = metrics.decisions(labels, scores >= metrics.best_threshold(labels, scores)).macro_f1

    # Above the lowest score, since a threshold that parts nothing is not offered.
    others = [metrics.decisions(labels, scores >= limit).macro_f1 for limit in np.unique(scores)[1:]]
    assert chosen >= max(others) - 1e-12
