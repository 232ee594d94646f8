"""Groups of answers for training come from the engine that serves."""

from __future__ import annotations

import pytest

from tests.support.rl_runs import small_recipe
from worker.judge.engine import Engine
from worker.train.rl.sampling import ask

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_a_group_is_several_draws(engine: Engine) -> None:
    """Each prompt gets a group; at a temperature its members differ, without one they are equal."""
    prompts = [[40, 41, 42], [50, 51]]
    drawn = await ask(engine, prompts, small_recipe(max_response_tokens=12, temperature=1.0), end=7)
    greedy = await ask(engine, prompts, small_recipe(max_response_tokens=12, temperature=0.0), end=7)

    assert [4, 4] == [len(group) for group in drawn]
    assert all(0 < len(ids) <= 12 for group in drawn for ids in group)
    assert all(len({tuple(ids) for ids in group}) > 1 for group in drawn)
    assert all(len({tuple(ids) for ids in group}) == 1 for group in greedy)
