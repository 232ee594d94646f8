"""From Kafka records to what the audit needs of them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from worker import content_digest, dead_letter
from worker.audit.verify.coverage import Place
from worker.audit.verify.facts import Reading, input_of, read_dead_letter, read_verdict, trace_altered
from worker.dead_letter import Failure, Headers
from worker.digests import Digests
from worker.judge.verdict import REASONING
from worker.records import Source, sha256_hex, verdict_id
from worker.secret import Secret

MESSAGES: Final = "t.messages"
NOW: Final = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
SOURCE: Final = Source(topic=MESSAGES, partition=2, offset=7, timestamp=1000)


class Record(NamedTuple):
    """A Kafka record, as far as the audit looks at one."""

    value: bytes | None
    key: bytes | None = b"k"
    headers: Headers = []  # noqa: RUF012  (never written to)
    topic: str = "t.verdicts"
    partition: int = 2
    offset: int = 70
    timestamp: int = 2000


def verdict(**fields: Any) -> dict[str, Any]:
    """Return the fields of a verdict that the audit reads."""
    source = fields.pop("source", SOURCE)
    return {
        "verdict_id": verdict_id(source, "live", None),
        "tenant_id": "acme",
        "message_id": "m7",
        "mode": "live",
        "run_id": None,
        "status": "judged",
        "label": "safe",
        "action": "allow",
        "categories": [],
        "source": msgspec.to_builtins(source),
    } | fields


def record(fields: dict[str, Any], *, signed: bool = True, **more: Any) -> Record:
    """Return a record of ``verdicts``."""
    value = json.dumps(fields).encode()
    return Record(value, headers=[content_digest.header(b"k", value)] if signed else [], **more)


def test_a_verdict_is_the_outcome_of_its_source() -> None:
    """Place, source and ids are all that is kept."""
    reading = read_verdict(record(verdict()), MESSAGES)

    assert (reading.altered, reading.misplaced) == (None, None)
    assert reading.outcome is not None
    assert reading.outcome.place == Place("t.verdicts", 2, 70)
    assert reading.outcome[1:6] == (2, 7, 1000, "acme", "m7")


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"mode": "shadow", "run_id": "d" * 64}, "mode is shadow"),
        ({"source": Source(topic="t2.messages", partition=2, offset=7, timestamp=1000)}, "another topic"),
        ({"source": Source(topic=None, partition=None, offset=None, timestamp=None)}, "no source"),
    ],
)
def test_what_must_not_stand_among_verdicts_is_misplaced(fields: dict[str, Any], reason: str) -> None:
    """A shadow's or a replay's verdict, one of another topic, one without a source."""
    reading = read_verdict(record(verdict(**fields)), MESSAGES)

    assert reading.outcome is None
    assert reason in (reading.misplaced or "")


def test_what_supersedes_is_no_further_outcome() -> None:
    """A retraction leaves the first verdict the outcome of its message."""
    first = verdict()["verdict_id"]
    own = verdict(supersedes=first, verdict_id=verdict_id(SOURCE, "live", None, first))
    reading = read_verdict(record(own), MESSAGES)

    assert (reading.outcome, reading.misplaced, reading.altered) == (None, None, None)


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"verdict_id": "0" * 32}, "verdict_id"),
        ({"label": None}, "label and status"),
        ({"status": "timeout"}, "label and status"),
        ({"categories": [{"hit": True}]}, "a category is hit"),
        ({"action": "block"}, "stricter than review"),
    ],
)
def test_a_verdict_that_contradicts_itself_is_altered(fields: dict[str, Any], reason: str) -> None:
    """Also where whoever changed it knew how to make a digest."""
    assert reason in (read_verdict(record(verdict(**fields)), MESSAGES).altered or "")


def test_a_changed_value_does_not_fit_its_digest() -> None:
    """One character is enough, though the verdict still makes sense; without a digest nothing can be said."""
    fields = verdict(message_id="m8")
    headers: Headers = [content_digest.header(b"k", json.dumps(verdict()).encode())]
    changed = Record(json.dumps(fields).encode(), headers=headers)

    assert "content_digest" in (read_verdict(changed, MESSAGES).altered or "")
    assert read_verdict(record(fields, signed=False), MESSAGES).altered is None


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_verdict_are_altered(value: bytes | None) -> None:
    """Only workers write there, and they write verdicts."""
    assert read_verdict(Record(value), MESSAGES).altered == "it is not a verdict"


def test_a_message_is_its_time_its_ids_and_its_bytes() -> None:
    """A null value is a skip; poison has no ids; lone surrogates are read as the worker reads them."""
    plain = input_of(Record(b'{"tenant_id":"acme","message_id":"m7","text":"hi"}'))
    odd = input_of(Record(b'{"tenant_id":"acme","message_id":"m7","text":"\\ud800"}'))
    poison = input_of(Record(b"nothing"))

    assert input_of(Record(None)) is None
    assert plain is not None
    assert odd is not None
    assert poison is not None
    assert plain[:3] == odd[:3] == (2000, "acme", "m7")
    assert poison[:3] == (2000, None, None)
    assert plain.body != poison.body


def test_a_dead_letter_names_its_source_in_its_last_headers() -> None:
    """A sender's own headers of these names come first and do not count."""
    failure = Failure(stage="decode", error="DecodeError", detail="text: expected a string")

    made = dead_letter.headers([("source_offset", b"99")], failure, SOURCE, NOW)
    reading = read_dead_letter(Record(b"poison", headers=made, topic="t.dead-letters"), MESSAGES)

    assert reading.outcome is not None
    assert (reading.outcome.offset, reading.outcome.timestamp) == (7, 1000)
    assert reading.outcome.body == getattr(input_of(Record(b"poison")), "body", None)


def test_a_refused_policy_is_nobodys_outcome() -> None:
    """Dead letters hold policies, too; one whose headers are gone is altered."""
    source = Source(topic="t.policies", partition=0, offset=1, timestamp=1)
    failure = Failure(stage="policy", error="PolicyInvalid", detail="title: expected a string")
    made = dead_letter.headers([], failure, source, NOW)

    assert read_dead_letter(Record(b"{}", headers=made), MESSAGES).outcome is None
    assert read_dead_letter(Record(b"{}", headers=made), MESSAGES).altered is None
    assert read_dead_letter(Record(b"{}"), MESSAGES).altered is not None


def test_a_keyed_digest_that_does_not_fit_may_be_of_another_key() -> None:
    """Nothing in the record says which key it was, so the reason names both; without a key nothing can be said."""
    old, new = (Digests(Secret(letter * 40)) for letter in "ab")
    digest = old.of_text(REASONING, "because")
    record = Record(
        json.dumps({"reasoning": "because", "reasoning_digest": digest, "digest_method": old.method}).encode()
    )

    assert [trace_altered(record, one) for one in (old, Digests())] == [None, None]
    assert trace_altered(record, new) == "reasoning does not fit reasoning_digest, or another digest_key made that"


def test_a_trace_fits_its_digest() -> None:
    """A redacted one keeps the digest alone, and a tombstone says nothing."""

    def trace(reasoning: str | None, digest: str | None) -> Record:
        return Record(json.dumps({"reasoning": reasoning, "reasoning_digest": digest}).encode())

    assert trace_altered(trace("because", sha256_hex(b"because"))) is None
    assert trace_altered(trace(None, sha256_hex(b"because"))) is None
    assert trace_altered(Record(None)) is None
    assert trace_altered(trace("because not", sha256_hex(b"because"))) == "reasoning does not fit reasoning_digest"
    assert trace_altered(Record(b"{}")) is not None


def test_a_loss_is_declared_beside_its_messages() -> None:
    """In the partition that lost them; elsewhere it is misplaced, and another topic's is nobody's here."""
    source = Source(topic=MESSAGES, partition=2, offset=7, timestamp=None)
    made = dead_letter.lost_headers(Failure(stage="retention", error="OffsetGone", detail="gone"), source, 9, NOW)
    here = Record(None, headers=made, topic="t.dead-letters")

    assert read_dead_letter(here, MESSAGES).lost == (MESSAGES, 2, 7, 9)
    assert read_dead_letter(here._replace(partition=1), MESSAGES).misplaced is not None
    assert read_dead_letter(here, "t.other") == Reading()
