"""Ratios of rates that were measured in turns."""

from __future__ import annotations

import pytest

from worker.bench.results import Ratio, compare


def test_a_ratio_is_the_median_of_the_pairs() -> None:
    """Each repeat is divided by itself: a machine that slows down in the middle changes no ratio."""
    found = compare("x", "messages/s", upper=[9.0, 4.0, 10.0], lower=[10.0, 5.0, 10.0])
    assert found.result == Ratio(name="x", ratio=0.9, low=0.8, high=1.0)


@pytest.mark.parametrize(
    "upper, lower", [([], []), ([1.0], []), ([1.0], [1.0, 2.0])], ids=["nothing", "one side", "unequal"]
)
def test_sides_that_do_not_match_have_no_ratio(upper: list[float], lower: list[float]) -> None:
    """Repeats without a partner are refused."""
    with pytest.raises(ValueError):  # noqa: PT011  (zip's words or ours)
        compare("x", "messages/s", upper, lower)
