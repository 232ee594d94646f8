"""From Kafka records to what the audit needs of them: the least decoding that proves something. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from worker import content_digest
from worker.audit.verify.coverage import Input, Outcome, Place
from worker.dead_letter import Run, lost_run
from worker.decoding import UNREADABLE, lenient_json
from worker.digests import PLAIN, Digests
from worker.erasure.sealed_words import letter_key
from worker.judge.verdict import REASONING
from worker.records import Source, sha256_hex

#: How many hex digits of a SHA-256 an id has (``worker.records.verdict_id``).
_ID_DIGITS: Final = 32
#: What may follow where nothing is hit: inside a review band it is ``review``.
_SAFE_ACTIONS: Final = frozenset({"allow", "review"})

#: Why a trace is not what it was: its text and its digest, plain or keyed.
MISFIT: Final = "reasoning does not fit reasoning_digest"
KEYED_MISFIT: Final = f"{MISFIT}, or another digest_key made that"


class _Ids(Struct, frozen=True, kw_only=True, gc=False):
    """The fields of a message that a verdict repeats."""

    tenant_id: str
    message_id: str


class _Hit(Struct, frozen=True, kw_only=True, gc=False):
    """Whether a category of a verdict is hit."""

    hit: bool


class _Seen(Struct, frozen=True, kw_only=True, gc=False):
    """The fields of a verdict that the audit looks at; decoding only these is cheap."""

    verdict_id: str
    tenant_id: str
    message_id: str
    mode: str
    run_id: str | None
    status: str
    label: str | None
    action: str
    source: Source
    categories: tuple[_Hit, ...]
    suppressed_by: str | UnsetType | None = UNSET
    supersedes: str | UnsetType | None = UNSET


class _Thought(Struct, frozen=True, kw_only=True, gc=False):
    """The fields of a trace that belong together."""

    reasoning: str | None
    reasoning_digest: str | None
    digest_method: str | UnsetType = UNSET


_IDS: Final = msgspec.json.Decoder(_Ids)
_SEEN: Final = msgspec.json.Decoder(_Seen)
_THOUGHT: Final = msgspec.json.Decoder(_Thought)


class Reading(Struct, frozen=True, kw_only=True, gc=False):
    """What a record of ``verdicts`` or ``dead-letters`` is to the audit.

    Attributes:
        outcome: of a live message; None where the record is no outcome, or of another topic.
        misplaced: why the record stands where it must not, whatever its source.
        altered: why the record is not what it was when it was written.
        source: what a record that is no outcome names as its input, if it can be read.
        lost: offsets that a worker declared as gone before they were judged.

    """

    outcome: Outcome | None = None
    misplaced: str | None = None
    altered: str | None = None
    source: Place | None = None
    lost: Run | None = None


_NOTHING: Final = Reading()
_NO_VERDICT: Final = Reading(altered="it is not a verdict")


def place_of(record: Any) -> Place:
    """Return where a Kafka record stands."""
    return Place(record.topic, record.partition, record.offset)


def input_of(record: Any) -> Input | None:
    """Read a record of ``messages``; None for a null value, which is a declared skip."""
    value = record.value
    if value is None:
        return None
    body = hash((record.key, value))
    try:
        ids = _IDS.decode(value)
    except UNREADABLE:
        return Input(record.timestamp, *_lenient_ids(value), body)
    return Input(record.timestamp, ids.tenant_id, ids.message_id, body)


def _lenient_ids(value: bytes) -> tuple[str | None, str | None]:
    """Read the ids as the worker does where the fast reader refuses (lone surrogates); none where it is no message."""
    try:
        ids = msgspec.convert(lenient_json(value), _Ids)
    except (ValueError, UnicodeError, RecursionError):
        return None, None
    return ids.tenant_id, ids.message_id


def read_verdict(record: Any, messages: str) -> Reading:
    """Read a record of ``verdicts``.

    Args:
        record: the Kafka record.
        messages: the full name of the messages' topic.

    """
    try:
        seen = _SEEN.decode(record.value or b"")
    except UNREADABLE:
        return _NO_VERDICT
    altered = _verdict_altered(record, seen)
    source = seen.source
    if source.topic is None or source.partition is None or source.offset is None or source.timestamp is None:
        return Reading(misplaced="it names no source", altered=altered)
    place = Place(source.topic, source.partition, source.offset)
    if seen.mode != "live" or seen.run_id is not None:
        return Reading(misplaced=f"its mode is {seen.mode}, not live", altered=altered, source=place)
    if source.topic != messages:
        return Reading(misplaced="its source is another topic", altered=altered, source=place)
    if seen.supersedes:
        return Reading(altered=altered, source=place)
    outcome = Outcome(
        place_of(record), place.partition, place.offset, source.timestamp, seen.tenant_id, seen.message_id
    )
    return Reading(outcome=outcome, altered=altered, source=place)


def _verdict_altered(record: Any, seen: _Seen) -> str | None:
    if content_digest.agrees(record.key, record.value, record.headers) is False:
        return "key and value do not fit the record's content_digest"
    source = seen.source
    key = [source.topic, source.partition, source.offset, source.timestamp, seen.mode, seen.run_id]
    key.append(seen.supersedes or None)
    # Not orjson, which refuses numbers of more than 64 bits: this record may be anybody's.
    if hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:_ID_DIGITS] != seen.verdict_id:
        return "verdict_id is not that of its source, mode and run"
    return _contradiction(seen)


def _contradiction(seen: _Seen) -> str | None:
    """Say which fields of a verdict no worker would have written together (``judge/verdict.py``)."""
    if (seen.label is None) is (seen.status == "judged"):
        return "label and status contradict each other"
    if seen.label == "safe" and not seen.suppressed_by:
        if any(category.hit for category in seen.categories):
            return "it is safe and a category is hit"
        if seen.action not in _SAFE_ACTIONS:
            return "it is safe and its action is stricter than review"
    return None


def read_dead_letter(record: Any, messages: str) -> Reading:
    """Read a record of ``dead-letters``, sealed or not; one of another input (``policies``) is nobody's outcome."""
    lost = lost_run(record.headers)
    if lost is not None:
        return _lost(record, lost, messages)
    said: Mapping[str, bytes | None] = dict(record.headers)
    try:
        topic = (said["source_topic"] or b"").decode()
        partition, offset, timestamp = (
            int(said[name] or b"") for name in ("source_partition", "source_offset", "source_timestamp")
        )
    except (KeyError, ValueError):
        return Reading(altered="its headers name no source")
    if topic != messages:
        return _NOTHING
    if letter_key(record.headers) is None:
        body = hash((record.key, record.value))
        outcome = Outcome(place_of(record), partition, offset, timestamp, body=body)
        return Reading(outcome=outcome, source=Place(topic, partition, offset))
    # Sealed: what it holds cannot be compared with the message, but its digest covers the sealed bytes.
    changed = content_digest.agrees(record.key, record.value, record.headers) is not True
    return Reading(
        outcome=Outcome(place_of(record), partition, offset, timestamp),
        altered="key and value do not fit the record's content_digest" if changed else None,
        source=Place(topic, partition, offset),
    )


def _lost(record: Any, lost: Run, messages: str) -> Reading:
    if lost.topic != messages:
        return _NOTHING
    if lost.partition != record.partition:
        return Reading(misplaced="it stands in another partition than its source", source=Place(*lost[:3]))
    return Reading(lost=lost)


def trace_altered(record: Any, digests: Digests = PLAIN) -> str | None:
    """Say why a record of ``traces`` is not what it was when it was written; None if nothing shows.

    A null value is a tombstone and says nothing. A keyed digest says nothing without its ``digest_key``.
    """
    if record.value is None:
        return None
    if content_digest.agrees(record.key, record.value, record.headers) is False:
        return "key and value do not fit the record's content_digest"
    try:
        thought = _THOUGHT.decode(record.value)
    except UNREADABLE:
        return "it is not a trace"
    if thought.reasoning is None:
        return None
    plain, method = sha256_hex(thought.reasoning.encode()), thought.digest_method
    if digests.agree(REASONING, thought.reasoning_digest, plain, method) is not False:
        return None
    # A record does not say which key it was, and a key may be changed (README).
    return MISFIT if method is UNSET else KEYED_MISFIT
