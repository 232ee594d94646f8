"""Hypothesis strategies for records, made from their types: whatever a type allows is drawn."""

from __future__ import annotations

import datetime as dt
import string
from collections.abc import Callable
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import Struct
from msgspec import inspect as types

#: What a producer may send: any text that is valid Unicode.
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
#: JSON numbers stay within what every reader keeps exactly.
_LARGEST: Final = 2**53 - 1
_NAME_ALPHABET: Final = string.ascii_letters + string.digits + "._-"
_HEX: Final = "0123456789abcdef"
_TIMES: Final = st.datetimes(min_value=dt.datetime(1900, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001  (zone below)


def _hex(digits: int) -> st.SearchStrategy[str]:
    return st.text(_HEX, min_size=digits, max_size=digits)


def _texts(kind: types.StrType) -> st.SearchStrategy[str]:
    if kind.pattern and "A-Za-z" in kind.pattern:
        return st.text(_NAME_ALPHABET, min_size=1, max_size=64)
    if kind.pattern and "[0-9a-f]{32}" in kind.pattern:
        return _hex(32)
    if kind.pattern and "[0-9a-f]{64}" in kind.pattern:
        return st.tuples(_hex(8), _hex(64)).map(".".join)
    if kind.pattern:
        return st.integers(0, _LARGEST).map(str)
    low, high = kind.min_length or 0, min(kind.max_length or 40, 256)
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=low, max_size=high)


def _integers(kind: types.IntType) -> st.SearchStrategy[int]:
    return st.integers(-_LARGEST if kind.ge is None else kind.ge, _LARGEST if kind.le is None else kind.le)


def _numbers(kind: types.FloatType) -> st.SearchStrategy[float]:
    return st.floats(kind.ge, kind.le, allow_nan=False, allow_infinity=False)


def _structs(kind: types.StructType) -> st.SearchStrategy[Struct]:
    return records(kind.cls)


_OF: Final[dict[type, Callable[[Any], st.SearchStrategy[Any]]]] = {
    types.StrType: _texts,
    types.IntType: _integers,
    types.FloatType: _numbers,
    types.BoolType: lambda _: st.booleans(),
    types.NoneType: lambda _: st.none(),
    types.DateTimeType: lambda _: _TIMES,
    types.LiteralType: lambda kind: st.sampled_from(kind.values),
    types.UnionType: lambda kind: st.one_of([strategy(part) for part in kind.types]),
    types.VarTupleType: lambda kind: st.lists(strategy(kind.item_type), max_size=3).map(tuple),
    types.TupleType: lambda kind: st.tuples(*(strategy(part) for part in kind.item_types)),
    types.DictType: lambda kind: st.dictionaries(strategy(kind.key_type), strategy(kind.value_type), max_size=3),
    types.StructType: _structs,
}
#: Fields of our own records that promise more than their type (see ``worker/schemas/json_schema.py``).
_NARROWER: Final[dict[tuple[str, str], st.SearchStrategy[Any]]] = {
    ("Verdict", "verdict_id"): _hex(32),
    ("Verdict", "score"): st.none() | st.floats(0, 1),
    ("Verdict", "prompt_digest"): st.none() | _hex(64),
    ("Trace", "verdict_id"): _hex(32),
    ("Override", "verdict_id"): _hex(32),
    ("Trace", "reasoning_digest"): st.none() | _hex(64),
    ("PolicyRef", "digest"): st.none() | _hex(64),
    ("PolicyPart", "digest"): _hex(64),
    ("HistoryEntry", "digest"): st.none() | _hex(64),
    ("HistoryEntry", "golden_digest"): st.none() | _hex(64),
    ("HistoryEntry", "effective_digest"): st.none() | _hex(64),
    ("PolicyApplied", "digest"): st.none() | _hex(64),
    ("Suppression", "digest"): _hex(64),
    ("ExceptionRecord", "fingerprint"): st.tuples(_hex(8), _hex(64)).map(":".join),
}


def strategy(kind: types.Type) -> st.SearchStrategy[Any]:
    """Return what draws values of one type."""
    inner = kind.type if isinstance(kind, types.Metadata) else kind
    return _OF[type(inner)](inner)


@st.composite
def records(draw: st.DrawFn, kind: type[Struct]) -> Struct:
    """Draw a record of one kind; fields that may be left out sometimes are."""
    described = types.type_info(kind)
    assert isinstance(described, types.StructType)
    values = {}
    for field in described.fields:
        if field.required or draw(st.booleans()):
            values[field.name] = draw(_NARROWER.get((kind.__name__, field.name), strategy(field.type)))
    return _honest(kind(**values))


def _honest(record: Struct) -> Struct:
    """Take the label from a verdict that was not judged."""
    if getattr(record, "status", "judged") != "judged" and hasattr(record, "label"):
        return msgspec.structs.replace(record, label=None)
    return record
