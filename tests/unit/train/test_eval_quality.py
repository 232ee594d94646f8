"""Tables of quality, thresholds, and the comparison with the baseline."""

from __future__ import annotations

import pytest

from tests.support.evaluating import answer, many
from worker.train.evaluation import quality
from worker.train.evaluation.quality import POOLED

LABELS = [True, True, False, False] * 10
SCORES = [0.9, 0.4, 0.35, 0.1] * 10


def test_served_and_tuned() -> None:
    """At 0.5 a quarter is missed; at the threshold from other rows nothing is."""
    found = many(LABELS, SCORES)

    table = quality.table(found, found, seed=1)

    assert table.pooled.served.recall == 0.5
    assert table.pooled.threshold == pytest.approx(0.375)
    assert table.pooled.tuned is not None
    assert table.pooled.tuned.macro_f1 == 1
    assert table.pooled.average_precision is not None
    assert table.pooled.average_precision.value == 1
    assert list(table.by_set) == ["sms/spam"]
    assert table.by_set["sms/spam"] == table.by_source["sms"] == table.by_category["spam"] == table.pooled


def test_every_figure_has_its_interval() -> None:
    """Around the plain figure; the error of calibration is that of the calibration."""
    one = quality.table(many(LABELS, SCORES), [], seed=1).pooled

    for name in ("precision", "recall", "f1", "fpr"):
        found = getattr(one, name)
        assert found.value == pytest.approx(getattr(one.served, name))
        assert found.low <= found.value <= found.high
    assert one.recall is not None
    assert 0 < one.recall.low < 0.5 < one.recall.high < 1
    assert one.ece is not None
    assert one.calibration is not None
    assert one.ece.value == pytest.approx(one.calibration.ece)
    assert one.always_average_precision == 0.5


def test_a_figure_of_no_rows_has_no_interval() -> None:
    """Where nothing is unsafe there is no recall, and where nothing is safe no false positive."""
    safe = quality.table(many([False] * 4, [0.1] * 4), [], seed=1).pooled
    unsafe = quality.table(many([True] * 4, [0.9] * 4), [], seed=1).pooled
    unscored = quality.table([answer(0, unsafe=True, score=None)], [], seed=1).pooled

    assert (safe.recall, unsafe.fpr, safe.always_average_precision, unscored.ece) == (None, None, None, None)
    assert safe.fpr is not None
    assert unsafe.recall is not None
    assert (safe.fpr.high, unsafe.recall.low) == (0, 1)


def test_what_was_not_judged_is_wrong() -> None:
    """A truncated row counts against both classes, and has no score to calibrate."""
    found = [
        answer(0, unsafe=True, score=None),
        answer(1, unsafe=False, score=None, status="contradictory"),
        answer(2, unsafe=True, score=0.9),
        answer(3, unsafe=False, score=0.1),
    ]

    one = quality.table(found, [], seed=1).pooled

    assert (one.served.accuracy, one.served.recall, one.served.fpr) == (0.5, 0.5, 0.5)
    assert one.statuses == {"contradictory": 1, "judged": 2, "truncated": 1}
    assert one.calibration is not None
    assert one.calibration.rows == 2
    assert (one.threshold, one.tuned) == (None, None)
    limits = {POOLED: 0.5}
    tuned = quality.tuned_of(found, limits)
    assert tuned is not None
    assert tuned.tolist() == [False, True, True, False]


def test_thresholds_need_rows_of_both_labels() -> None:
    """A set with few rows takes the threshold of all."""
    few = many([True, False], [0.9, 0.8], name="surge/toxicity")

    limits = quality.thresholds([*many(LABELS, SCORES), *few])

    assert set(limits) == {"sms/spam", POOLED}
    assert quality.thresholds([]) == {}


def test_several_thresholds_are_not_one() -> None:
    """A pooled row of sets with different thresholds names none."""
    sets = [*many(LABELS, SCORES), *many(LABELS, [score / 2 for score in SCORES], name="surge/toxicity")]

    table = quality.table(sets, sets, seed=1)

    assert table.pooled.threshold is None
    assert table.by_set["surge/toxicity"].threshold == pytest.approx(0.1875)


def test_one_class_has_no_average_precision() -> None:
    """There is nothing to rank."""
    assert quality.table(many([False] * 4, [0.1] * 4), [], seed=1).pooled.average_precision is None


def test_what_cannot_be_told_apart_is_not_pooled() -> None:
    """A paper set's questions of one label stand in lines of their own, and in nothing that is of several sets."""
    both = many(LABELS, SCORES, name="aegis2/unsafe", source="aegis2", concept="unsafe")
    trivial = many([False] * 60, [0.01] * 60, name="aegis2/hate", source="aegis2", concept="hate")
    hard = many([False] * 60, [0.8] * 60, name="or_bench_hard/unsafe", source="or_bench_hard", concept="unsafe")
    found = [*both, *trivial, *hard]

    table, alone = quality.table(found, found, seed=1), quality.table(both, both, seed=1)

    assert table.pooled == alone.pooled == table.by_source["aegis2"] == table.by_category["unsafe"]
    assert table.by_set.keys() == {"aegis2/hate", "aegis2/unsafe", "or_bench_hard/unsafe"}
    assert table.by_set["or_bench_hard/unsafe"] == table.by_source["or_bench_hard"]
    assert table.by_source["or_bench_hard"].served.fpr == 1
    assert table.by_category["hate"].rows == 60
    assert quality.thresholds(found) == quality.thresholds(both)


def test_the_folders_sets_are_always_pooled() -> None:
    """Each of them has both labels; a small sample that lacks one by chance still counts."""
    few = many([False] * 4, [0.1] * 4, name="surge/toxicity", source="surge", concept="toxicity")

    assert quality.pooled([*many(LABELS, SCORES), *few]) == [*many(LABELS, SCORES), *few]


def test_versus_is_paired_and_tuned_alike() -> None:
    """A baseline with reversed scores is worse on every resample; one with the same scores is equal."""
    found, tuning = many(LABELS, SCORES), many(LABELS, SCORES)
    same = {"sms/spam": {one.place: one.score or 0.0 for one in found}}
    reversed_ = {"sms/spam": {one.place: 1 - (one.score or 0.0) for one in found}}

    equal = quality.versus(found, tuning, same, lambda one: one.name, seed=1)["sms/spam"]
    better = quality.versus(found, tuning, reversed_, lambda one: one.name, seed=1, suffix=" x")["sms/spam x"]

    assert (equal.difference.low, equal.difference.high) == (0, 0)
    assert equal.model == equal.baseline
    assert equal.model_threshold == equal.baseline_threshold
    assert better.difference.low > 0
    assert better.tuning_rows == 40


def test_versus_needs_both_sides() -> None:
    """Rows that the baseline did not score are left out; a part without tuning rows too."""
    found = many(LABELS, SCORES)

    assert quality.versus(found, found, {}, lambda one: one.name, seed=1) == {}
    half = {"sms/spam": {one.place: 0.5 for one in found[:20]}}
    assert quality.versus(found, found, half, lambda one: one.name, seed=1)["sms/spam"].rows == 20
    assert quality.versus(found, [], half, lambda one: one.name, seed=1) == {}


def test_cost_by_hand() -> None:
    """Medians and means."""
    found = [answer(n, unsafe=True, score=0.9, engine_ms=10.0 * n, tokens=(100, 50, n, n + 2)) for n in range(11)]

    cost = quality.cost(found)

    assert (cost.p50_ms, cost.p95_ms) == (50, 95)
    assert (cost.prompt_tokens, cost.cached_tokens, cost.reasoning_tokens, cost.output_tokens) == (100, 50, 5, 7)
    with pytest.raises(ValueError, match="no answers"):
        quality.cost([])


def test_the_better_method_ranks_better() -> None:
    """By average precision, pooled."""
    good, bad = quality.table(many(LABELS, SCORES), [], 1), quality.table(many(LABELS, SCORES[::-1]), [], 1)

    assert quality.better_method({"direct": bad, "trace": good}) == "trace"
    assert quality.better_method({"direct": good, "trace": good}) == "direct"
