"""Which exceptions a message falls under. Pure: records in, answers by the message's own time out.

A key's newest record before a moment decides, whatever it is: a good one is in force until it expires, a
tombstone or a bad one ends what stood before. So compaction, which drops only what was replaced,
changes no answer but for times that long passed.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from worker.errors import ExceptionInvalid
from worker.exceptions.accept import ANY_KEY, DELAY_MS, Accepted, Incoming, accept
from worker.exceptions.fingerprint import Fingerprinter
from worker.exceptions.records import EVERYBODY, ExceptionRecord
from worker.records import Message, or_none


class Version(Struct, frozen=True, kw_only=True):
    """What a key says from one record on: an exception, a refusal, or nothing.

    Attributes:
        from_ms: Kafka's time of the first message that it counts for.
        partition, offset: place of the record.
        accepted: the exception; None where there is none.
        refusal: why the record is none; None for a tombstone too.

    """

    from_ms: int
    partition: int
    offset: int
    accepted: Accepted | None = None
    refusal: ExceptionInvalid | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """What orders the versions of a key."""
        return self.from_ms, self.partition, self.offset


#: What is looked up in one step: a scope with an author, a channel or a fingerprint of it.
_Handle = tuple[str, str, str]
_TEXT: Final = "fingerprint"


class Book:
    """Every version of every key that the topic still holds."""

    def __init__(self, fingerprinter: Fingerprinter | None, *, only_shown: bool = False) -> None:
        """Start empty.

        Args:
            fingerprinter: what makes fingerprints of messages; without one exceptions for texts are refused.
            only_shown: take them all the same: no message will be compared with them.

        """
        self._fingerprinter = fingerprinter
        self._key_id = fingerprinter.key_id if fingerprinter else ANY_KEY if only_shown else None
        self._keys: dict[str, list[Version]] = defaultdict(list)
        self._handles: dict[_Handle, set[str]] = defaultdict(set)
        self._with_texts: set[str] = set()

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._keys)

    def add(self, incoming: Incoming) -> Version:
        """Take in a record, in any order; return what it says."""
        version = self._read(incoming)
        versions = self._keys[incoming.name]
        if version.place not in {one.place for one in versions}:
            insort(versions, version, key=_place)
        if version.accepted is not None:
            self._index(version.accepted)
        return version

    def _read(self, incoming: Incoming) -> Version:
        from_ms = incoming.timestamp + DELAY_MS
        version = Version(from_ms=from_ms, partition=incoming.partition, offset=incoming.offset)
        if incoming.value is None:
            return version
        try:
            return replace(version, accepted=accept(incoming, self._key_id))
        except ExceptionInvalid as error:
            return replace(version, refusal=error)

    def _index(self, accepted: Accepted) -> None:
        handle = _handle(accepted.record)
        self._handles[handle].add(accepted.key)
        if handle[1] == _TEXT:
            self._with_texts.add(handle[0])

    def partitions(self, key: str) -> list[int]:
        """Return the partitions that hold records of a key: several only where the topic has grown."""
        return sorted({version.partition for version in self._keys.get(key, [])})

    def newest(self) -> dict[str, Version]:
        """Return the newest version of each key, in the order of the keys."""
        return {key: self._keys[key][-1] for key in sorted(self._keys)}

    def at(self, key: str, time_ms: int) -> Accepted | None:
        """Return the exception that a key says for messages of a time, in Kafka's milliseconds."""
        versions = self._keys.get(key, [])
        after = bisect_right(versions, time_ms, key=_from_ms)
        accepted = versions[after - 1].accepted if after else None
        return accepted if accepted is not None and time_ms < accepted.until_ms else None

    def matching(self, message: Message, time_ms: int) -> tuple[Accepted, ...]:
        """Return the exceptions that a message falls under, in the order of their keys, the platform's first.

        Args:
            message: the message.
            time_ms: Kafka's time of it, in milliseconds.

        """
        if not self._handles:
            return ()
        fingerprint = self._fingerprints(message)
        keys = {key for handle in _handles(message, fingerprint) for key in self._handles.get(handle, ())}
        found = (self.at(key, time_ms) for key in sorted(keys))
        return tuple(one for one in found if one is not None and _fits(one.record, message, fingerprint))

    def _fingerprints(self, message: Message) -> Callable[[str], str | None]:
        """Return what fingerprints the message for a scope, at most once each, and only where it is asked about."""
        known: dict[str, str] = {}

        def of(scope: str) -> str | None:
            tenant = scope.partition("/")[0]
            if self._fingerprinter is None or scope not in self._with_texts:
                return None
            if tenant not in known:
                known[tenant] = self._fingerprinter.of(tenant, message.text)
            return known[tenant]

        return of


def _place(version: Version) -> tuple[int, int, int]:
    return version.place


def _from_ms(version: Version) -> int:
    return version.from_ms


def _handle(record: ExceptionRecord) -> _Handle:
    """Return what an exception is found by: the narrowest thing that it names."""
    if record.fingerprint is not UNSET:
        return record.scope, _TEXT, record.fingerprint
    if record.author_id is not UNSET:
        return record.scope, "author", record.author_id
    return record.scope, "channel", record.scope.partition("/")[2] or or_none(record.channel_id) or ""


def _handles(message: Message, fingerprint: Callable[[str], str | None]) -> Iterator[_Handle]:
    author, channel = or_none(message.author_id), or_none(message.channel_id)
    scopes = [EVERYBODY, message.tenant_id, *([] if channel is None else [f"{message.tenant_id}/{channel}"])]
    for scope in scopes:
        text = fingerprint(scope)
        if text is not None:
            yield scope, _TEXT, text
        if author is not None:
            yield scope, "author", author
        if channel is not None:
            yield scope, "channel", channel


def _fits(record: ExceptionRecord, message: Message, fingerprint: Callable[[str], str | None]) -> bool:
    """Tell whether all that an exception names is the message's; its scope is already."""
    text = None if record.fingerprint is UNSET else fingerprint(record.scope)
    pairs = (
        (record.tenant_id, message.tenant_id),
        (record.channel_id, message.channel_id),
        (record.author_id, message.author_id),
        (record.fingerprint, text),
    )
    return all(wanted in {UNSET, own} for wanted, own in pairs)
