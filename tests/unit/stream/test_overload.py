"""What is left out under overload, tenant by tenant, and what policies say to it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.judging import floor_and_own, policy
from tests.support.policies import accepted, category
from tests.support.policies import policy as record
from worker.config import Settings
from worker.config_load import load
from worker.errors import ConfigError
from worker.policy.combine import combine
from worker.policy.model import EffectivePolicy
from worker.records import Rung, canonical_json
from worker.stream.overload import Overload, declared

SETTLE_S: Final = 5.0
DECLARED: Final = {"overload_short_s": 10.0, "overload_label_s": 20.0, "overload_hold_s": 40.0}


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        """Start somewhere."""
        self.now_s = 50.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


class Rig:
    """Ladders under a clock of their own."""

    def __init__(self, **limits: float) -> None:
        """Declare these limits, or all of them."""
        self.clock = Clock()
        self.overload = Overload(declared(Settings(**(limits or DECLARED))), SETTLE_S, self.clock)  # type: ignore[arg-type]

    def waits(
        self, wait_s: float, seconds: int, under: EffectivePolicy | None = None, tenant: str = "shop"
    ) -> list[Rung | None]:
        """Let a message go each second after this wait; return what each was judged at."""
        found = []
        for _ in range(seconds):
            self.clock.now_s += 1.0
            found.append(self.overload.rung(tenant, wait_s, under or policy()))
        return found

    def tenants(self) -> dict[Rung, int]:
        """Count tenants by rung while none waits."""
        return self.overload.tenants(lambda _: False)


def distinct(rungs: list[Rung | None]) -> list[Rung | None]:
    """Return the rungs without repetitions."""
    return [rung for place, rung in enumerate(rungs) if not place or rungs[place - 1] != rung]


def test_nothing_is_left_out_unless_declared() -> None:
    """By default a message is judged in full, however long it waited, and nobody is remembered."""
    undeclared = Overload(declared(Settings()), SETTLE_S, Clock())

    assert {undeclared.rung("shop", 1e6, policy()) for _ in range(9)} == {None}
    assert len(undeclared) == 0


def test_up_and_down_in_order() -> None:
    """Waits beyond all limits lead up the ladder and short ones down again, each rung by itself."""
    rig = Rig()

    assert distinct(rig.waits(50.0, 30)) == [None, "short_reasoning", "label_only", "hold"]
    assert distinct(rig.waits(1.0, 30)) == ["label_only", "short_reasoning", None]
    assert rig.tenants() == {"short_reasoning": 0, "label_only": 0, "hold": 0}


def test_held_is_only_what_itself_waited() -> None:
    """What comes fresh while the hold is left is judged, without reasoning."""
    rig = Rig()
    rig.waits(50.0, 30)

    assert rig.waits(19.9, 1) == ["label_only"]
    assert rig.waits(20.0, 1) == ["hold"]


def test_only_declared_rungs_are_taken() -> None:
    """Any part of the ladder may be left out."""
    assert distinct(Rig(overload_hold_s=40.0).waits(50.0, 30)) == [None, "hold"]
    assert distinct(Rig(overload_short_s=10.0, overload_hold_s=40.0).waits(39.0, 30)) == [None, "short_reasoning"]


def test_a_tenant_that_waits_loses_nothing_of_anothers() -> None:
    """Each has a ladder of its own; the counts say how many are where."""
    rig = Rig()
    for _ in range(20):
        rig.waits(50.0, 1, tenant="loud")
        assert rig.waits(0.5, 1, tenant="calm") == [None]

    assert rig.tenants() == {"short_reasoning": 0, "label_only": 0, "hold": 1}
    assert len(rig.overload) == 1


def test_a_silent_tenant_is_forgotten_once_nothing_of_it_waits() -> None:
    """Silence is rest only for a tenant with an empty queue."""
    rig = Rig()
    rig.waits(50.0, 30)
    rig.clock.now_s += 60.0

    assert rig.overload.tenants(lambda _: True)["hold"] == 1
    assert rig.tenants() == {"short_reasoning": 0, "label_only": 0, "hold": 0}
    assert len(rig.overload) == 0


def test_a_refused_rung_is_a_hold() -> None:
    """A policy may rather not be judged than be judged with less; a rung that it does not refuse is taken."""
    rig = Rig()

    assert distinct(rig.waits(30.0, 30, policy(refuse_rungs=("label_only",)))) == [None, "short_reasoning", "hold"]
    assert rig.waits(1.0, 1, policy(refuse_rungs=("label_only",))) == ["short_reasoning"]
    assert rig.waits(30.0, 1, policy(refuse_rungs=("short_reasoning", "label_only"))) == ["hold"]


def test_where_nothing_reasons_there_is_nothing_to_leave_out() -> None:
    """Such a policy is judged in full, or held; it cannot be refused what it never had."""
    never = policy(reasoning="never", refuse_rungs=("label_only",))
    rig = Rig()

    assert distinct(rig.waits(50.0, 30, never)) == [None, "hold"]


def test_any_part_may_refuse() -> None:
    """What floor, tenant or channel refuses is refused; nobody takes it back."""
    own = category("A", "Alpha")
    both = combine(
        accepted("platform", record(category("U7", "Hate"), refuse_rungs=("label_only",))),
        accepted("acme", record(own, refuse_rungs=("short_reasoning",))),
        accepted("acme/lobby", record()),
    )
    none = combine(None, accepted("acme", record(own)), None)
    assert both is not None
    assert none is not None
    assert both.refused_rungs == ("short_reasoning", "label_only")
    assert none.refused_rungs == ()
    assert b"refuse" not in canonical_json(none.judging)


def test_a_rung_changes_how_calls_are_asked_and_not_the_policy() -> None:
    """Floor and tenant alike; the digest stays, and a view is made once."""
    whole = floor_and_own(reasoning="when_unsure")
    short, bare = whole.at("short_reasoning"), whole.at("label_only")

    assert [(call.asking.reasoning, call.asking.is_brief is True) for call in short.calls] == [
        ("when_unsure", True)
    ] * 2
    assert [call.asking.reasoning for call in bare.calls] == ["never", "never"]
    assert {one.digest for one in (short, bare)} == {whole.digest}
    assert whole.at("label_only") is bare
    assert whole.at(None) is whole


@pytest.mark.parametrize(
    "wrong", [{"overload_label_s": 5}, {"overload_hold_s": 20}, {"overload_label_s": 0, "overload_hold_s": 10}]
)
def test_limits_must_rise(wrong: dict[str, Any]) -> None:
    """A milder rung with a longer wait would never be seen; the message names both."""
    with pytest.raises(ConfigError, match=r"overload_.*_s = .* is not above overload_.*_s"):
        load(environ={}, flags=DECLARED | wrong)

    assert load(environ={}, flags=DECLARED).overload_hold_s == 40.0
