"""P(unsafe) from the first token's alternatives."""

from __future__ import annotations

import math

import pytest

from worker.judge.score import unsafe_score
from worker.records import Label

FIRST: dict[int, Label] = {1: "safe", 2: "unsafe", 3: "unsafe", 4: "safe"}


def logs(**chances: float) -> dict[int, float]:
    """Return logarithms by token id (``t1=0.5``)."""
    return {int(name[1:]): math.log(chance) for name, chance in chances.items()}


def test_all_ways_to_begin_a_label_count() -> None:
    """Tokens that begin the same label are added up."""
    assert unsafe_score(logs(t1=0.5, t2=0.3, t3=0.1, t4=0.1), FIRST) == pytest.approx(0.4)


def test_what_begins_no_label_is_left_out() -> None:
    """The two labels are brought to one."""
    assert unsafe_score(logs(t1=0.2, t2=0.2, t9=0.6), FIRST) == pytest.approx(0.5)


def test_one_label_alone() -> None:
    """Where the other label has no token among the alternatives, the score is 0 or 1."""
    assert unsafe_score({1: -0.1, 2: -math.inf}, FIRST) == 0.0
    assert unsafe_score({2: 0.0}, FIRST) == 1.0


@pytest.mark.parametrize("logprobs", [{}, {9: -0.1}, {1: -math.inf}, {1: math.nan, 2: -0.1}])
def test_no_score_is_no_number(logprobs: dict[int, float]) -> None:
    """Without anything to compare there is no score, rather than a wrong one."""
    assert unsafe_score(logprobs, FIRST) is None
