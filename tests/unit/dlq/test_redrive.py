"""What is sent when a dead letter is sent again, and what is refused."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import pytest
from aiokafka import ConsumerRecord

from worker.dead_letter import Failure, headers, originals_of, redriven_from
from worker.dlq.letters import Filter, Letter, letter_of, marked
from worker.dlq.redrive import Edit, edited, resend
from worker.errors import DecodeError
from worker.records import Source

MESSAGES = "moderation.messages"
GOOD = json.dumps({"tenant_id": "acme", "message_id": "1", "text": "hello"}).encode()


def record(value: bytes | None, given: list[tuple[str, bytes | None]], **changes: object) -> ConsumerRecord:
    """A record of ``dead-letters`` as the worker writes it."""
    source = Source(topic=MESSAGES, partition=3, offset=17, timestamp=5)
    failure = Failure(stage="decode", error="DecodeError", detail="text: missing")
    written = headers(given, failure, source, dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    fields = {"topic": "d", "partition": 1, "offset": 9, "timestamp": 5, "timestamp_type": 1, "key": b"k"}
    fields |= {"checksum": None, "serialized_key_size": 1, "serialized_value_size": 1, "value": value}
    return ConsumerRecord(**(fields | {"headers": tuple(written)} | changes))


def letter(value: bytes | None = GOOD) -> Letter:
    """A dead letter with one header of its own."""
    return letter_of(record(value, [("a", b"1")]))


def test_a_letter_is_what_its_record_was() -> None:
    """Key, value and the headers before it failed; tenant as far as the value tells it."""
    found = letter()
    assert (found.place, found.source, found.reference) == ((1, 9), (3, 17), f"{MESSAGES}/3/17")
    assert (found.key, found.value, found.headers) == (b"k", GOOD, (("a", b"1"),))
    assert (found.tenant_id, found.stage, found.attempts) == ("acme", "decode", 1)
    assert letter(b"\xff").tenant_id is None
    assert letter(b"[" * 5000).tenant_id is None


@pytest.mark.parametrize(
    "given",
    [
        [],
        [("error", b"theirs")],
        [("stage", b"theirs"), ("x", None)],
        [("failed_at", b"1"), ("failed_at", b"2")],
        [("redrive_of", b"t/0/1"), ("error_detail", b"theirs")],
    ],
)
def test_headers_of_the_same_name_stay_theirs(given: list[tuple[str, bytes | None]]) -> None:
    """Only what the dead letter added is taken off again."""
    assert originals_of(record(GOOD, given).headers) == tuple(given)


def test_a_name_that_is_not_utf8_comes_back_escaped() -> None:
    """It cannot be written as it was; its bytes are in a header of ours."""
    found = record(GOOD, [(b"\xffx".decode(errors="surrogateescape"), b"v")])
    assert ("raw_header_name", b"\xffx") in found.headers
    assert originals_of(found.headers) == (("\\xffx", b"v"),)


def test_what_is_sent_names_what_it_replaces() -> None:
    """The original headers stay, and ``redrive_of`` follows."""
    row = resend(letter(), Edit(), MESSAGES, force=False)
    assert row.refused is None
    assert (row.value, row.headers) == (GOOD, (("a", b"1"), ("redrive_of", f"{MESSAGES}/3/17".encode())))


def test_a_second_time_is_refused_unless_forced() -> None:
    """The refusal says where the first one stands."""
    (again,) = marked([letter()], {f"{MESSAGES}/3/17": (0, 44)})
    assert "messages/0/44" in (resend(again, Edit(), MESSAGES, force=False).refused or "")
    assert resend(again, Edit(), MESSAGES, force=True).refused is None


def test_what_is_no_message_still_is_refused_unless_forced() -> None:
    """It would only come back; an edit that mends it is taken."""
    broken = letter(b'{"tenant_id": "acme", "message_id": "1"}')
    assert "text" in (resend(broken, Edit(), MESSAGES, force=False).refused or "")
    assert resend(broken, Edit(), MESSAGES, force=True).value == broken.value
    mended = resend(broken, Edit(fields={"text": "hi"}), MESSAGES, force=False)
    assert json.loads(mended.value or b"") == {"tenant_id": "acme", "message_id": "1", "text": "hi"}


def test_a_policy_is_not_sent_to_messages() -> None:
    """Its letter names the topic that it belongs to."""
    policy = msgspec.structs.replace(letter(), topic="moderation.policies")
    assert "policy put" in (resend(policy, Edit(), MESSAGES, force=True).refused or "")


def test_what_retention_took_cannot_be_sent() -> None:
    """Nothing of it is left; a null value in its place would be a declared skip."""
    lost = msgspec.structs.replace(letter(None), stage="retention")
    assert "retention took it" in (resend(lost, Edit(), MESSAGES, force=True).refused or "")


def test_edits() -> None:
    """A field is set or taken away, or the whole value is another one."""
    assert json.loads(edited(b'{"a": 1, "b": 2}', Edit(fields={"a": None, "c": [3]})) or b"") == {"b": 2, "c": [3]}
    assert edited(b"x", Edit(value=b"y", fields={"a": 1})) == b"y"
    assert edited(None, Edit()) is None
    for value in (b"[1]", b"\xff", None):
        with pytest.raises(DecodeError, match="JSON object"):
            edited(value, Edit(fields={"a": 1}))


def test_filters() -> None:
    """What is not given does not matter."""
    found = letter()
    sent = msgspec.structs.replace(found, superseded_by=(0, 1))
    assert Filter().takes(found)
    assert Filter(stage="decode", error="DecodeError", tenant="acme", topic=MESSAGES, unsent=True).takes(found)
    for other in (Filter(stage="policy"), Filter(error="X"), Filter(tenant="b"), Filter(places=frozenset({(1, 8)}))):
        assert not other.takes(found)
    assert not Filter(unsent=True).takes(sent)


def test_only_the_last_redrive_header_counts() -> None:
    """A message that failed twice has two of them."""
    twice = record(GOOD, [], headers=(("redrive_of", b"t/0/1"), ("redrive_of", b"t/0/2")))
    assert redriven_from(twice.headers) == "t/0/2"
    assert redriven_from(()) is None
