"""Any bytes at all become a message or a ``DecodeError``, and the error's text holds nothing of the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from worker.errors import DecodeError, RecordError
from worker.records import Message, Policy, decode_message, decode_policy

T = TypeVar("T")

#: No word of ours, so that finding it in an error text means that the text quotes the record.
PLANTED: Final = "zqxjvk"
SMALLEST: Final[dict[str, Any]] = {"tenant_id": "t", "message_id": "m", "text": "hello"}
JSON_VALUES: Final[SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
#: The planted word alone, dressed up as an error text of the reader, and inside lists and maps.
PLANTS: Final[SearchStrategy[Any]] = st.recursive(
    st.sampled_from(
        [
            PLANTED,
            f" - at `$.{PLANTED}`",
            f"Object missing required field `{PLANTED}` - at `$.{PLANTED}`",
            f"{PLANTED}\n",
            f"{PLANTED} \ud800",
        ]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just(PLANTED), inner, max_size=2),
    max_leaves=4,
)


def outcome(raw: bytes, decoder: Callable[[bytes], T]) -> T | RecordError:
    """Decode a record, or return why it is none."""
    try:
        return decoder(raw)
    except RecordError as error:
        return error


@given(st.binary())
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example(b"[" * 3_000_000)
@example(b'{"a":' * 1_000_000)
@example(b'{"tenant_id":"t","message_id":"m","text":"\\ud800","a":' + b"[" * 1_000_000)
@example(b'{"tenant_id":"t","message_id":"m","text":"\\ud800","a":' + b"9" * 100_000 + b"}")
def test_any_bytes_have_an_outcome(raw: bytes) -> None:
    """Random bytes, endless nesting and endless numbers are refused and crash nothing."""
    assert isinstance(outcome(raw, decode_message), Message | DecodeError)


@given(JSON_VALUES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_json_has_an_outcome(value: object) -> None:
    """Any JSON, with NaN and infinities as Python writes them, has an outcome."""
    assert isinstance(outcome(json.dumps(value).encode(), decode_message), Message | DecodeError)


@given(field=st.sampled_from([*Message.__struct_fields__, "unknown"]), value=JSON_VALUES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_field_may_hold_anything(field: str, value: object) -> None:
    """A message with any one field replaced by any JSON has an outcome; an error names that field or none."""
    found = outcome(json.dumps({**SMALLEST, field: value}).encode(), decode_message)

    assert isinstance(found, Message) or found.field.split("[")[0].split(".")[0] in {field, ""}


@given(field=st.sampled_from(Message.__struct_fields__), plant=PLANTS)
def test_errors_hold_no_value_of_a_message(field: str, plant: object) -> None:
    """Whatever stands in a field, no part of it appears in the error, which travels to places without consent."""
    found = outcome(json.dumps({**SMALLEST, field: plant}).encode(), decode_message)

    assert isinstance(found, Message) or PLANTED not in f"{found} {found.field} {found.expected} {found.__cause__}"


@given(field=st.sampled_from(Policy.__struct_fields__), plant=PLANTS)
def test_errors_hold_no_value_of_a_policy(field: str, plant: object) -> None:
    """The same for policies, whose keys are written by people too."""
    found = outcome(json.dumps({"title": "t", "version": 1, "categories": [], field: plant}).encode(), decode_policy)

    assert isinstance(found, Policy) or PLANTED not in f"{found} {found.field} {found.expected} {found.__cause__}"


@given(
    st.text(st.characters(categories=["Cs"]) | st.characters(), max_size=20), st.sampled_from(["escaped", "encoded"])
)
@example("\ud83d\ude00", "escaped")
@example("\ud83d\ude00", "encoded")
@example("\ude00\ud83d", "encoded")
def test_lone_surrogates_are_replaced(text: str, form: str) -> None:
    """A text with lone surrogates, written either way, is a message in which they are U+FFFD."""
    raw = json.dumps({**SMALLEST, "text": text}, ensure_ascii=form == "escaped").encode("utf-8", "surrogatepass")
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    message = decode_message(raw)

    assert message.text == joined
    message.text.encode()


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400, "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("text", ["hello", "\\ud800"], ids=["fast reader", "forgiving reader"])
def test_numbers_that_are_no_numbers_are_refused_where_they_count(number: str, text: str) -> None:
    """A revision beyond all bounds is a dead letter, in the fast reader and in the forgiving one."""
    raw = f'{{"tenant_id":"t","message_id":"m","text":"{text}","revision":{number}}}'.encode()

    with pytest.raises(RecordError):
        decode_message(raw)


@pytest.mark.parametrize("text", ["hello", "\\ud800"], ids=["fast reader", "forgiving reader"])
def test_the_last_of_equal_keys_counts(text: str) -> None:
    """Both readers take the last of several equal keys, so that a text cannot depend on which one reads it."""
    raw = f'{{"tenant_id":"a","tenant_id":"b","message_id":"m","text":"first","text":"{text}"}}'.encode()

    message = decode_message(raw)

    assert (message.tenant_id, message.text) == ("b", text.replace("\\ud800", "\ufffd"))
