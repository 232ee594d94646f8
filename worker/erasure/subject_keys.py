"""Reading ``subject-keys`` and ``erasures``: which keys there are, which are erased, who is under a hold."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from aiokafka import ConsumerRecord
from msgspec import Struct

from worker import kafka
from worker.config import Settings
from worker.erasure.records import Erasure, SubjectKey
from worker.erasure.subjects import Names
from worker.errors import ConfigError, KeysUnavailable, RecordError, StreamError
from worker.records import decode, encode
from worker.sealing import Sealed, SealingKey, Unsealable, of_text, unseal

KEYS: Final = "subject-keys"
ERASURES: Final = "erasures"
#: Keys that are looked at for another ``digest_key``: the first one there is, and so many of the last.
_LAST_KEYS: Final = 100
_LOST: Final = "sealed, and its key is not in subject-keys: erased by a tombstone, or lost"


class KnownKey(Struct, frozen=True, kw_only=True):
    """What ``subject-keys`` says of one key: whose it is, and the key, or since when it is gone (null: unknown)."""

    subject: str
    id: str
    secret: bytes | None
    erased_at: dt.datetime | None


class Opened(Struct, frozen=True):
    """What was sealed, or in ``note`` why nobody can read it."""

    plain: bytes | None
    note: str | None = None


async def records(settings: Settings, name: str, start: int = 0) -> AsyncIterator[ConsumerRecord]:
    """Yield what one of the two topics holds now, from an offset on.

    Raises:
        KeysUnavailable: it cannot be read.

    """
    try:
        async with kafka.reader(settings) as consumer:
            one = await kafka.only_partition(consumer, settings.topic(name))
            first, end = (await kafka.bounds(consumer, [one]))[one]
            consumer.assign([one])
            consumer.seek(one, min(max(first, start), end))
            async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
                yield record
    except (StreamError, ConfigError) as error:
        raise unavailable(settings, error) from error


def unavailable(settings: Settings, error: Exception) -> KeysUnavailable:
    """Return what to say where keys cannot be had."""
    return KeysUnavailable(f"keys of subjects ({settings.topic(KEYS)}) cannot be used: {error}")


def row_of(
    subject: str, key: SealingKey, created_at: dt.datetime, erased_at: dt.datetime | None
) -> tuple[bytes, bytes]:
    """Return key and value of a record of ``subject-keys``; an erased key is not in it."""
    secret = None if erased_at else base64.b64encode(key.secret).decode()
    value = SubjectKey(key=secret, created_at=created_at, erased_at=erased_at)
    return f"{subject}/{key.id}".encode(), encode(value)


def known_key(record: ConsumerRecord) -> KnownKey | None:
    """Read a record of ``subject-keys``; None where it is none. A null value is an erasure whose date nobody wrote."""
    subject, slash, key_id = (record.key or b"").decode("utf-8", "replace").partition("/")
    if not slash:
        return None
    if record.value is None:
        return KnownKey(subject=subject, id=key_id, secret=None, erased_at=None)
    try:
        found = decode(record.value, SubjectKey, RecordError)
        secret = None if found.key is None else base64.b64decode(found.key, validate=True)
    except (RecordError, ValueError):
        return None
    return KnownKey(subject=subject, id=key_id, secret=secret, erased_at=found.erased_at)


async def read_keys(settings: Settings, wanted: Collection[str]) -> dict[str, KnownKey]:
    """Return what is known of keys by their ids.

    Raises:
        KeysUnavailable: the topic cannot be read.

    """
    found: dict[str, KnownKey] = {}
    if wanted:
        async for record in records(settings, KEYS):
            known = known_key(record)
            if known is not None and known.id in wanted:
                found[known.id] = known
    return found


async def verify_keys(consumer: Any, settings: Settings, names: Names) -> bool:
    """Look at the first key and the last ones, and tell whether there are any.

    Who has another ``digest_key`` would hide keys from erasure, and find nobody's.

    Raises:
        WrongDigestKey: the keys that are there were named under another one.
        StreamError: they cannot be read.
        ConfigError: the topic is not one of ours, or this login may not read it.

    """
    one = await kafka.only_partition(consumer, settings.topic(KEYS))
    first, end = (await kafka.bounds(consumer, [one]))[one]
    consumer.assign([one])
    seen = 0
    for start, stop in {(first, min(first + 1, end)), (max(first, end - _LAST_KEYS), end)}:
        consumer.seek(one, start)
        async for record in kafka.read(consumer, one, stop, settings.kafka_timeout_s):
            names.verify((record.key or b"").decode("utf-8", "replace"))
            seen += 1
    return seen > 0


async def read_erasures(settings: Settings) -> AsyncIterator[tuple[Erasure, int]]:
    """Yield what was done about subjects, oldest first, each with Kafka's time of it in milliseconds.

    Raises:
        KeysUnavailable: the topic cannot be read.

    """
    async for record in records(settings, ERASURES):
        found = erasure_of(record)
        if found is not None:
            yield found, record.timestamp


def erasure_of(record: ConsumerRecord) -> Erasure | None:
    """Read a record of ``erasures``; None where it is none."""
    try:
        return decode(record.value or b"", Erasure, RecordError)
    except RecordError:
        return None


def open_text(sealed: Sealed, context: str, known: KnownKey | None) -> Opened:
    """Open words that stand sealed in a record of JSON; ``context`` as when they were sealed."""
    return _opened(known, lambda secret: of_text(secret, context, sealed))


def open_bytes(data: bytes, context: str, known: KnownKey | None) -> Opened:
    """Open a value that is sealed as a whole."""
    return _opened(known, lambda secret: unseal(secret, context, data))


def _opened(known: KnownKey | None, attempt: Any) -> Opened:
    if known is None:
        return Opened(None, _LOST)
    if known.secret is None:
        since = known.erased_at.astimezone(dt.UTC).date().isoformat() if known.erased_at else "a date that nobody wrote"
        return Opened(None, f"erased on {since}")
    try:
        return Opened(attempt(known.secret))
    except Unsealable:
        return Opened(None, "THE SEALED BYTES WERE CHANGED, or belong to another record")
