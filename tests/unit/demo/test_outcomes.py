"""Collecting what came of the demonstration's messages."""

from __future__ import annotations

from types import SimpleNamespace

from tests.support.verdicts import some_verdict
from worker.config import Settings
from worker.demo.outcomes import Outcomes
from worker.records import Trace, encode

SETTINGS = Settings()


def record(topic: str, value: bytes = b"", offset: int = 0, source_topic: str = "messages") -> SimpleNamespace:
    """Return a record as a consumer hands it out."""
    headers = {
        "stage": "decode",
        "error": "DecodeError",
        "error_detail": "text: expected a string",
        "source_topic": SETTINGS.topic(source_topic),
        "source_partition": "0",
        "source_offset": str(offset),
    }
    return SimpleNamespace(
        topic=SETTINGS.topic(topic), value=value, headers=[(name, text.encode()) for name, text in headers.items()]
    )


def test_the_first_outcome_of_a_place_counts_and_the_second_is_doubled() -> None:
    """A verdict and a dead letter of one message are two outcomes."""
    outcomes = Outcomes(SETTINGS)
    verdict = some_verdict()
    assert outcomes.take(record("verdicts", encode(verdict))) == verdict
    assert outcomes.take(record("verdicts", encode(verdict))) is None
    assert outcomes.take(record("dead-letters", offset=0)) is None
    assert outcomes.doubled == 2
    assert outcomes.places == {(0, 0)}


def test_dead_letters_of_policies_are_no_outcomes() -> None:
    """A refused policy stands in the same topic and is no message."""
    outcomes = Outcomes(SETTINGS)
    assert outcomes.take(record("dead-letters", offset=5, source_topic="policies")) is None
    assert outcomes.take(record("dead-letters", offset=5)) is not None
    assert outcomes.places == {(0, 5)}


def test_traces_are_kept_by_their_id() -> None:
    """A trace is no outcome."""
    outcomes = Outcomes(SETTINGS)
    trace = Trace(
        trace_id="t",
        verdict_id="v",
        tenant_id="acme",
        reasoning="because",
        raw=None,
        reasoning_digest=None,
        truncated=False,
        level="full",
    )
    assert outcomes.take(record("traces", encode(trace))) is None
    assert outcomes.traces == {"t": trace}
