"""How people change policies: publish, look, delete, roll back, each over Kafka.

Whether a record comes into force is decided by a worker. These functions check first by the same
rules, so that nothing hopeless is published, then publish, then wait a moment for a worker's word.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, Literal

from msgspec import Struct

from worker import clock, kafka
from worker.config import Settings
from worker.errors import UsageError
from worker.policy.acks import Applied, Roll, read_roll
from worker.policy.document import fields_of, with_fields
from worker.policy.earlier import earlier
from worker.policy.history import Book, Incoming, Place, decide_all, read_policy
from worker.policy.log import PolicyLog, read_book
from worker.policy.model import record_digest
from worker.policy.scope import Scope, parse, parse_argument, shadow_key, shown
from worker.records import PLATFORM, HistoryEntry, Policy, or_none

#: How long to wait for a worker's decision: twice what a change may take.
DECISION_WAIT_S: Final = 4.0
#: What each golden case adds to it; a worker judges several at once.
CASE_WAIT_S: Final = 1.0

Word = Literal["accepted", "refused", "deleted", "undecided"]


class Published(Struct, frozen=True, kw_only=True):
    """A record that was published and what a worker said; ``version`` is null for a tombstone."""

    scope: str
    version: int | None
    digest: str | None
    offset: int
    decision: Word
    field: str | None
    reason: str | None


class Compared(Struct, frozen=True, kw_only=True):
    """Digests of the two records that somebody compared; ``live`` is null where there was none."""

    shadow: str
    live: str | None


class Current(Struct, frozen=True, kw_only=True):
    """One key: what is in force for it, and what became of the newest record.

    ``version`` and ``digest`` are of the record in force, null where there is none yet; ``newest`` is
    the word on the newest record, which ``field`` and ``reason`` explain if it was refused. ``applied``
    says how many workers hold what is in force, null where there is nothing or Kafka does not tell.
    """

    scope: str
    version: int | None
    digest: str | None
    title: str | None
    categories: tuple[str, ...]
    author: str | None
    offset: int
    newest: Word
    field: str | None
    reason: str | None
    applied: Applied | None = None


class _View(Struct, frozen=True, kw_only=True):
    """Everything the two topics say, and the book as it will be once a worker has decided."""

    book: Book
    ahead: Book
    entries: list[HistoryEntry]
    records: list[Incoming]


async def put(
    settings: Settings, key: str, raw: bytes, *, bump: bool = False, wait_s: float = DECISION_WAIT_S
) -> Published:
    """Publish a policy for a scope.

    Args:
        settings: addresses and prefix.
        key: the scope.
        raw: the policy as JSON; published byte for byte if its version is used.
        bump: take the next version, as is done where the policy names none.
        wait_s: longest wait for a worker's decision, in seconds; each golden case adds ``CASE_WAIT_S``.

    Raises:
        UsageError: the key is no scope.
        PolicyInvalid: it cannot come into force; nothing was published.
        StreamError: Kafka is away, or the topics are missing.

    """
    scope = parse_argument(key)
    async with _opened(settings) as log:
        view = await _view(log, settings)
        if bump or "version" not in fields_of(raw):
            raw = with_fields(raw, version=_next_version(view, scope.key))
        return await _publish(log, settings, view, scope, raw, wait_s)


async def delete(settings: Settings, key: str, *, wait_s: float = DECISION_WAIT_S) -> Published:
    """Publish a tombstone: the scope has no policy of its own any more, and versions start again.

    Raises:
        UsageError: the key is no scope, or has no policy.
        StreamError: Kafka is away, or the topics are missing.

    """
    scope = parse_argument(key)
    async with _opened(settings) as log:
        view = await _view(log, settings)
        if scope.key not in _heads(view.records):
            text = f"{scope.key} has no policy; 'rsafe policy list' shows which scopes have one"
            raise UsageError(text)
        record = await log.publish(scope.key.encode(), None, kafka.cloud_event("policy", settings.instance))
        return await _decided(log, record, None, wait_s)


async def rollback(
    settings: Settings, key: str, *, to: int | str | None = None, wait_s: float = DECISION_WAIT_S
) -> Published:
    """Publish the content of an earlier accepted version under a new version.

    Args:
        settings: addresses and prefix.
        key: the scope.
        to: the version to go back to, or the beginning of its digest; by default the last one that judges otherwise
            than the present one.
        wait_s: longest wait for a worker's decision, in seconds.

    Raises:
        UsageError: the key is no scope, has no such accepted version, had several, or judges by it already.
        PolicyInvalid: the old content cannot come into force under the floor as it is now.
        StreamError: Kafka is away, or the topics are missing.

    """
    scope = parse_argument(key)
    async with _opened(settings) as log:
        view = await _view(log, settings)
        target = _target(view, scope.key, to)
        assert target.policy is not None
        raw = with_fields(
            target.policy.encode(),
            version=_next_version(view, scope.key),
            reason=f"rollback to version {target.version}",
            updated_at=clock.utc_now(),
        )
        return await _publish(log, settings, view, scope, raw, wait_s)


async def promote(
    settings: Settings, key: str, compared: Compared, *, wait_s: float = DECISION_WAIT_S
) -> tuple[Published, Published | None]:
    """Publish what is rehearsed for a scope as its next version, and end the rehearsal once that is in force.

    Args:
        settings: addresses and prefix.
        key: the live scope.
        compared: the two that are meant; nothing is promoted if another one came in between on either side.
        wait_s: longest wait for each decision, in seconds.

    Returns:
        The live record, and the shadow's tombstone; none where the record is not in force yet, or where another
        shadow has been published since, whose rehearsal goes on.

    Raises:
        UsageError: the key is no scope, this shadow is not in force, or the live record is not the one compared.
        PolicyInvalid: it cannot come into force under the floor as it is now; nothing was published.
        StreamError: Kafka is away, or the topics are missing.

    """
    scope = parse(parse_argument(key).live)
    shadow = shadow_key(scope.key)
    async with _opened(settings) as log:
        view = await _view(log, settings)
        last = _promotable(view, scope.key, compared)
        assert last.policy is not None
        raw = with_fields(
            last.policy.encode(),
            version=_next_version(view, scope.key),
            reason=f"promoted from {shadow} version {last.version}",
            updated_at=clock.utc_now(),
        )
        published = await _publish(log, settings, view, scope, raw, wait_s)
    # Its golden cases may have taken a while: whatever was published meanwhile is seen by reading anew.
    async with _opened(settings) as log:
        newest = (await _view(log, settings)).ahead.last(shadow)
        is_same = newest is not None and (newest.offset, newest.timestamp) == (last.offset, last.timestamp)
        if published.decision != "accepted" or not is_same:
            return published, None
        record = await log.publish(shadow.encode(), None, kafka.cloud_event("policy", settings.instance))
        return published, await _decided(log, record, None, wait_s)


def _promotable(view: _View, key: str, compared: Compared) -> HistoryEntry:
    """Return the acceptance of the shadow that was compared.

    Raises:
        UsageError: it is not what is rehearsed any more, or the live record is, or will be, another one.

    """
    shadow = shadow_key(key)
    accepted, last = view.book.in_force(shadow), view.book.last(shadow)
    if accepted is None or accepted.digest != compared.shadow or last is None or last.policy is None:
        text = f"{shadow} is not what was compared any more; run 'rsafe policy compare {key}' again"
        raise UsageError(text)
    live = [one.digest if one else None for one in (view.book.in_force(key), view.ahead.in_force(key))]
    if live != [compared.live] * 2:
        text = f"{key} itself was changed since it was compared; run 'rsafe policy compare {key}' again"
        raise UsageError(text)
    return last


async def get(settings: Settings, key: str) -> str:
    """Return the record in force for a scope, byte for byte; the newest one where no worker has decided.

    Raises:
        UsageError: the key is no scope, or has no policy.
        StreamError: Kafka is away, or the topics are missing.

    """
    scope = parse_argument(key)
    async with _opened(settings) as log:
        view = await _view(log, settings)
    last = view.ahead.last(scope.key) if view.ahead.in_force(scope.key) else None
    if last is None or last.policy is None:
        text = f"{scope.key} has no policy; 'rsafe policy list' shows which scopes have one"
        raise UsageError(text)
    return last.policy


async def current(settings: Settings) -> list[Current]:
    """Return every scope that has a record, floor first.

    Raises:
        StreamError: Kafka is away, or the topics are missing.

    """
    async with _opened(settings) as log:
        view = await _view(log, settings)
    roll = await read_roll(settings)
    words = {(entry.offset, entry.timestamp): entry for entry in view.entries}
    heads = _heads(view.records)
    rows = [_row(view.book, key, record, words.get(record.place), roll) for key, record in heads.items()]
    return sorted(rows, key=lambda row: (row.scope != PLATFORM, row.scope))


async def history(settings: Settings, key: str) -> list[HistoryEntry]:
    """Return every decision about a scope, oldest first, only the one that counts of each record.

    Raises:
        UsageError: the key is no scope.
        StreamError: Kafka is away, or the topics are missing.

    """
    scope = parse_argument(key)
    async with _opened(settings) as log:
        entries = [entry async for entry in log.history()]
    return [entry for entry in _first_words(entries) if entry.scope == scope.key]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[PolicyLog]:
    log = PolicyLog(settings)
    try:
        await log.open()
        yield log
    finally:
        await log.close()


async def _view(log: PolicyLog, settings: Settings) -> _View:
    book, entries, records = await read_book(log)
    ahead = book.copy()
    for _, entry in decide_all(book, records, by=settings.instance, now=clock.utc_now()):
        ahead.add(entry)
    return _View(book=book, ahead=ahead, entries=_first_words(entries), records=records)


async def _publish(
    log: PolicyLog, settings: Settings, view: _View, scope: Scope, raw: bytes, wait_s: float
) -> Published:
    policy = read_policy(raw)
    view.ahead.check(scope, policy, raw)
    record = await log.publish(scope.key.encode(), raw, kafka.cloud_event("policy", settings.instance))
    cases_s = CASE_WAIT_S * len(policy.golden or ()) if wait_s else 0.0
    return await _decided(log, record, policy, wait_s + cases_s)


async def _decided(log: PolicyLog, record: Incoming, policy: Policy | None, wait_s: float) -> Published:
    """Wait for the first decision about a record that was just published."""
    deadline = time.monotonic() + wait_s
    entry = None
    while entry is None and time.monotonic() < deadline:
        entries, _ = await log.poll()
        entry = next((one for one in entries if (one.offset, one.timestamp) == record.place), None)
    return Published(
        scope=shown(record.key),
        version=policy.version if policy else None,
        digest=record_digest(policy) if policy else None,
        offset=record.offset,
        decision=entry.decision if entry else "undecided",
        field=entry.field if entry else None,
        reason=entry.reason if entry else None,
    )


def _first_words(entries: Iterable[HistoryEntry]) -> list[HistoryEntry]:
    first: dict[Place, HistoryEntry] = {}
    for entry in entries:
        first.setdefault((entry.offset, entry.timestamp), entry)
    return list(first.values())


def _next_version(view: _View, key: str) -> int:
    """Return a version above every one that this key has ever had."""
    last = view.ahead.last(key)
    had = [entry.version or 0 for entry in view.entries if entry.scope == key and entry.decision == "accepted"]
    return max([*had, (last.version if last else 0) or 0]) + 1


def _target(view: _View, key: str, to: int | str | None) -> HistoryEntry:
    in_force = view.book.last(key) if view.book.in_force(key) else None
    newest = max((record.place for record in view.records if shown(record.key) == key), default=None)
    # What is in force already can still be meant: it takes the place of a newer record that waits for its word.
    is_newest = in_force is not None and (in_force.offset, in_force.timestamp) == newest
    return earlier(key, view.entries, in_force, to, is_newest=is_newest)


def _heads(records: Iterable[Incoming]) -> dict[str, Incoming]:
    """Return the newest record of each key that has a value."""
    heads: dict[str, Incoming] = {}
    for record in records:
        heads[shown(record.key)] = record
    return {key: record for key, record in heads.items() if record.value is not None}


def _row(book: Book, key: str, newest: Incoming, word: HistoryEntry | None, roll: Roll | None) -> Current:
    accepted, last = book.in_force(key), book.last(key)
    policy = accepted.policy if accepted else None
    applied = roll.applied(key, accepted.digest, last.offset, last.timestamp) if roll and accepted and last else None
    return Current(
        scope=key,
        version=policy.version if policy else None,
        digest=accepted.digest if accepted else None,
        title=policy.title if policy else None,
        categories=tuple(item.id for item in policy.categories) if policy else (),
        author=or_none(policy.author) if policy else None,
        offset=newest.offset,
        newest=word.decision if word else "undecided",
        field=word.field if word else None,
        reason=word.reason if word else None,
        applied=applied,
    )
