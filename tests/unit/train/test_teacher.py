"""Soft labels of linear models, for sets of any size."""

from __future__ import annotations

import pytest

from tests.support.evaluating import row
from worker.records import Turn
from worker.train.data.rows import Row
from worker.train.data.taxonomy import UNSAFE
from worker.train.examples.teacher import teach


def _prompts(count: int) -> list[Row]:
    """Return prompts of which every other one is unsafe, and its word tells it."""
    words = ("kind", "cruel")
    return [
        row(f"be {words[n % 2]} to neighbour number {n}", n, "aegis2", known={UNSAFE: n % 2 == 1}) for n in range(count)
    ]


@pytest.mark.parametrize("count", [200, 600])
@pytest.mark.parametrize("said", ["one single question here", "?"])
def test_a_context_that_nothing_is_learnt_from_is_no_hindrance(count: int, said: str) -> None:
    """One answer among prompts, whose words stand nowhere else or are none: the texts teach as they do without it."""
    prompts = _prompts(count)
    context = (Turn(role="user", text=said),)
    answer = row("an answer", count, "aegis2", known={UNSAFE: False}, role="agent", context=context)

    taught = teach([*prompts, answer], {"aegis2": (UNSAFE,)})

    assert all((one[UNSAFE] > 0.5) is prompt.known[UNSAFE] for one, prompt in zip(taught, prompts, strict=False))
    assert 0 < taught[0][UNSAFE] < taught[1][UNSAFE] < 1
