"""Intervals: seeded, paired, by group, and with the same figures as the plain functions."""

from __future__ import annotations

import numpy as np
import pytest

from worker.train.evaluation import bootstrap, metrics

RNG = np.random.default_rng(7)
LABELS = RNG.random(200) < 0.3
SCORES: metrics.Floats = np.round(np.clip(LABELS * 0.4 + RNG.random(200) * 0.6, 0, 1), 2).astype(np.float64)
DECIDED = SCORES >= 0.5
NAMES = [str(number) for number in range(200)]
ONES = np.ones((1, 200))


def test_figures_on_all_rows_are_the_plain_ones() -> None:
    """With every row once, each figure is what ``metrics`` says, ties of scores included."""
    plain = metrics.decisions(LABELS, DECIDED)

    assert bootstrap.f1(LABELS, DECIDED)(ONES)[0] == pytest.approx(plain.f1)
    assert bootstrap.macro_f1(LABELS, DECIDED)(ONES)[0] == pytest.approx(plain.macro_f1)
    assert bootstrap.precision(LABELS, DECIDED)(ONES)[0] == pytest.approx(plain.precision)
    assert bootstrap.recall(LABELS, DECIDED)(ONES)[0] == pytest.approx(plain.recall)
    assert bootstrap.false_positives(LABELS, DECIDED)(ONES)[0] == pytest.approx(plain.fpr)
    assert bootstrap.share(DECIDED)(ONES)[0] == pytest.approx(DECIDED.mean())
    assert bootstrap.mean(SCORES)(ONES)[0] == pytest.approx(SCORES.mean())
    assert bootstrap.average_precision(LABELS, SCORES)(ONES)[0] == pytest.approx(
        metrics.average_precision(LABELS, SCORES)
    )


def test_weights_stand_for_copies() -> None:
    """A resample's figure is that of the rows written out as often as they were drawn."""
    weights = RNG.integers(0, 4, (5, 200)).astype(float)
    figures = bootstrap.macro_f1(LABELS, DECIDED)(weights), bootstrap.average_precision(LABELS, SCORES)(weights)

    for place, row in enumerate(weights.astype(int)):
        labels, decided, scores = np.repeat(LABELS, row), np.repeat(DECIDED, row), np.repeat(SCORES, row)
        assert figures[0][place] == pytest.approx(metrics.decisions(labels, decided).macro_f1)
        assert figures[1][place] == pytest.approx(metrics.average_precision(labels, scores))


@pytest.mark.parametrize("rows", [1, 7, 10, 13, 199, 200])
def test_calibration_error_is_the_plain_one(rows: int) -> None:
    """Bins of equal mass, of any number of rows, with ties; on a resample, those of the rows written out."""
    labels, scores = LABELS[:rows], SCORES[:rows]
    weights = np.vstack([np.ones(rows), RNG.integers(0, 4, (5, rows))]).astype(float)
    weights[:, 0] += 1

    found = bootstrap.calibration_error(labels, scores)(weights)

    for place, row in enumerate(weights.astype(int)):
        assert found[place] == pytest.approx(metrics.calibration(np.repeat(labels, row), np.repeat(scores, row)).ece)


def test_figures_of_decisions_stand_for_copies() -> None:
    """Precision, recall and false positives of a resample are those of the rows written out."""
    weights = RNG.integers(0, 4, (5, 200)).astype(float)
    figures = {"precision": bootstrap.precision, "recall": bootstrap.recall, "fpr": bootstrap.false_positives}

    for name, figure in figures.items():
        found = figure(LABELS, DECIDED)(weights)
        for place, row in enumerate(weights.astype(int)):
            plain = metrics.decisions(np.repeat(LABELS, row), np.repeat(DECIDED, row))
            assert found[place] == pytest.approx(getattr(plain, name))
        assert figure([False], [False])(np.ones((1, 1)))[0] == 0


def test_several_figures_share_their_resamples() -> None:
    """Each interval is the one that it has alone, and resamples are drawn once."""
    figures = {"share": bootstrap.share(DECIDED), "f1": bootstrap.f1(LABELS, DECIDED)}

    found = bootstrap.intervals(figures, NAMES, seed=4)

    assert found == {name: bootstrap.interval(figure, NAMES, seed=4) for name, figure in figures.items()}


def test_rows_of_parts_are_drawn_by_their_counts() -> None:
    """A share's interval is that of drawing its rows; a part without hits stays without any."""
    one = bootstrap.of_counts([60], [200], lambda shares: shares[:, 0], seed=1, repeats=20_000)
    drawn = bootstrap.interval(bootstrap.share(np.arange(200) < 60), NAMES, seed=1, repeats=20_000)

    assert one.value == drawn.value == 0.3
    assert (one.low, one.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)
    gap = bootstrap.of_counts([0, 10], [10, 10], lambda shares: np.ptp(shares, axis=1), seed=1)
    assert (gap.low, gap.value, gap.high) == (1, 1, 1)


def test_an_interval_is_seeded_and_holds_its_value() -> None:
    """The same seed gives the same interval, another seed another one, both about as wide as theory says."""
    first = bootstrap.interval(bootstrap.share(DECIDED), NAMES, seed=1)

    assert first == bootstrap.interval(bootstrap.share(DECIDED), NAMES, seed=1)
    assert first != bootstrap.interval(bootstrap.share(DECIDED), NAMES, seed=2)
    assert first.low < first.value < first.high
    share = DECIDED.mean()
    width = 2 * 1.96 * np.sqrt(share * (1 - share) / 200)
    assert first.high - first.low == pytest.approx(width, rel=0.15)


def test_groups_widen_an_interval() -> None:
    """Rows that come and go together say less than as many single ones."""
    hits = np.repeat(RNG.random(20) < 0.5, 10)
    groups = [str(number // 10) for number in range(200)]

    single = bootstrap.interval(bootstrap.share(hits), NAMES, seed=1)
    together = bootstrap.interval(bootstrap.share(hits), groups, seed=1)

    assert together.high - together.low > 2 * (single.high - single.low)


def test_a_paired_difference_of_equals_is_nothing() -> None:
    """Both sides of a resample hold the same rows: equal decisions differ by exactly 0."""
    figure = bootstrap.macro_f1(LABELS, DECIDED)

    found = bootstrap.interval(bootstrap.difference(figure, figure), NAMES, seed=1)

    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_paired_difference_finds_what_is_better() -> None:
    """Decisions that are right where the others are right, and twenty times more, are surely better."""
    better = DECIDED.copy()
    wrong = np.flatnonzero(DECIDED != LABELS)[:20]
    better[wrong] = LABELS[wrong]
    sides = bootstrap.macro_f1(LABELS, better), bootstrap.macro_f1(LABELS, DECIDED)

    assert bootstrap.interval(bootstrap.difference(*sides), NAMES, seed=1).low > 0


def test_the_lower_of_two() -> None:
    """On each resample, not of the two means."""
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    sides = bootstrap.share([True, False]), bootstrap.share([False, True])

    assert bootstrap.lower_of(*sides)(weights).tolist() == [0, 0]


def test_a_resample_without_unsafe_rows_says_nothing() -> None:
    """A perfect ranking of three rows with one unsafe among them is never 0, however it is drawn."""
    figure = bootstrap.average_precision([True, False, False], [0.9, 0.2, 0.1])

    found = bootstrap.interval(figure, ["a", "b", "c"], seed=1)

    assert (found.low, found.value, found.high) == (1, 1, 1)
    assert np.isnan(figure(np.array([[0.0, 2.0, 1.0]]))).all()


def test_blocks_do_not_change_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether resamples are drawn at once or in blocks, there are as many."""
    monkeypatch.setattr(bootstrap, "_BLOCK_CELLS", 200 * 7)
    sizes: list[int] = []

    def figure(weights: bootstrap.Weights) -> metrics.Floats:
        sizes.append(len(weights))
        return weights[:, 0]

    bootstrap.interval(figure, NAMES, seed=1, repeats=20)

    assert sizes == [1, 7, 7, 6]


def test_no_rows_no_interval() -> None:
    """Nothing has no interval."""
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap.interval(bootstrap.share([]), [], seed=1)
