"""One JSON Schema (2020-12) per record, from the types that the worker reads and writes with. Pure."""

from __future__ import annotations

from inspect import cleandoc
from typing import Annotated, Any, Final, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from worker.erasure.records import Erasure, SubjectKey
from worker.exceptions.records import ExceptionRecord
from worker.override_records import Override
from worker.records import HistoryEntry, Message, Policy, PolicyApplied, Rfc3339, Status, Trace, Verdict
from worker.replay_records import ReplayRun
from worker.schemas.fields import FIELDS
from worker.sealing import KeyId
from worker.stream.control import Command

Decimal = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]*)(?!\n)$")]


class DeadLetterHeaders(Struct, frozen=True, kw_only=True):
    """Headers added to a dead letter, as UTF-8 text; key, value and other headers stay as they were, or are sealed."""

    error: str
    error_detail: str
    stage: str
    attempts: Decimal
    source_topic: str
    source_partition: Decimal
    source_offset: Decimal
    source_timestamp: Decimal | UnsetType = UNSET
    source_offset_end: Decimal | UnsetType = UNSET
    failed_at: Rfc3339
    content_digest: str | UnsetType = UNSET
    sealed: KeyId | UnsetType = UNSET


#: File name of each schema (without its ending) and the type it is made from.
RECORDS: Final[dict[str, type[Struct]]] = {
    "message": Message,
    "policy": Policy,
    "verdict": Verdict,
    "trace": Trace,
    "policy-history": HistoryEntry,
    "policy-applied": PolicyApplied,
    "replay-run": ReplayRun,
    "exception": ExceptionRecord,
    "override": Override,
    "subject-key": SubjectKey,
    "erasure": Erasure,
    "command": Command,
    "dead-letter-headers": DeadLetterHeaders,
}
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SUFFIX: Final = ".schema.json"
#: RFC 3339, for validators that take ``format`` as a remark only.
TIME_PATTERN: Final = (
    r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])(?!\n)$"
)
_SHA256: Final = {"pattern": "^[0-9a-f]{64}$"}
_VERDICT_ID: Final = {"pattern": "^[0-9a-f]{32}$"}
#: What holds for our own outputs beyond their types: readers may rely on it, decoding does not ask for it.
PROMISES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "Verdict": {"verdict_id": _VERDICT_ID, "score": {"minimum": 0, "maximum": 1}, "prompt_digest": _SHA256},
    "Trace": {"verdict_id": _VERDICT_ID, "reasoning_digest": _SHA256},
    "PolicyRef": {"digest": _SHA256},
    "PolicyPart": {"digest": _SHA256},
    "HistoryEntry": dict.fromkeys(("digest", "golden_digest", "effective_digest"), _SHA256),
    "PolicyApplied": {"digest": _SHA256},
    "Suppression": {"digest": _SHA256},
}
#: The label is null unless the message was judged.
RULES: Final[dict[str, dict[str, Any]]] = {
    "Verdict": {
        "if": {"properties": {"status": {"const": "judged"}}},
        "else": {"properties": {"label": {"type": "null"}}},
    },
}


def schema(name: str) -> dict[str, Any]:
    """Return the schema of one of ``RECORDS``, complete in itself."""
    kind = RECORDS[name]
    _, found = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    objects = {key: _object(key, value) for key, value in found.items()}
    root = objects.pop(kind.__name__)
    parts = {"$defs": objects} if objects else {}
    return {"$schema": DIALECT, "$id": name + SUFFIX, **root, **parts}


def _object(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Describe an object and its fields. More may come: readers ignore them, where the type does not forbid it."""
    promises = PROMISES.get(name, {})
    properties = {
        field: {"description": FIELDS[name][field], **_value(value), **promises.get(field, {})}
        for field, value in found["properties"].items()
    }
    return {
        "title": name,
        "description": cleandoc(found["description"]).split("\n\n")[0].replace("``", "`"),
        "type": "object",
        "properties": properties,
        "required": found["required"],
        **RULES.get(name, {}),
        "additionalProperties": found.get("additionalProperties", True),
    }


def _value(found: dict[str, Any]) -> dict[str, Any]:
    """Add what the types say and the generator leaves out."""
    if "anyOf" in found:
        return {**found, "anyOf": [_value(one) for one in found["anyOf"]]}
    if found.get("format") == "date-time":
        return {**found, "pattern": TIME_PATTERN}
    if "enum" in found.get("additionalProperties", {}):
        return {**found, "propertyNames": {"enum": sorted(get_args(Status))}}
    return found
