"""How people make and end exceptions, and look at them, each over Kafka.

What a worker would refuse is refused here first, by the same rules, and nothing is published.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from typing import Final, Literal

import msgspec
from msgspec import Struct

from worker.config import Settings
from worker.errors import ConfigError, ExceptionInvalid, UsageError
from worker.exceptions.accept import DELAY_MS, Accepted, Incoming, accept, key_of
from worker.exceptions.book import Book, Version
from worker.exceptions.cover import floor_ids, is_void
from worker.exceptions.fingerprint import Fingerprinter, fingerprinter
from worker.exceptions.log import publish, read_records
from worker.exceptions.records import ExceptionRecord
from worker.exceptions.refusals import check_floor
from worker.exceptions.store import state_of
from worker.policy.history import Book as Policies
from worker.policy.history import decide_all
from worker.policy.log import PolicyLog, read_book
from worker.records import decode

_ID_CHARS: Final = 12
_MS: Final = 1000
#: What a person types for a field.
_FLAGS: Final = {
    "scope": "SCOPE",
    "id": "--id",
    "owner": "--owner",
    "reason": "--reason",
    "expires_at": "--expires",
    "categories": "--category",
    "tenant_id": "--tenant",
    "channel_id": "--channel",
    "author_id": "--author",
    "fingerprint": "--text",
}

Standing = Literal["in_force", "expired", "refused", "void"]


class Wish(Struct, frozen=True, kw_only=True):
    """An exception as somebody asks for it; ``text`` is fingerprinted and goes no further."""

    scope: str
    owner: str
    reason: str
    expires_at: dt.datetime
    exception_id: str | None = None
    categories: tuple[str, ...] = ()
    tenant_id: str | None = None
    channel_id: str | None = None
    author_id: str | None = None
    text: str | None = None


class Published(Struct, frozen=True, kw_only=True):
    """What was written: an exception, or (``record`` null) the tombstones of one.

    ``from_ms`` is Kafka's time of the first message that it counts for, in milliseconds.
    """

    key: str
    record: ExceptionRecord | None
    digest: str | None
    partition: int
    offset: int
    from_ms: int


class Current(Struct, frozen=True, kw_only=True):
    """The newest record of a key.

    Attributes:
        key: ``<scope>#<id>``, as far as it is text.
        state: ``void`` is an exception of a tenant that names a category of the floor: it allows nothing.
        record: what it says; null where it is refused, and then ``field`` and ``expected`` say why.
        digest: SHA-256 of the record's bytes, as verdicts name it; null where it is refused.
        partition, offset: its place in ``exceptions``.
        from_ms: Kafka's time of the first message that it counts for, in milliseconds.

    """

    key: str
    state: Standing
    record: ExceptionRecord | None
    digest: str | None
    partition: int
    offset: int
    from_ms: int
    field: str | None = None
    expected: str | None = None


async def put(settings: Settings, wish: Wish) -> Published:
    """Publish an exception, and return once it is in force.

    Raises:
        UsageError: what was asked for is no exception; nothing was published.
        ExceptionInvalid: a tenant's exception names a category of the floor, and nothing was published; or by
            Kafka's time what was published is none, and its key has no exception any more.
        ConfigError: a text was given and ``digest_key`` is not set.
        StreamError: Kafka is away, or a topic is missing.

    """
    maker = fingerprinter(settings)
    now_ms = round(time.time() * _MS)
    raw = msgspec.json.encode(_fields(wish, maker))
    accepted = _accepted(raw, now_ms, maker)
    policies = await _policies(settings)
    check_floor(accepted, _floor(policies, accepted.record.scope))
    known = _book(await read_records(settings)).partitions(accepted.key)
    # Where the key stands already: a topic that has grown would put it elsewhere.
    (written,) = await publish(settings, accepted.key, raw, known[-1:] or (None,))
    return await _in_force(written, _accepted_by_workers(written, maker))


async def delete(settings: Settings, key: str) -> Published:
    """End an exception by a tombstone, and return once it counts.

    Raises:
        UsageError: there is no such exception.
        StreamError: Kafka is away, or the topic is missing.

    """
    book = _book(await read_records(settings))
    _version(book, key)
    written = await publish(settings, key, None, book.partitions(key))
    return await _in_force(written[-1], None)


async def current(settings: Settings, scope: str | None = None) -> list[Current]:
    """Return every key's newest record but tombstones, in the order of the keys.

    Args:
        settings: addresses and prefix.
        scope: only keys of this scope.

    Raises:
        StreamError: Kafka is away, or a topic is missing.

    """
    book, policies = _book(await read_records(settings)), await _policies(settings)
    return [
        _current(key, version, policies)
        for key, version in book.newest().items()
        if not _is_deleted(version) and scope in {None, key.partition("#")[0]}
    ]


async def show(settings: Settings, key: str) -> Current:
    """Return a key's newest record.

    Raises:
        UsageError: there is no such exception.
        StreamError: Kafka is away, or a topic is missing.

    """
    version = _version(_book(await read_records(settings)), key)
    return _current(key, version, await _policies(settings))


def _fields(wish: Wish, maker: Fingerprinter | None) -> dict[str, object]:
    said = {
        "scope": wish.scope,
        "id": uuid.uuid4().hex[:_ID_CHARS] if wish.exception_id is None else wish.exception_id,
        "owner": wish.owner,
        "reason": wish.reason,
        "created_at": dt.datetime.now(dt.UTC),
        "expires_at": wish.expires_at,
        "categories": wish.categories,
        "tenant_id": wish.tenant_id,
        "channel_id": wish.channel_id,
        "author_id": wish.author_id,
        "fingerprint": None if wish.text is None else _fingerprint(wish.scope, wish.text, maker),
    }
    return {name: value for name, value in said.items() if value is not None}


def _fingerprint(scope: str, text: str, maker: Fingerprinter | None) -> str:
    if not text.strip():
        message = "--text is empty; give the text that is to be excepted"
        raise UsageError(message)
    if maker is None:
        message = "digest_key is not set, so no text can be excepted; set it or digest_key_file, as on the workers"
        raise ConfigError(message)
    return maker.of(scope.partition("/")[0], text)


def _accepted(raw: bytes, now_ms: int, maker: Fingerprinter | None) -> Accepted:
    try:
        record = decode(raw, ExceptionRecord, ExceptionInvalid)
        key = key_of(record.scope, record.id).encode()
        incoming = Incoming(key=key, value=raw, partition=0, offset=0, timestamp=now_ms)
        return accept(incoming, _key_id(maker))
    except ExceptionInvalid as error:
        name = error.field.partition("[")[0]
        text = f"{_FLAGS.get(name, name)}: expected {error.expected}; nothing was published"
        raise UsageError(text) from None


def _accepted_by_workers(written: Incoming, maker: Fingerprinter | None) -> Accepted:
    """Return what workers make of a published record: they go by Kafka's time, and not by the clock here."""
    try:
        return accept(written, _key_id(maker))
    except ExceptionInvalid as error:
        said = f"{error.expected}, by Kafka's clock"
        expected = f"{said}; {written.name} has no exception now: set the clock here right, and put it again"
        raise ExceptionInvalid(error.field, expected) from None


def _key_id(maker: Fingerprinter | None) -> str | None:
    return maker.key_id if maker else None


async def _in_force(written: Incoming, accepted: Accepted | None) -> Published:
    """Wait until the record counts: a message that is sent after this falls under it."""
    await asyncio.sleep(DELAY_MS / _MS)
    return Published(
        key=written.name,
        record=accepted.record if accepted else None,
        digest=accepted.digest if accepted else None,
        partition=written.partition,
        offset=written.offset,
        from_ms=written.timestamp + DELAY_MS,
    )


def _book(records: list[Incoming]) -> Book:
    book = Book(None, only_shown=True)
    for record in records:
        book.add(record)
    return book


def _version(book: Book, key: str) -> Version:
    version = book.newest().get(key)
    if version is None or _is_deleted(version):
        text = f"there is no exception {key}; 'rsafe exceptions list' shows which there are"
        raise UsageError(text)
    return version


def _is_deleted(version: Version) -> bool:
    return version.accepted is None and version.refusal is None


async def _policies(settings: Settings) -> Policies:
    """Return the policies as they will be once a worker has decided about the newest ones."""
    log = PolicyLog(settings)
    try:
        await log.open()
        book, _, records = await read_book(log)
        for _, entry in decide_all(book, records, by=settings.instance, now=dt.datetime.now(dt.UTC)):
            book.add(entry)
        return book
    finally:
        await log.close()


def _floor(policies: Policies, scope: str) -> frozenset[str]:
    tenant, slash, channel = scope.partition("/")
    return floor_ids(policies.effective(tenant, channel if slash else None))


def _current(key: str, version: Version, policies: Policies) -> Current:
    accepted, refusal = version.accepted, version.refusal
    void = accepted is not None and is_void(accepted, _floor(policies, accepted.record.scope))
    state = state_of(version, time.time() * _MS)
    assert state != "deleted"
    return Current(
        key=key,
        state="void" if void and state == "in_force" else state,
        record=accepted.record if accepted else None,
        digest=accepted.digest if accepted else None,
        partition=version.partition,
        offset=version.offset,
        from_ms=version.from_ms,
        field=(refusal.field or "record") if refusal else None,
        expected=refusal.expected if refusal else None,
    )
