"""What the fast JSON reader leaves to us: naming a wrong field without its value, and lone surrogates. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

_NAME: Final = "a string of 1 to 128 letters, digits, dots, underscores or hyphens"
_IDENTIFIER: Final = "a string of 1 to 256 characters"
_TIME: Final = "an RFC 3339 time with its zone"
_SHARE: Final = "a number from 0 to 1"

#: What should stand in each field that comes from outside, in words that hold no value.
EXPECTED: Final[dict[str, str]] = {
    "": "a JSON object",
    "tenant_id": _NAME,
    "channel_id": _NAME,
    "message_id": _IDENTIFIER,
    "conversation_id": _IDENTIFIER,
    "author_id": _IDENTIFIER,
    "text": "a string",
    "role": "'user' or 'agent'",
    "context": "a list of turns with role and text",
    "language": "a string",
    "created_at": _TIME,
    "revision": "an integer from 0 to 2^53-1",
    "final": "true or false",
    "title": "a string",
    "version": "an integer from 1 to 2^53-1",
    "categories": "a list; see schemas/",
    "name": "a string",
    "definition": "a string",
    "violates": "a list of clauses with id and text",
    "allowed": "a list of clauses with id and text",
    "threshold": _SHARE,
    "min_pass": _SHARE,
    "review_band": "two numbers from 0 to 1",
    "severity": "one of low, medium, high, critical",
    "action": "one of allow, label, review, hold, block",
    "notice": "a map from language to text",
    "ground": "'illegal' or 'terms'",
    "reference_url": "a string",
    "dsa_category": "a string",
    "default_action": "one of review, hold, block",
    "refuse_rungs": "a list of 'short_reasoning' and 'label_only'",
    "on_failure": "a map from status to action",
    "reasoning": "one of always, when_unsure, never",
    "trace": "one of full, redacted, none",
    "languages": "a list of strings",
    "floor_mode": "'separate' or 'joined'",
    "golden": "a list of cases with text and label",
    "label": "'safe' or 'unsafe'",
    "id": "a string of 1 to 64 letters, digits, dots, underscores or hyphens",
    "author": "a string",
    "reason": "a string",
    "updated_at": _TIME,
    "scope": "'*', '<tenant>' or '<tenant>/<channel>'",
    "owner": _IDENTIFIER,
    "expires_at": _TIME,
    "fingerprint": "what 'rsafe exceptions put --text' makes of a text",
}
#: What the fast JSON reader raises on bytes that are not what it reads. The last is for nesting, also in a
#: field that it skips: whoever leaves it out is stopped by one record that anybody may have written.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Only the end of an error text is msgspec's own; what stands before may quote the record.
_PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`\Z")
# Of records that refuse such fields; the name that follows is the record's.
_UNKNOWN = re.compile(r"\AObject contains unknown field `")
_KNOWN_ALONE: Final = "fields of its schema alone; one is misspelt, or of a newer version"
_MISSING = re.compile(r"\AObject missing required field `(?P<name>[^`]*)`")
_SURROGATE = re.compile("[\ud800-\udfff]")


def wrong_field(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return (field path, what it should be) of a validation error, without any value."""
    text = str(error)
    if _UNKNOWN.search(text):
        return "", _KNOWN_ALONE
    found = _PATH.search(text)
    path = found["path"].lstrip(".") if found else ""
    missing = _MISSING.search(text)
    if missing:
        path = f"{path}.{missing['name']}" if path else missing["name"]
    leaf = re.sub(r"\[[^\]]*\]", "", path).rsplit(".", 1)[-1]
    expected = EXPECTED.get(leaf, "another type; see schemas/")
    return path, f"{expected} (missing)" if missing else expected


def read_toml(raw: bytes) -> dict[str, Any]:
    """Read a TOML document.

    Raises:
        ValueError: this is not TOML, not UTF-8, nested too deeply, or holds a number of thousands of digits.

    """
    try:
        return tomllib.loads(raw.decode())
    except RecursionError:
        text = "it is nested too deeply"
        raise ValueError(text) from None


def read_csv(text: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV text with a head line.

    Raises:
        ValueError: it is no CSV, or a field has more than 128 KiB.

    """
    try:
        yield from csv.DictReader(io.StringIO(text, newline=""))
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _refuse_constant(_name: str) -> float:
    raise ValueError


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    return value


def lenient_json(raw: bytes) -> Any:
    """Read JSON whose strings hold lone surrogates, which become U+FFFD.

    Refusing such a record would be a way round the judge; the fast readers refuse it.

    Raises:
        ValueError: this is not JSON, or not UTF-8.
        RecursionError: it is nested too deeply.

    """
    text = raw.decode("utf-8", "surrogatepass")
    # Pairs written as two escapes or two encoded halves join again here.
    value = json.loads(text, parse_constant=_refuse_constant)
    return _replace_surrogates(json.loads(json.dumps(value)))
