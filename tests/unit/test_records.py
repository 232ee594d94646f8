"""Records: ids, canonical bytes, strictness, and what decoding says of bad bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import pytest
from msgspec import UNSET, Struct

from worker.decoding import EXPECTED
from worker.errors import DecodeError, PolicyInvalid
from worker.records import (
    ACTIONS,
    Category,
    Clause,
    GoldenCase,
    Message,
    Policy,
    Source,
    Turn,
    canonical_json,
    decode_message,
    decode_policy,
    encode,
    or_none,
    sha256_hex,
    stricter,
    verdict_id,
)

SOURCE: Final = Source(topic="moderation.messages", partition=3, offset=41, timestamp=1772388245250)
NOWHERE: Final = Source(topic=None, partition=None, offset=None, timestamp=None)
#: printf '%s' '["moderation.messages",3,41,1772388245250,"live",null,null]' | sha256sum
VERDICT_HASH: Final = "3e4819284d2f0a834dca06812e26105d5210b802001a50ddbae7b8d197e265a0"
SMALLEST: Final[dict[str, Any]] = {"tenant_id": "t", "message_id": "m", "text": "hello"}
POLICY: Final[dict[str, Any]] = {"title": "t", "version": 1, "categories": []}


def message(**fields: Any) -> bytes:
    """Encode a message with some fields of its own."""
    return json.dumps({**SMALLEST, **fields}).encode()


def policy(**fields: Any) -> bytes:
    """Encode a policy with some fields of its own."""
    return json.dumps({**POLICY, **fields}).encode()


def test_verdict_id_is_the_hash_of_seven_members() -> None:
    """The id is the first half of the SHA-256 of exactly this text, as printed by sha256sum."""
    text = b'["moderation.messages",3,41,1772388245250,"live",null,null]'

    assert hashlib.sha256(text).hexdigest() == VERDICT_HASH
    assert verdict_id(SOURCE, "live", None) == VERDICT_HASH[:32]


@pytest.mark.parametrize(
    "text, arguments",
    [
        ('["moderation.messages",3,41,1772388245250,"replay","audit-1",null]', (SOURCE, "replay", "audit-1", None)),
        ('["moderation.messages",3,41,1772388245250,"shadow","ab12",null]', (SOURCE, "shadow", "ab12", None)),
        ('["moderation.messages",3,41,1772388245250,"live",null,"0f"]', (SOURCE, "live", None, "0f")),
        ('[null,null,null,null,"live",null,null]', (NOWHERE, "live", None, None)),
        (
            '["thé",0,0,0,"live",null,null]',
            (Source(topic="thé", partition=0, offset=0, timestamp=0), "live", None, None),
        ),
    ],
    ids=["replay", "shadow", "superseding", "without Kafka", "not ASCII"],
)
def test_verdict_id_of_other_outcomes(text: str, arguments: Any) -> None:
    """Mode, run and superseded verdict are part of the id; nothing is escaped that need not be."""
    assert verdict_id(*arguments) == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_canonical_json_sorts_and_packs() -> None:
    """Keys are sorted at every depth, nothing is left out but what was never set, and no space stands between."""
    assert (
        canonical_json({"b": [1, {"d": None, "c": 0.5}], "a": "ü"}) == '{"a":"ü","b":[1,{"c":0.5,"d":null}]}'.encode()
    )
    assert canonical_json(Turn(role="user", text="x")) == b'{"role":"user","text":"x"}'
    assert b"language" not in canonical_json(Message(**SMALLEST))


def test_sha256_is_hexadecimal() -> None:
    """The digest of nothing is the well-known one."""
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("first", ACTIONS)
@pytest.mark.parametrize("second", ACTIONS)
def test_stricter_takes_the_later_action(first: Any, second: Any) -> None:
    """Of two actions the one further right in the row wins, whichever comes first."""
    assert stricter(first, second) == ACTIONS[max(ACTIONS.index(first), ACTIONS.index(second))]


def test_left_out_becomes_null() -> None:
    """A field that was never set is null in a verdict; every other value stays, false ones too."""
    assert or_none(UNSET) is None
    assert [or_none(value) for value in ("", 0, False, "x")] == ["", 0, False, "x"]


def test_a_message_keeps_what_it_was_sent() -> None:
    """Fields that are set come through, fields that are not stay unset, and nothing else is invented."""
    raw = message(role="agent", context=[{"role": "user", "text": "hi"}], revision=0, final=False)
    found = decode_message(raw)

    assert (found.role, found.context, found.revision, found.final) == (
        "agent",
        (Turn(role="user", text="hi"),),
        0,
        False,
    )
    assert found.language is UNSET
    assert decode_message(encode(found)) == found


@pytest.mark.parametrize(
    "raw, field",
    [
        (b"", ""),
        (b"null", ""),
        (b"[]", ""),
        (b'"text"', ""),
        (b"{", ""),
        (message() + b"}", ""),
        (b"\xef\xbb\xbf" + message(), ""),
        (b'{"tenant_id":"t","message_id":"m","text":"\xff"}', ""),
        (b'{"tenant_id":"t","message_id":"m","text":"a\nb"}', ""),
        (b"[" * 100_000, ""),
        (b'{"message_id":"m","text":"x"}', "tenant_id"),
        (b'{"tenant_id":"t","text":"x"}', "message_id"),
        (b'{"tenant_id":"t","message_id":"m"}', "text"),
        (message(tenant_id="platform"), "tenant_id"),
        (message(tenant_id="a b"), "tenant_id"),
        (message(tenant_id="t\n"), "tenant_id"),
        (message(tenant_id="ü"), "tenant_id"),
        (message(message_id=""), "message_id"),
        (message(message_id="m" * 257), "message_id"),
        (message(text=None), "text"),
        (message(role="bot"), "role"),
        (message(context=[{"role": "user", "text": 1}]), "context[0].text"),
        (message(context=[{"text": "x"}]), "context[0].role"),
        (message(channel_id=None), "channel_id"),
        (message(conversation_id=5), "conversation_id"),
        (message(author_id=""), "author_id"),
        (message(language=1), "language"),
        (message(created_at="yesterday"), "created_at"),
        (message(revision=-1), "revision"),
        (message(revision=1.5), "revision"),
        (message(final=None), "final"),
    ],
)
def test_decoding_names_the_field(raw: bytes, field: str) -> None:
    """A record that is no message is refused with the path of its first wrong field, or none for the whole."""
    with pytest.raises(DecodeError) as caught:
        decode_message(raw)

    assert caught.value.field == field


@pytest.mark.parametrize(
    "raw, text",
    [
        (message(role="bot"), "role: expected 'user' or 'agent'"),
        (message(context=[{"text": "x"}]), "context[0].role: expected 'user' or 'agent' (missing)"),
        (message(tenant_id="platform"), "tenant_id: expected a tenant; 'platform' is the name of the floor"),
        (b"{", "record: expected a JSON object in UTF-8"),
        (b"[]", "record: expected a JSON object"),
        (message()[:-1] + b',"a":' + b"[" * 100_000, "record: expected JSON nested less deeply"),
    ],
)
def test_decoding_says_what_was_expected(raw: bytes, text: str) -> None:
    """The whole error text is field and expectation."""
    with pytest.raises(DecodeError) as caught:
        decode_message(raw)

    assert str(caught.value) == text


@pytest.mark.parametrize("value", ["x - at `$.secret`", "Object missing required field `secret`", "`$.secret`"])
def test_a_value_cannot_pose_as_the_reader(value: str) -> None:
    """A value that looks like the reader's own words cannot smuggle itself into the error as a field name."""
    with pytest.raises(DecodeError) as caught:
        decode_message(message(role=value))

    assert (caught.value.field, "secret" in str(caught.value)) == ("role", False)


@pytest.mark.parametrize(
    "raw, field",
    [
        (policy(version=0), "version"),
        (policy(version=True), "version"),
        (policy(categories=[{"name": "x"}]), "categories[0].id"),
        (policy(categories=[{"id": "a,b", "name": "x"}]), "categories[0].id"),
        (policy(categories=[{"id": "a", "threshold": 2}]), "categories[0].threshold"),
        (policy(categories=[{"id": "a", "notice": {"en": 1}}]), "categories[0].notice[...]"),
        (policy(on_failure={"bored": "review"}), "on_failure"),
        (policy(on_failure={"timeout": "cheer"}), "on_failure[...]"),
        (policy(default_action="allow"), "default_action"),
        (policy(review_band=[0.2]), "review_band"),
        (policy(golden=[{"text": "x"}]), "golden[0].label"),
        (policy(author=None), "author"),
    ],
)
def test_a_policy_error_names_the_field(raw: bytes, field: str) -> None:
    """A record that is no policy is refused with the path of its first wrong field."""
    with pytest.raises(PolicyInvalid) as caught:
        decode_policy(raw)

    assert caught.value.field == field


def test_what_a_policy_leaves_out_stays_out() -> None:
    """The three fields that must be there are enough; the rest is decided where policies combine."""
    found = decode_policy(policy())

    assert found == Policy(title="t", version=1, categories=())
    assert encode(found) == b'{"title":"t","version":1,"categories":[]}'


@pytest.mark.parametrize("kind", [Message, Turn, Policy, Category, Clause, GoldenCase])
def test_every_field_from_outside_has_its_expectation(kind: type[Struct]) -> None:
    """No field of a message or a policy is answered with the vague words for unknown fields."""
    assert set(kind.__struct_fields__) <= set(EXPECTED)
