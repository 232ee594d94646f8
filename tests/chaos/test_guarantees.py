"""Guarantees see what is broken: each is shown evidence that breaks it and nothing else."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tests.chaos import traffic
from tests.chaos.guarantees import GUARANTEES, Evidence, Outcome, after_stalls, check
from worker.demo.samples import BROKEN

CLEAN_AUDIT: Final[dict[str, Any]] = {"missing": [], "doubled": [], "misplaced": [], "altered": []}


def verdict(offset: int, writer: str = "w0.1", **fields: Any) -> Outcome:
    """Return the verdict of a harmless message at this offset of partition 0."""
    said = {
        "status": "judged",
        "label": "safe",
        "action": "allow",
        "trace_id": f"t{offset}",
        "policy": {"parts": [{"offset": 0}]},
    }
    return Outcome(topic="verdicts", partition=0, place=(0, offset), writer=writer, verdict=said | fields)


def letter(offset: int, value: bytes) -> Outcome:
    """Return a dead letter."""
    return Outcome(topic="dead-letters", partition=0, place=(0, offset), value=value)


def message(text: str = "hello") -> bytes | None:
    """Return the bytes of a message."""
    return traffic.message(0, text)[1]


GOOD: Final = Evidence(
    engine="scripted",
    inputs={
        (0, 0): message(),
        (0, 1): message("[fail:timeout]"),
        (0, 2): BROKEN[0],
        (0, 3): None,
        (0, 4): message("[sleep:5] [unsafe:U7]"),
    },
    outcomes=[
        verdict(0),
        verdict(1, status="timeout", label=None, action="review"),
        letter(2, BROKEN[0]),
        verdict(4, label="unsafe", action="block"),
    ],
    traces={"t0", "t1", "t4"},
    policies={0},
    stalled={},
    audit=CLEAN_AUDIT,
    trouble=[],
    late=[],
    orphans=[],
)
DOUBLE: Final = CLEAN_AUDIT | {"doubled": [{"partition": 0, "offset": 0}]}


def without(place: tuple[int, int]) -> list[Outcome]:
    """Return the outcomes of all other messages."""
    return [outcome for outcome in GOOD.outcomes if outcome.place != place]


BROKEN_BY: Final[dict[str, Evidence]] = {
    "lost": replace(GOOD, outcomes=without((0, 0))),
    "doubled": replace(GOOD, outcomes=[*GOOD.outcomes, verdict(0, writer="w1.1")], audit=DOUBLE),
    "invented": replace(GOOD, inputs=GOOD.inputs | {(0, 0): None}),
    "called safe": replace(GOOD, outcomes=[*without((0, 1)), verdict(1, status="timeout", label=None, action="allow")]),
    "misjudged": replace(GOOD, outcomes=[*without((0, 4)), verdict(4)]),
    "untraced": replace(GOOD, traces={"t0", "t1"}),
    "policies": replace(GOOD, policies={7}),
    "audit": replace(GOOD, audit=CLEAN_AUDIT | {"missing": [{"partition": 0, "offset": 0}]}),
    "ends": replace(GOOD, trouble=["w0.1 ended with 1 unasked"]),
    "recovery": replace(GOOD, late=["broker_kill"]),
    "orphans": replace(GOOD, orphans=["process 1"]),
}


def test_what_is_well_breaks_nothing() -> None:
    """One outcome for each message, each the one that it must have."""
    assert check(GOOD) == {}


def test_every_guarantee_is_tried() -> None:
    """No guarantee is without evidence that breaks it."""
    assert BROKEN_BY.keys() == {guarantee.name for guarantee in GUARANTEES}


@pytest.mark.parametrize("name", BROKEN_BY)
def test_a_guarantee_sees_what_breaks_it(name: str) -> None:
    """Each is broken by its own evidence, and by one line of it."""
    found = check(BROKEN_BY[name])

    assert len(found[name]) == 1
    assert found.keys() <= {name, "misjudged"}


def test_a_double_after_a_stall_is_counted_apart() -> None:
    """It is no broken promise but named: by the kind of fault, and by the audit, which must know it."""
    evidence = replace(BROKEN_BY["doubled"], stalled={"w1.1": "worker_stall"})

    assert check(evidence) == {}
    assert after_stalls(evidence) == {(0, 0): "worker_stall"}
    assert list(check(replace(evidence, audit=CLEAN_AUDIT))) == ["audit"]


def test_what_a_message_must_be_is_known() -> None:
    """The traffic says what the scripted engine will say, and which records are no messages."""
    assert traffic.expected(json.dumps({"text": "[sleep:5] [fail:timeout]"}).encode()) == {
        "status": "timeout",
        "label": None,
    }
    assert {traffic.expected(value) for _, value in traffic.poison(0) if value is not None} == {None}
