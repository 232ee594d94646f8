"""Plans: what a seed decides."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.plan import BEYOND_SESSION, MEANINGS, REAL, SCRIPTED, make_plan


def test_a_seed_decides_everything() -> None:
    """The same seed gives the same faults at the same places, another one gives others."""
    first, again, other = (make_plan(seed, messages=100, faults=5) for seed in (7, 7, 8))

    assert first == again
    assert first.faults != other.faults


def test_every_kind_of_fault_can_be_done() -> None:
    """What a plan may name, somebody can do; and the other way round."""
    assert FAULTS.keys() == MEANINGS.keys()
    assert BEYOND_SESSION <= MEANINGS.keys()


@pytest.mark.parametrize("engine, seeds, faults", [("scripted", 10, 5), ("real", 2, 4)])
def test_the_long_plan_has_every_kind_twice(engine: str, seeds: int, faults: int) -> None:
    """Seeds in a row share the wheel of faults, so that none is left out."""
    plans = [make_plan(seed, messages=100, faults=faults, engine=engine) for seed in range(1, seeds + 1)]
    counts = Counter(fault.kind for plan in plans for fault in plan.faults)

    assert counts.keys() == (SCRIPTED if engine == "scripted" else REAL).keys()
    assert min(counts.values()) >= 2


def test_kinds_can_be_chosen() -> None:
    """To look at one kind of fault alone, a plan takes no other."""
    plan = make_plan(3, messages=100, faults=4, only=["poison"])

    assert [fault.kind for fault in plan.faults] == ["poison"] * 4
