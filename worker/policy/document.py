"""Policy files: JSON or TOML in, the bytes of a record out. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from worker.decoding import lenient_json, read_toml
from worker.errors import PolicyInvalid


def as_json(raw: bytes) -> bytes:
    """Return a policy file as JSON: a JSON file byte for byte, a TOML file converted.

    Raises:
        PolicyInvalid: it is neither.

    """
    if raw.lstrip().startswith((b"{", b"\xef\xbb\xbf{")):
        return raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.encode(read_toml(raw))
    except ValueError:
        field, expected = "", "a JSON object or a TOML document, in UTF-8"
        raise PolicyInvalid(field, expected) from None


def fields_of(raw: bytes) -> dict[str, Any]:
    """Return a record's fields as they were written, unknown ones included.

    Raises:
        PolicyInvalid: the bytes are no JSON object.

    """
    try:
        fields = lenient_json(raw)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        field, expected = "", "a JSON object in UTF-8"
        raise PolicyInvalid(field, expected)
    return fields


def with_fields(raw: bytes, **changes: Any) -> bytes:
    """Return a record with some fields replaced or added; all else keeps its value and its order.

    Raises:
        PolicyInvalid: the bytes are no JSON object.

    """
    return msgspec.json.encode(fields_of(raw) | changes)
