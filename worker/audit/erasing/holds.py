"""Legal holds: subjects that must not be erased. ``erasures`` is the record; the last word about a subject counts."""

from __future__ import annotations

import datetime as dt
import uuid

from aiokafka.structs import RecordMetadata
from msgspec import Struct

from worker import credentials, kafka
from worker.config import Settings
from worker.erasure.records import Erasure, ErasureState
from worker.erasure.subject_keys import ERASURES, read_erasures, unavailable, verify_keys
from worker.erasure.subjects import Names, Subject
from worker.errors import ConfigError, LegalHold, StreamError, UsageError, WrongDigestKey
from worker.records import encode


class Request(Struct, frozen=True, kw_only=True):
    """Who asks for something to be done about whose words, and why."""

    subject: Subject
    by: str
    reason: str | None = None


async def put_hold(settings: Settings, request: Request) -> Erasure:
    """Put a subject under a hold; one that is under one gets the new reason.

    Raises:
        WrongDigestKey: what is there was named under another ``digest_key``, so this would hold nobody.
        KeysUnavailable: keys or ``erasures`` cannot be read, or not written.
        ConfigError: there is no ``digest_key`` that can be used.

    """
    held = record_of(settings, request, "held")
    await verify_names(settings)
    await append(settings, held)
    return held


async def delete_hold(settings: Settings, request: Request) -> Erasure:
    """Release a subject from its hold.

    One that was put under another ``digest_key`` is released under that one.

    Raises:
        UsageError: it is under none.
        WrongDigestKey: nor can it be, since what is there was named under another ``digest_key``.
        KeysUnavailable: ``erasures`` cannot be read or written.
        ConfigError: there is no ``digest_key`` that can be used.

    """
    released = record_of(settings, request, "released")
    if released.subject not in await holds(settings):
        await verify_names(settings)
        text = f"this {request.subject.kind} is under no hold; 'rsafe audit hold list' shows who is"
        raise UsageError(text)
    await append(settings, released)
    return released


async def holds(settings: Settings) -> dict[str, Erasure]:
    """Return the holds in force by subject.

    Raises:
        KeysUnavailable: ``erasures`` cannot be read.

    """
    found: dict[str, Erasure] = {}
    async for erasure, _ in read_erasures(settings):
        if erasure.state == "held":
            found[erasure.subject] = erasure
        elif erasure.state == "released":
            found.pop(erasure.subject, None)
    return found


async def verify_names(settings: Settings) -> None:
    """Return if ``subject-keys`` and ``erasures`` have names of this ``digest_key``; others would be foreign to them.

    Holds count only while there is no key: one under a key that was mistyped cannot always be released, and
    would stop everybody for ever.

    Raises:
        WrongDigestKey: they have names of another one.
        KeysUnavailable: they cannot be read.
        ConfigError: there is no ``digest_key`` that can be used.

    """
    names = Names(credentials.digests(settings))
    has_keys = await _has_keys(settings, names)
    async for erasure, _ in read_erasures(settings):
        if erasure.state == "begun":
            names.verify(erasure.subject)
    for subject in () if has_keys else await holds(settings):
        names.verify(subject)


async def _has_keys(settings: Settings, names: Names) -> bool:
    try:
        async with kafka.reader(settings) as consumer:
            return await verify_keys(consumer, settings, names)
    except WrongDigestKey:
        raise
    except (StreamError, ConfigError) as error:
        raise unavailable(settings, error) from error


async def refuse_held(settings: Settings, name: str, what: str = "nothing") -> None:
    """Return if a subject is under no hold; ``what`` is not erased otherwise.

    Raises:
        LegalHold: it is.
        KeysUnavailable: ``erasures`` cannot be read.

    """
    held = (await holds(settings)).get(name)
    if held is not None:
        why = f" ({held.reason})" if held.reason else ""
        text = (
            f"this {held.kind} is under a legal hold since {held.at.date()}, put by {held.by}{why}; {what} is erased"
            " until 'rsafe audit hold delete' releases it"
        )
        raise LegalHold(text)


def record_of(settings: Settings, request: Request, state: ErasureState) -> Erasure:
    """Begin a record of ``erasures``.

    Raises:
        ConfigError: there is no ``digest_key`` that can be used.

    """
    return Erasure(
        erasure_id=uuid.uuid4().hex,
        state=state,
        subject=Names(credentials.digests(settings)).name(request.subject),
        kind=request.subject.kind,
        tenant_id=request.subject.tenant_id,
        by=request.by,
        reason=request.reason,
        at=dt.datetime.now(dt.UTC),
    )


async def append(settings: Settings, record: Erasure) -> RecordMetadata:
    """Write to ``erasures`` and return where it stands.

    Raises:
        KeysUnavailable: it cannot be written.

    """
    rows = [(record.subject.encode(), encode(record))]
    return (await write(settings, ERASURES, "erasure", rows))[0]


async def write(settings: Settings, name: str, kind: str, rows: list[tuple[bytes, bytes]]) -> list[RecordMetadata]:
    """Write rows of key and value to one of the two topics, each acknowledged before the next.

    Raises:
        KeysUnavailable: one was refused; those before it are there.

    """
    try:
        async with kafka.writer(settings) as producer:
            return [
                await kafka.send(
                    producer,
                    settings.topic(name),
                    value,
                    key=key,
                    headers=kafka.cloud_event(kind, settings.instance),
                    timeout_s=settings.kafka_timeout_s,
                )
                for key, value in rows
            ]
    except (StreamError, ConfigError) as error:
        raise unavailable(settings, error) from error
