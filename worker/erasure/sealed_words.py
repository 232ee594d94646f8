"""Which words of which record are sealed, how the record says so, and how they are read again. Pure.

Every field that other programs read stays where it is, and is null where its words are sealed: traces and
overrides hold them in ``sealed``; a dead letter's value is the sealed bytes, and its last header says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from worker import content_digest
from worker.dead_letter import Headers, split
from worker.erasure.subject_keys import KnownKey, open_bytes, open_text
from worker.override_records import Override
from worker.records import Source, Trace, encode, or_none
from worker.sealing import Sealed, SealingKey, as_text, seal

#: The last header of a sealed dead letter: the key's id. In one that is not sealed ``failed_at`` comes last,
#: so no producer can make its own record look sealed.
HEADER: Final = "sealed"
_KEY_ID: Final = re.compile(rb"[0-9a-f]{32}")
T = TypeVar("T", bound=Struct)
_NOT_WORDS: Final = "THE SEALED BYTES ARE NOT WHAT THIS PROGRAM SEALS"


class _Reasoning(Struct, frozen=True, kw_only=True):
    reasoning: str | None
    raw: str | None


class _Ruling(Struct, frozen=True, kw_only=True):
    reason: str | None
    text: str | None


class LetterBody(Struct, frozen=True):
    """What a dead letter keeps of its record beside the key: value and headers, byte for byte."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def has_words(trace: Trace) -> bool:
    """Tell whether a trace holds words."""
    return trace.reasoning is not None or trace.raw is not None


def sealed_trace(trace: Trace, key: SealingKey) -> Trace:
    """Return a trace with its words sealed."""
    words = _Reasoning(reasoning=trace.reasoning, raw=trace.raw)
    sealed = as_text(key, _trace_context(trace), encode(words))
    return structs.replace(trace, reasoning=None, raw=None, sealed=sealed)


def opened_trace(trace: Trace, known: KnownKey | None) -> tuple[Trace, str | None]:
    """Return a trace with its words, or as it is and why they cannot be read."""
    words, note = _opened(trace.sealed, _trace_context(trace), known, _Reasoning)
    if words is None:
        return trace, note
    return structs.replace(trace, reasoning=words.reasoning, raw=words.raw), None


def sealed_override(override: Override, key: SealingKey) -> Override:
    """Return a decision with the person's free text sealed: it is about somebody's words."""
    words = _Ruling(reason=override.reason, text=or_none(override.text))
    sealed = as_text(key, _override_context(override), encode(words))
    return structs.replace(override, reason=None, text=UNSET, sealed=sealed)


def opened_override(override: Override, known: KnownKey | None) -> tuple[Override, str | None]:
    """Return a decision with its free text, or as it is and why that cannot be read."""
    words, note = _opened(override.sealed, _override_context(override), known, _Ruling)
    if words is None:
        return override, note
    text = UNSET if words.text is None else words.text
    return structs.replace(override, reason=words.reason, text=text), None


def sealed_letter(
    source: Source, record_key: bytes | None, value: bytes | None, headers: Headers, key: SealingKey
) -> tuple[bytes, Headers]:
    """Return value and headers of a dead letter with the record's own value and headers sealed."""
    originals, ours = split(headers)
    body = msgspec.msgpack.encode(LetterBody(value, tuple(originals)))
    data = seal(key.secret, _letter_context(source), body)
    return data, [*ours, content_digest.header(record_key, data), (HEADER, key.id.encode())]


def letter_key(headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    """Return the id of the key that a dead letter is sealed under; None where it is not sealed."""
    name, value = headers[-1] if headers else ("", None)
    if name != HEADER or value is None or not _KEY_ID.fullmatch(value):
        return None
    return value.decode()


def opened_letter(source: Source, data: bytes | None, known: KnownKey | None) -> tuple[LetterBody | None, str | None]:
    """Return what was sealed in a dead letter, or why it cannot be read."""
    opened = open_bytes(data or b"", _letter_context(source), known)
    if opened.plain is None:
        return None, opened.note
    try:
        return msgspec.msgpack.decode(opened.plain, type=LetterBody), None
    except msgspec.DecodeError:
        return None, _NOT_WORDS


def sealed_keys(traces: Iterable[Trace | Override]) -> set[str]:
    """Return the ids of the keys that records of JSON are sealed under."""
    return {one.sealed.key for one in traces if one.sealed is not UNSET}


def _opened(
    sealed: Sealed | UnsetType, context: str, known: KnownKey | None, kind: type[T]
) -> tuple[T | None, str | None]:
    """Return sealed words; or none, and why they cannot be read where any are sealed."""
    if sealed is UNSET:
        return None, None
    opened = open_text(sealed, context, known)
    if opened.plain is None:
        return None, opened.note
    try:
        return msgspec.json.decode(opened.plain, type=kind), None
    except msgspec.DecodeError:
        return None, _NOT_WORDS


def _trace_context(trace: Trace) -> str:
    return f"trace/{trace.trace_id}"


def _override_context(override: Override) -> str:
    return f"override/{override.verdict_id}/{override.decided_at.isoformat()}"


def _letter_context(source: Source) -> str:
    return f"dead-letter/{source.topic}/{source.partition}/{source.offset}"
