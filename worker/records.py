"""The records that cross a boundary: messages and policies in, verdicts, traces and dead letters out.

Every type here is a frozen struct; ``schemas/`` is generated from them. Decoding never trusts a
producer: whatever bytes arrive, the result is a record or a ``RecordError`` that names the field
and the expected type and never a value.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from worker.decoding import lenient_json, wrong_field
from worker.digests import Method
from worker.errors import DecodeError, PolicyInvalid, RecordError
from worker.sealing import Sealed
from worker.suppression import Suppression

Role = Literal["user", "agent"]
Mode = Literal["live", "shadow", "replay"]
Label = Literal["safe", "unsafe"]
Status = Literal[
    "judged",
    "unparseable",
    "truncated",
    "contradictory",
    "timeout",
    "overloaded",
    "too_long",
    "language_unsupported",
    "policy_missing",
    "policy_invalid",
    "engine_error",
]
Severity = Literal["low", "medium", "high", "critical"]
Action = Literal["allow", "label", "review", "hold", "block"]
TraceLevel = Literal["full", "redacted", "none"]
Reasoning = Literal["always", "when_unsure", "never"]
FloorMode = Literal["separate", "joined"]
Ground = Literal["illegal", "terms"]
ScoreMethod = Literal["direct", "trace", "mean_k"]
#: Rungs of the overload ladder, from mild to strict: less reasoning, none, no judgement.
Rung = Literal["short_reasoning", "label_only", "hold"]

#: From mild to strict; a later one wins over an earlier one.
ACTIONS: Final[tuple[Action, ...]] = ("allow", "label", "review", "hold", "block")
SEVERITIES: Final[tuple[Severity, ...]] = ("low", "medium", "high", "critical")
#: The scope of the floor; no tenant may have this name.
PLATFORM: Final = "platform"

NAME_PATTERN: Final = r"^[A-Za-z0-9._-]{1,128}(?!\n)$"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Identifier = Annotated[str, Meta(min_length=1, max_length=256)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
#: Category and clause ids stand in a grammar and in a comma-separated list.
CategoryId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}(?!\n)$")]
Rfc3339 = Annotated[dt.datetime, Meta(tz=True)]
#: Integers that every JSON reader keeps exactly.
SafeInt = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Turn(Struct, frozen=True, kw_only=True):
    """One earlier turn of the conversation."""

    role: Role
    text: str


class Message(Struct, frozen=True, kw_only=True):
    """A chat message to be judged; fields it does not know are ignored.

    ``role`` picks the task: ``user`` judges the message, ``agent`` the answer in its ``context``.
    ``final`` is false for an answer that is still growing.
    """

    tenant_id: Name
    message_id: Identifier
    text: str
    role: Role = "user"
    context: tuple[Turn, ...] = ()
    channel_id: Name | UnsetType = UNSET
    conversation_id: Identifier | UnsetType = UNSET
    author_id: Identifier | UnsetType = UNSET
    language: str | UnsetType = UNSET
    created_at: Rfc3339 | UnsetType = UNSET
    revision: SafeInt | UnsetType = UNSET
    final: bool | UnsetType = UNSET


class Clause(Struct, frozen=True, kw_only=True):
    """One sentence of a category: something that violates it, or something it allows."""

    id: CategoryId
    text: str


class Category(Struct, frozen=True, kw_only=True):
    """A category as its author wrote it; what was left out gets its default where policies combine.

    ``name`` may be left out only where the id is one of the floor's (see ``policy/model.py``).
    """

    id: CategoryId
    name: str | UnsetType = UNSET
    definition: str | UnsetType = UNSET
    violates: tuple[Clause, ...] | UnsetType = UNSET
    allowed: tuple[Clause, ...] | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    threshold: Share | UnsetType = UNSET
    action: Action | UnsetType = UNSET
    notice: dict[str, str] | UnsetType = UNSET
    ground: Ground | UnsetType = UNSET
    reference_url: str | UnsetType = UNSET
    dsa_category: str | UnsetType = UNSET


class GoldenCase(Struct, frozen=True, kw_only=True):
    """A text whose verdict the policy's author vouches for."""

    text: str
    label: Label
    categories: tuple[CategoryId, ...] = ()
    role: Role = "user"
    context: tuple[Turn, ...] = ()


class Policy(Struct, frozen=True, kw_only=True):
    """A policy record as it stands in the ``policies`` topic."""

    title: str
    version: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    categories: tuple[Category, ...]
    text: str | UnsetType = UNSET
    default_action: Literal["review", "hold", "block"] | UnsetType = UNSET
    on_failure: dict[Status, Action] | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    review_band: tuple[Share, Share] | UnsetType = UNSET
    trace: TraceLevel | UnsetType = UNSET
    languages: tuple[str, ...] | UnsetType = UNSET
    floor_mode: FloorMode | UnsetType = UNSET
    refuse_rungs: tuple[Literal["short_reasoning", "label_only"], ...] | UnsetType = UNSET
    golden: tuple[GoldenCase, ...] | UnsetType = UNSET
    min_pass: Share | UnsetType = UNSET
    author: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    updated_at: Rfc3339 | UnsetType = UNSET


class PolicyPart(Struct, frozen=True, kw_only=True):
    """One policy record inside an effective policy; ``offset`` is its place in ``policies``."""

    scope: str
    version: int
    digest: str
    offset: int | None


class PolicyRef(Struct, frozen=True, kw_only=True):
    """What a verdict was judged under; ``digest`` is null where there was no policy."""

    digest: str | None
    parts: tuple[PolicyPart, ...]


class ModelRef(Struct, frozen=True, kw_only=True):
    """The model that judged and everything that makes its answers what they are."""

    fingerprint: str | None
    name: str | None


class Source(Struct, frozen=True, kw_only=True):
    """Where the message stood; ``timestamp`` is Kafka's, in milliseconds."""

    topic: str | None
    partition: int | None
    offset: int | None
    timestamp: int | None


class Timing(Struct, frozen=True, kw_only=True):
    """Milliseconds in the queue, in the engine, and from intake to publish."""

    queue_ms: float | None
    engine_ms: float | None
    total_ms: float | None


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of all engine calls for one message."""

    prompt_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    output_tokens: int


class CategoryVerdict(Struct, frozen=True, kw_only=True):
    """A category that was cited; ``hit`` if the score reached its threshold."""

    scope: str
    id: str
    severity: Severity
    hit: bool


class Span(Struct, frozen=True, kw_only=True):
    """A place in the message's text, in code points, end excluded."""

    start: int
    end: int


class Verdict(Struct, frozen=True, kw_only=True):
    """The outcome of one message: judged, or the status that says why not."""

    verdict_id: str
    tenant_id: str
    message_id: str
    revision: int | None
    role: Role
    channel_id: str | None
    conversation_id: str | None
    language: str | None
    mode: Mode
    run_id: str | None
    status: Status
    label: Label | None
    model_label: Label | None
    score: float | None
    score_method: ScoreMethod | None
    categories: tuple[CategoryVerdict, ...]
    clauses: tuple[str, ...]
    unevaluated: tuple[str, ...]
    action: Action
    trace_id: str | None
    policy: PolicyRef
    model: ModelRef
    prompt_digest: str | None
    source: Source
    timing: Timing
    usage: Usage
    cache: str | None
    spans: tuple[Span, ...] | UnsetType = UNSET
    degraded: Rung | UnsetType = UNSET
    final: bool | UnsetType = UNSET
    suppressed_by: str | UnsetType = UNSET
    suppressions: tuple[Suppression, ...] | UnsetType = UNSET
    supersedes: str | UnsetType = UNSET
    digest_method: Method | UnsetType = UNSET


class Trace(Struct, frozen=True, kw_only=True):
    """The reasoning behind one attempt at a verdict; it stays inside the platform."""

    trace_id: str
    verdict_id: str
    tenant_id: str
    reasoning: str | None
    raw: str | None
    reasoning_digest: str | None
    truncated: bool
    level: TraceLevel
    sealed: Sealed | UnsetType = UNSET
    digest_method: Method | UnsetType = UNSET


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One decision about a policy record, as kept for ever in ``policy-history``.

    ``offset`` is the record's place in ``policies`` and ``timestamp`` its time in Kafka (milliseconds);
    readers take the first entry of each pair, since a recreated topic uses offsets again.
    ``policy`` is the record byte for byte as text, null for a tombstone and for bytes that are no text.
    """

    offset: int
    timestamp: int
    scope: str
    decision: Literal["accepted", "refused", "deleted"]
    version: int | None
    digest: str | None
    golden_digest: str | None
    fingerprint: str | None
    effective_digest: str | None
    field: str | None
    reason: str | None
    policy: str | None
    decided_at: Rfc3339
    decided_by: str


class PolicyApplied(Struct, frozen=True, kw_only=True):
    """A worker's word that it judges by ``digest`` for ``scope`` now (null: by none)."""

    instance_id: str
    scope: str
    version: int | None
    digest: str | None
    offset: int
    applied_at: Rfc3339
    repeated: bool | UnsetType = UNSET


T = TypeVar("T", bound=Struct)

_TOO_DEEP: Final = ("", "JSON nested less deeply")
_NO_JSON: Final = ("", "a JSON object in UTF-8")


def decode(raw: bytes, kind: type[T], error: type[RecordError]) -> T:
    """Decode one JSON record.

    Args:
        raw: the record's value, as bytes.
        kind: the struct to build.
        error: the ``RecordError`` to raise.

    Raises:
        RecordError: of the class given, where the bytes are not such a record.

    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as wrong:
        raise error(*wrong_field(wrong)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        raise error(*_TOO_DEEP) from None
    try:
        return msgspec.convert(lenient_json(raw), type=kind)
    except msgspec.ValidationError as wrong:
        raise error(*wrong_field(wrong)) from None
    except RecursionError:
        raise error(*_TOO_DEEP) from None
    except (ValueError, UnicodeError):
        raise error(*_NO_JSON) from None


def decode_message(raw: bytes) -> Message:
    """Decode a record of ``messages``.

    Raises:
        DecodeError: naming the field and the expected type.

    """
    message = decode(raw, Message, DecodeError)
    if message.tenant_id == PLATFORM:
        field, expected = "tenant_id", "a tenant; 'platform' is the name of the floor"
        raise DecodeError(field, expected)
    return message


def decode_policy(raw: bytes) -> Policy:
    """Decode a record of ``policies``; whether it may come into force is another question.

    Raises:
        PolicyInvalid: naming the field and the expected type.

    """
    return decode(raw, Policy, PolicyInvalid)


def encode(record: Struct) -> bytes:
    """Encode a record as compact JSON."""
    return msgspec.json.encode(record)


def canonical_json(value: Any) -> bytes:
    """Encode plain data with sorted keys and no spaces, so that equal data has equal bytes."""
    return orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_SORT_KEYS)


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def verdict_id(source: Source, mode: Mode, run_id: str | None, supersedes: str | None = None) -> str:
    """Return the id of the outcome of one message: equal for every attempt, under any policy or model.

    The first 32 hex digits of the SHA-256 of the JSON array of source, mode, run id and superseded verdict.
    """
    key = [source.topic, source.partition, source.offset, source.timestamp, mode, run_id, supersedes]
    return sha256_hex(orjson.dumps(key))[:32]


def stricter(first: Action, second: Action) -> Action:
    """Return the stricter of two actions."""
    return max(first, second, key=ACTIONS.index)


def or_none(value: Any) -> Any:
    """Turn a field that was left out into null, for records where every field is present."""
    return None if value is UNSET else value
