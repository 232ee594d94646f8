"""Whatever is sealed opens again under its key and in its place, and nowhere else."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dead_letter import Failure, headers, originals_of
from worker.erasure.sealed_words import letter_key, opened_letter, opened_trace, sealed_letter, sealed_trace
from worker.erasure.subject_keys import KnownKey
from worker.erasure.subjects import Subject, subject_of_bytes
from worker.errors import DecodeError
from worker.records import Source, Trace, canonical_json
from worker.sealing import Unsealable, new_key, seal, unseal

SOURCE = Source(topic="moderation.messages", partition=1, offset=2, timestamp=3)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
WORDS = st.none() | TEXTS


def known(key_id: str, secret: bytes | None) -> KnownKey:
    """Return what ``subject-keys`` says of a key."""
    return KnownKey(subject="s", id=key_id, secret=secret, erased_at=None)


@given(st.binary(), TEXTS)
def test_what_is_sealed_opens_in_its_place_alone(plain: bytes, context: str) -> None:
    """The same key and context give the bytes back; another key, another context or one changed bit give nothing."""
    key = new_key()
    data = seal(key.secret, context, plain)
    changed = data[:-1] + bytes([data[-1] ^ 1])

    assert unseal(key.secret, context, data) == plain
    for secret, place, tried in (
        (new_key().secret, context, data),
        (key.secret, context + "/", data),
        (key.secret, context, changed),
        (key.secret, context, data[:20]),
    ):
        with pytest.raises(Unsealable):
            unseal(secret, place, tried)


@given(WORDS, WORDS)
def test_traces_keep_their_words_to_themselves(reasoning: str | None, raw: str | None) -> None:
    """A sealed trace has null where words were, and gives them back to who has the key."""
    trace = Trace(
        trace_id="t",
        verdict_id="v",
        tenant_id="a",
        reasoning=reasoning,
        raw=raw,
        reasoning_digest=None,
        truncated=False,
        level="full",
    )
    key = new_key()
    sealed = sealed_trace(trace, key)
    assert (sealed.reasoning, sealed.raw) == (None, None)
    again, note = opened_trace(sealed, known(key.id, key.secret))
    closed, why = opened_trace(sealed, None)

    assert (again.reasoning, again.raw, note) == (reasoning, raw, None)
    assert (closed.reasoning, closed.raw) == (None, None)
    assert why == "sealed, and its key is not in subject-keys: erased by a tombstone, or lost"


@given(st.none() | st.binary(), st.lists(st.tuples(st.text(), st.none() | st.binary()), max_size=5))
def test_dead_letters_keep_value_and_headers(
    value: bytes | None, given_headers: list[tuple[str, bytes | None]]
) -> None:
    """Value and headers come back byte for byte; what shows without the key is ours alone."""
    failure, key = Failure.of("decode", DecodeError("text", "a string")), new_key()
    plain = headers(given_headers, failure, SOURCE, dt.datetime.now(dt.UTC))
    data, shown = sealed_letter(SOURCE, b"k", value, plain, key)
    body, note = opened_letter(SOURCE, data, known(key.id, key.secret))

    assert letter_key(shown) == key.id
    assert letter_key(plain) is None
    assert {name for name, _ in shown} <= {
        name for name, _ in headers([], failure, SOURCE, dt.datetime.now(dt.UTC))
    } | {
        "content_digest",
        "sealed",
    }
    assert note is None
    assert body is not None
    assert body.value == value
    assert originals_of([*body.headers, *plain[-9:]]) == originals_of(plain)
    assert opened_letter(Source(topic="t", partition=1, offset=2, timestamp=3), data, known(key.id, key.secret)) == (
        None,
        "THE SEALED BYTES WERE CHANGED, or belong to another record",
    )


@given(st.binary())
def test_any_bytes_have_a_subject(raw: bytes) -> None:
    """What names nobody is a subject of its own, so that it can be erased as well."""
    found = subject_of_bytes(raw, SOURCE)

    assert found.kind in {"author", "conversation", "record"}
    if found.kind == "record":
        assert found == Subject("record", None, "1/2")


@given(TEXTS.filter(bool), st.none() | TEXTS.filter(bool))
def test_an_author_comes_before_a_conversation(author: str, conversation: str | None) -> None:
    """Ids are found as they are, whatever else the record lacks."""
    fields = {"tenant_id": "a", "author_id": author, "conversation_id": conversation}

    assert subject_of_bytes(canonical_json(fields), SOURCE) == Subject("author", "a", author)
    del fields["author_id"]
    expected = Subject("record", None, "1/2") if conversation is None else Subject("conversation", "a", conversation)
    assert subject_of_bytes(canonical_json(fields), SOURCE) == expected
