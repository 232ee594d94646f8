"""Inputs to start from, made by code: examples of the schemas, records of every kind, what breaks readers."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec import inspect as types

from tests.fuzz.target import MESSAGES, joined

EXAMPLES: Final = Path(__file__).parents[2] / "schemas" / "examples"
_DEPTH: Final = 3000
#: Above the digits that Python's ``int`` takes from a text.
_DIGITS: Final = 4500

#: What breaks readers: depth, huge numbers, surrogates, odd numbers, duplicate keys, wrong encodings, line ends.
NASTY: Final[tuple[bytes, ...]] = (
    b"",
    b"null",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"[" * _DEPTH,
    b'{"a":' * _DEPTH,
    b"9" * _DIGITS,
    b'{"a": ' + b"9" * _DIGITS + b"}",
    b'{"a": NaN, "b": Infinity, "c": 1e400}',
    b'{"text": "\\ud800", "text": "\\udc00"}',
    b'"\xed\xa0\x80"',
    "\u202e\u200b\u2028\x1b[31m\x00".encode(),
    b"a = " + b"[" * _DEPTH,
    b"x" * _DEPTH,
    b"-1",
    b"99999999999999999999999999",
)


def nasty_within(smallest: dict[str, Any]) -> list[bytes]:
    """Return a record with each kind of trouble in a field that nobody knows: readers skip it, deep or not."""
    made = json.dumps(smallest).encode().removesuffix(b"}")
    troubles = (b"[" * _DEPTH + b"]" * _DEPTH, b"9" * _DIGITS, b"NaN", b'"\\ud800"', b'"\xff"', b"1e999")
    return [made + b', "unknown": ' + trouble + b"}" for trouble in troubles]


def examples(*kinds: str) -> list[bytes]:
    """Return the examples of the schemas, valid and invalid, of records whose name begins with one of these."""
    return [path.read_bytes() for kind in kinds for path in sorted((EXAMPLES / kind).rglob("*.json"))]


def of_type(kind: type[Struct]) -> list[bytes]:
    """Return a record of a type with every field, one with as few as may be, and both with trouble."""
    full, least = (_json(types.type_info(kind), full=full) for full in (True, False))
    return [*(json.dumps(one).encode() for one in (full, least)), *nasty_within(least)]


_VALUES: Final[dict[type, Any]] = {
    types.IntType: 7,
    types.FloatType: 0.5,
    types.BoolType: True,
    types.NoneType: None,
    types.DateTimeType: dt.datetime(2026, 3, 1, tzinfo=dt.UTC).isoformat(),
    types.AnyType: {"a": [1]},
}


def _json(kind: types.Type, *, full: bool) -> Any:
    """Return a value of a type as JSON has it; ``full`` wants every field and an item in each list."""
    inner = kind.type if isinstance(kind, types.Metadata) else kind
    if type(inner) in _VALUES:
        return _VALUES[type(inner)]
    return _COMPOUNDS[type(inner)](inner, full)


def _struct(kind: types.StructType, full: bool) -> Any:  # noqa: FBT001  (called by table)
    return {field.encode_name: _json(field.type, full=full) for field in kind.fields if full or field.required}


def _union(kind: types.UnionType, full: bool) -> Any:  # noqa: FBT001
    some = [one for one in kind.types if not isinstance(one, types.NoneType)]
    return None if kind.includes_none and not full else _json(some[0], full=full)


def _text(kind: types.StrType, _full: bool) -> str:  # noqa: FBT001
    return "0123456789abcdef" * 2 if kind.pattern and "{32}" in kind.pattern else "abc"


_COMPOUNDS: Final[dict[type, Callable[[Any, bool], Any]]] = {
    types.StructType: _struct,
    types.UnionType: _union,
    types.StrType: _text,
    types.LiteralType: lambda kind, _: kind.values[0],
    types.VarTupleType: lambda kind, full: [_json(kind.item_type, full=full)] if full else [],
    types.TupleType: lambda kind, full: [_json(one, full=full) for one in kind.item_types],
    types.DictType: lambda kind, full: (
        {_json(kind.key_type, full=full): _json(kind.value_type, full=full)} if full else {}
    ),
}


def verdicts() -> list[bytes]:
    """Return verdicts of the place that ``target.record`` names."""
    made = [json.loads(one) for one in examples("verdict")]
    source = {"topic": MESSAGES, "partition": 3, "offset": 17, "timestamp": 1_700_000_000_000}
    placed = [{**one, "source": source} for one in made if isinstance(one, dict)]
    huge = [{**one, "source": {**source, "offset": 10**30, "timestamp": -(10**30)}} for one in placed[:2]]
    return [json.dumps(one).encode() for one in (*placed, *huge)] + examples("verdict")


def letter_headers() -> bytes:
    """Return the headers of a dead letter, as ``target.headers_of`` reads them."""
    ours = {
        "error": "DecodeError",
        "error_detail": "text: expected a string",
        "stage": "decode",
        "attempts": "1",
        "source_topic": MESSAGES,
        "source_partition": "3",
        "source_offset": "17",
        "source_timestamp": "1700000000000",
        "failed_at": "2026-03-01T12:00:00.000Z",
    }
    return b"\n".join(f"{name}={value}".encode() for name, value in ours.items())


def with_each(before: bytes, values: Iterable[bytes]) -> list[bytes]:
    """Return two-part inputs: the same first part with each value."""
    return [joined(before, value) for value in values]
