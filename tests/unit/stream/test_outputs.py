"""From a judged message to bytes and headers."""

from __future__ import annotations

import json
from typing import Any

from tests.support.judging import policy
from tests.support.streaming import open_ledger, record
from worker import content_digest
from worker.errors import DecodeError
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.records import Timing, decode_message
from worker.stream.outputs import Outputs, dead_letter_of, without_texts
from worker.stream.work import Outcome, Work

RAW = b'{"tenant_id":"a","message_id":"m","text":"hello"}'
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIMING = Timing(queue_ms=1.0, engine_ms=2.0, total_ms=3.0)


def work(**fields: Any) -> Work:
    """Build a message on its way."""
    source = record(5, RAW, **fields)
    return Work(
        tenant_id="a",
        message_id="m",
        partition=0,
        offset=5,
        tokens=1,
        size_bytes=1,
        record=source,
        message=decode_message(RAW),
        ledger=open_ledger(5),
        received_s=0.0,
    )


def judged(**fields: Any) -> Outcome:
    """Build the outcome of a safe message whose reasoning is long."""
    judgement = Judgement(status="judged", score=0.0, model_label="safe", reasoning="because" * 100)
    return Outputs("me", ScriptedJudge()).verdict(work(**fields), judgement, policy(), TIMING)


def test_verdict_and_trace_belong_together() -> None:
    """They carry the source's key, name each other, and have the ids of their events in their headers."""
    outcome = judged()
    assert outcome.trace is not None
    verdict, trace = json.loads(outcome.row.value or b""), json.loads(outcome.trace.value or b"")

    assert outcome.row.key == outcome.trace.key == b"k"
    assert trace["verdict_id"] == verdict["verdict_id"]
    assert trace["trace_id"] == verdict["trace_id"]
    assert dict(outcome.row.headers)["ce_id"] == verdict["verdict_id"].encode()
    assert dict(outcome.trace.headers)["ce_id"] == trace["trace_id"].encode()
    assert outcome.labels == ("judged", "safe")


def test_attempts_share_the_verdict_id_and_not_the_trace_id() -> None:
    """The verdict's id is the message's; each attempt has a trace of its own."""
    first, second = json.loads(judged().row.value or b""), json.loads(judged().row.value or b"")

    assert first["verdict_id"] == second["verdict_id"]
    assert first["trace_id"] != second["trace_id"]


def test_only_traceparent_is_passed_on() -> None:
    """Other headers of the message stay with the message."""
    outcome = judged(headers=[("secret", b"x"), ("traceparent", TRACEPARENT)])

    assert ("traceparent", TRACEPARENT) in outcome.row.headers
    assert outcome.trace is not None
    assert ("traceparent", TRACEPARENT) in outcome.trace.headers
    assert "secret" not in dict(outcome.row.headers)


def test_a_large_trace_keeps_its_digest() -> None:
    """Without its texts a trace still says what they were."""
    outcome = judged()
    assert outcome.trace is not None
    redacted = without_texts(outcome.trace)
    before, after = json.loads(outcome.trace.value or b""), json.loads(redacted.value or b"")

    assert (after["reasoning"], after["raw"], after["level"]) == (None, None, "redacted")
    assert after["reasoning_digest"] == before["reasoning_digest"] is not None
    assert [name for name, _ in redacted.headers] == [name for name, _ in outcome.trace.headers]
    assert content_digest.agrees(redacted.key, redacted.value, redacted.headers)
    assert not content_digest.agrees(redacted.key, redacted.value, outcome.trace.headers)


def test_a_dead_letter_is_the_record_and_the_reason() -> None:
    """Key, value and headers are kept; ours follow, so the last of a name is ours."""
    source = record(5, b"\x00poison", [("stage", b"theirs"), ("x", None)])
    outcome = dead_letter_of(source, open_ledger(5), "decode", DecodeError("text", "a string"))

    assert (outcome.row.key, outcome.row.value, outcome.topic) == (b"k", b"\x00poison", "dead-letters")
    assert outcome.row.headers[:2] == [("stage", b"theirs"), ("x", None)]
    assert dict(outcome.row.headers)["stage"] == b"decode"
    assert dict(outcome.row.headers)["source_timestamp"] == b"1700000000000"
    assert outcome.trace is None
