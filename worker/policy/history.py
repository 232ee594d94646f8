"""What has been decided about policy records, and what follows from it. Pure: records in, state out.

``policies`` is compacted and forgets; ``policy-history`` keeps each decision for ever. A ``Book`` is
the state that both give: which record is in force for each key. Several workers may write a decision
about the same record; the first one in the log counts, so all of them end with the same book.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from worker.errors import PolicyInvalid
from worker.policy.accept import MAX_RECORD_BYTES, Setting, check, refuse
from worker.policy.combine import AcceptedPolicy, combine
from worker.policy.golden import bar_of
from worker.policy.model import EffectivePolicy, Rehearsal, record_digest
from worker.policy.scope import Scope, parse_key, shadow_key, shown
from worker.records import PLATFORM, HistoryEntry, Policy, canonical_json, decode_policy, encode, sha256_hex

#: Text of a refused record is kept while the entry stays below this; topics take 1 MiB.
_MAX_ENTRY_BYTES: Final = 900_000

#: What names a record of ``policies`` although a recreated topic uses offsets again.
Place = tuple[int, int]
#: Digests of the effective policy and of the golden cases, and the model's fingerprint.
_Trial = tuple[str | None, str | None, str]
#: Holds an acceptance back (None) or replaces it: the record, its acceptance, what is in force.
Gate: TypeAlias = "Callable[[Incoming, HistoryEntry, Book], HistoryEntry | None]"


class Incoming(Struct, frozen=True, kw_only=True):
    """A record of ``policies`` as it came; ``timestamp`` is Kafka's, in milliseconds."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def place(self) -> Place:
        """What names this record."""
        return self.offset, self.timestamp


class Book:
    """Decisions by record, and the last accepted record of each key.

    A record is in force if its key has a value in ``policies`` and it is the key's last accepted
    one: where the value on top was refused, that is an older one, which may be compacted away.
    """

    def __init__(self) -> None:
        self._decided: set[Place] = set()
        self._last: dict[str, HistoryEntry] = {}
        self._accepted: dict[str, AcceptedPolicy] = {}
        self._present: set[str] = set()
        self._seen: dict[str, Place] = {}
        self._passed: dict[_Trial, float] = {}

    def copy(self) -> Book:
        """Return a book that can run ahead of this one."""
        other = Book()
        other._decided = set(self._decided)
        other._last = dict(self._last)
        other._accepted = dict(self._accepted)
        other._present = set(self._present)
        other._seen = dict(self._seen)
        other._passed = dict(self._passed)
        return other

    def is_decided(self, record: Incoming) -> bool:
        """Tell whether somebody has decided about a record."""
        return record.place in self._decided

    def add(self, entry: HistoryEntry) -> bool:
        """Take in one entry of the log, in its order; False if its record was decided before."""
        place = (entry.offset, entry.timestamp)
        if place in self._decided:
            return False
        self._decided.add(place)
        bar = _bar_of(entry)
        if bar is not None and entry.fingerprint is not None:
            trial = _trial_of(entry, entry.fingerprint)
            self._passed[trial] = max(bar, self._passed.get(trial, bar))
        if entry.decision != "refused" and self._is_newer(entry):
            self._replace(entry)
        return True

    def has_passed(self, entry: HistoryEntry, fingerprint: str | None) -> bool:
        """Tell whether the same golden cases have passed under the same effective policy and model.

        As large a share of them had to come out right: cases that passed under a low bar prove nothing for a higher.
        """
        if fingerprint is None:
            return False
        bar, passed = _bar_of(entry), self._passed.get(_trial_of(entry, fingerprint))
        return bar is not None and passed is not None and passed >= bar

    def _is_newer(self, entry: HistoryEntry) -> bool:
        """Tell whether an entry's record stands after the key's last one.

        A slow worker may write about an older record after a fast one wrote about a newer. A
        recreated topic starts again at offset 0, but at a later time.
        """
        last = self._last.get(entry.scope)
        return last is None or entry.offset > last.offset or entry.timestamp > last.timestamp

    def _replace(self, entry: HistoryEntry) -> None:
        if entry.decision == "deleted":
            self._accepted.pop(entry.scope, None)
        else:
            accepted = accepted_of(entry)
            if accepted is None:
                return
            self._accepted[entry.scope] = accepted
        self._last[entry.scope] = entry

    def see(self, record: Incoming) -> None:
        """Note whether a key has a value in ``policies``; what a later record said already stays."""
        key = shown(record.key)
        before = self._seen.get(key)
        if before is not None and record.offset < before[0] and record.timestamp <= before[1]:
            return
        self._seen[key] = record.place
        if record.value is None:
            self._present.discard(key)
        else:
            self._present.add(key)

    def last(self, scope: str) -> HistoryEntry | None:
        """Return the last accepted or deleting entry of a key, in force or not."""
        return self._last.get(scope)

    def in_force(self, scope: str) -> AcceptedPolicy | None:
        """Return the record that judges for a key now."""
        return self._accepted.get(scope) if scope in self._present else None

    def scopes(self) -> list[str]:
        """Return the keys that have a record in force, floor first."""
        found = self._accepted.keys() & self._present
        return sorted(found, key=lambda scope: (scope != PLATFORM, scope))

    def effective(self, tenant_id: str, channel_id: str | None) -> EffectivePolicy | None:
        """Combine what is in force for one tenant's channel."""
        channel = self.in_force(f"{tenant_id}/{channel_id}") if channel_id is not None else None
        return combine(self.in_force(PLATFORM), self.in_force(tenant_id), channel)

    def rehearsals(self, tenant_id: str, channel_id: str | None) -> tuple[Rehearsal, ...]:
        """Return what is tried beside the policy of one tenant's channel, floor first.

        Each shadow takes the place of its own scope's live record alone, so that no rehearsal disturbs
        another. Two shadows with the same content are one: what they judge would have the same id.
        """
        keys = [PLATFORM, tenant_id, *([] if channel_id is None else [f"{tenant_id}/{channel_id}"])]
        found: dict[str, Rehearsal] = {}
        for key in keys:
            shadow = self.in_force(shadow_key(key))
            if shadow is not None and shadow.digest not in found:
                tried = [replace(shadow, scope=key) if one == key else self.in_force(one) for one in keys]
                effective = combine(*tried, *([None] if channel_id is None else []))
                assert effective is not None
                found[shadow.digest] = Rehearsal(scope=key, digest=shadow.digest, effective=effective)
        return tuple(found.values())

    def decide(self, record: Incoming, *, by: str, now: dt.datetime) -> HistoryEntry:
        """Decide about a record as things stand; nothing in this book changes."""
        undecided = _entry(record, by, now)
        if record.value is None:
            return undecided
        policy = None
        try:
            scope = parse_key(record.key)
            policy = read_policy(record.value)
            if not self._is_newer(undecided):
                refuse("", "a record that no later one of its key has replaced while its golden cases were judged")
            self.check(scope, policy, record.value)
        except PolicyInvalid as error:
            return _refused(undecided, error, policy, record.value)
        return self._accept(undecided, scope, policy, record.value)

    def check(self, scope: Scope, policy: Policy, value: bytes) -> None:
        """Return if a policy, whose bytes are ``value``, may come into force now.

        Raises:
            PolicyInvalid: naming the field and what should stand there.

        """
        last = self._last.get(scope.key)
        # The same record once more changes nothing, whatever the floor says by now.
        if last is not None and last.policy == value.decode():
            return
        floor = self.in_force(PLATFORM)
        setting = Setting(floor=floor.policy if floor else None, last_version=last.version if last else None)
        check(policy, scope, setting)

    def _accept(self, undecided: HistoryEntry, scope: Scope, policy: Policy, value: bytes) -> HistoryEntry:
        digest = record_digest(policy)
        # As it would judge once it is live, also where its key says that it is not.
        accepted = AcceptedPolicy(scope=scope.live, policy=policy, digest=digest, offset=undecided.offset)
        return replace(
            undecided,
            decision="accepted",
            version=policy.version,
            digest=digest,
            golden_digest=golden_digest(policy),
            effective_digest=self.rehearse(scope, accepted).digest,
            policy=value.decode(),
        )

    def rehearse(self, scope: Scope, accepted: AcceptedPolicy) -> EffectivePolicy:
        """Combine what is in force with ``accepted`` in its place."""
        if scope.is_floor:
            combined = combine(accepted, None, None)
        elif scope.channel is None:
            combined = combine(self.in_force(PLATFORM), accepted, None)
        else:
            combined = combine(self.in_force(PLATFORM), self.in_force(scope.tenant), accepted)
        assert combined is not None
        return combined


def decide_all(
    book: Book, records: Sequence[Incoming], *, by: str, now: dt.datetime, gate: Gate | None = None
) -> list[tuple[Incoming, HistoryEntry]]:
    """Decide, in their order, about the records that nobody has decided about yet.

    Each one is judged as if those before it were in force already. What ``gate`` holds back stays
    undecided, and so does a record with golden cases above which another is held back: they are to be
    judged under what it becomes part of. Without a gate golden cases do not matter.
    """
    ahead = book.copy()
    held: set[str] = set()
    made = []
    for record in records:
        ahead.see(record)
        if ahead.is_decided(record):
            continue
        decided = ahead.decide(record, by=by, now=now)
        entry: HistoryEntry | None = decided
        if gate is not None and decided.decision == "accepted":
            waits = decided.golden_digest is not None and not held.isdisjoint(above(decided.scope))
            entry = None if waits else gate(record, decided, ahead)
        if entry is None:
            held.add(shown(record.key))
        else:
            ahead.add(entry)
            made.append((record, entry))
    return made


def above(key: str) -> tuple[str, ...]:
    """Return the keys that a key's policy is combined with: the floor, and a channel's tenant."""
    return () if key == PLATFORM else (PLATFORM, *key.split("/")[:-1])


def _trial_of(entry: HistoryEntry, fingerprint: str) -> _Trial:
    return entry.effective_digest, entry.golden_digest, fingerprint


def _bar_of(entry: HistoryEntry) -> float | None:
    """Return the share of golden cases that an accepted record asks for; None where none was accepted."""
    accepted = accepted_of(entry)
    return None if accepted is None else bar_of(accepted.policy)


def floor_first(book: Book, records: Iterable[Incoming]) -> list[Incoming]:
    """Put the first record of the floor to the front where nothing of the floor is known yet.

    Compaction may have left a floor only behind the tenants that were written against it.
    """
    rest = list(records)
    if book.last(PLATFORM) is None:
        first = next((index for index, one in enumerate(rest) if one.key == PLATFORM.encode() and one.value), None)
        if first is not None:
            rest.insert(0, rest.pop(first))
    return rest


def read_policy(value: bytes) -> Policy:
    """Decode a record's value.

    Raises:
        PolicyInvalid: too large, no UTF-8, or not a policy.

    """
    if len(value) > MAX_RECORD_BYTES or _text(value) is None:
        refuse("", f"JSON in UTF-8 of at most {MAX_RECORD_BYTES // 1024} KiB")
    return decode_policy(value)


def golden_digest(policy: Policy) -> str | None:
    """SHA-256 of a record's golden cases; None where there are none."""
    return sha256_hex(canonical_json(policy.golden)) if policy.golden else None


def accepted_of(entry: HistoryEntry) -> AcceptedPolicy | None:
    """Return the policy that an accepting entry keeps; None if it holds none that can be read."""
    if entry.decision != "accepted" or entry.policy is None:
        return None
    try:
        policy = decode_policy(entry.policy.encode())
    except PolicyInvalid:
        return None
    return AcceptedPolicy(scope=entry.scope, policy=policy, digest=record_digest(policy), offset=entry.offset)


def _entry(record: Incoming, by: str, now: dt.datetime) -> HistoryEntry:
    """Return the entry of a tombstone; a record with a value adds to it."""
    return HistoryEntry(
        offset=record.offset,
        timestamp=record.timestamp,
        scope=shown(record.key),
        decision="deleted",
        version=None,
        digest=None,
        golden_digest=None,
        fingerprint=None,
        effective_digest=None,
        field=None,
        reason=None,
        policy=None,
        decided_at=now,
        decided_by=by,
    )


def _refused(undecided: HistoryEntry, error: PolicyInvalid, policy: Policy | None, value: bytes) -> HistoryEntry:
    entry = replace(
        undecided,
        decision="refused",
        version=policy.version if policy else None,
        field=error.field,
        reason=error.expected,
    )
    full = replace(entry, policy=_text(value))
    return full if len(encode(full)) <= _MAX_ENTRY_BYTES else entry


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
