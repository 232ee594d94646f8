"""Policies as they were: any effective policy that ever judged, rebuilt from ``policy-history``.

``policies`` is compacted and forgets. The history keeps every accepted record, so the parts that a
verdict names can be combined again, and the digest proves that it is the same policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from msgspec import UNSET, structs

from worker import kafka
from worker.config import Settings
from worker.errors import AuditError, RecordError
from worker.policy.accept import Setting, check
from worker.policy.combine import AcceptedPolicy, combine, unpublished
from worker.policy.history import Book, Incoming, accepted_of, read_policy
from worker.policy.model import EffectivePolicy
from worker.policy.scope import Scope, parse_argument
from worker.records import PLATFORM, HistoryEntry, Message, PolicyPart, PolicyRef, decode, or_none
from worker.replay_records import ReplayPolicies

#: Effective policies kept at hand; more are built again when they are met again.
_MOST_CACHED: Final = 4096


class PolicyArchive:
    """Every accepted policy record, and the effective policies made of them."""

    def __init__(self, entries: Iterable[HistoryEntry]) -> None:
        """Take the log's entries, in their order."""
        self._book = Book()
        self._records: dict[tuple[str, str], HistoryEntry] = {}
        for entry in entries:
            if not self._book.add(entry) or entry.decision != "accepted" or entry.digest is None:
                continue
            # Any record of this scope and digest judges alike, whatever its version.
            self._records.setdefault((entry.scope, entry.digest), entry)
            # The history's word is enough: what it says was deleted is not in force.
            self._book.see(
                Incoming(key=entry.scope.encode(), value=b"", offset=entry.offset, timestamp=entry.timestamp)
            )
        self._built: dict[PolicyRef, EffectivePolicy] = {}
        self._today: dict[tuple[str, str | None], EffectivePolicy | None] = {}

    def rebuild(self, ref: PolicyRef) -> EffectivePolicy | None:
        """Return the effective policy that a verdict names; None where it was judged under none.

        Raises:
            AuditError: the history lacks a part, or the parts no longer give that digest.

        """
        if ref.digest is None:
            return None
        policy = self._built.get(ref)
        if policy is None:
            policy = _as_it_was(self.combined(ref.parts), ref)
            if policy is None or policy.digest != ref.digest:
                raise _unresolved()
            if len(self._built) >= _MOST_CACHED:
                self._built.clear()
            self._built[ref] = policy
        return policy

    def combined(self, parts: Iterable[PolicyPart], instead: AcceptedPolicy | None = None) -> EffectivePolicy | None:
        """Combine parts, with one in place of (or beside) those of its scope.

        Raises:
            AuditError: the history lacks a part.

        """
        chosen = {part.scope: part for part in parts}
        found = {scope: self._part(part) for scope, part in chosen.items() if not instead or scope != instead.scope}
        if instead is not None:
            found[instead.scope] = instead
        places = {_place(scope): accepted for scope, accepted in found.items()}
        return combine(places.get("floor"), places.get("tenant"), places.get("channel"))

    def today(self, message: Message) -> EffectivePolicy | None:
        """Return what is in force at the history's end for a message."""
        channel = or_none(message.channel_id)
        key = (message.tenant_id, channel)
        if key not in self._today:
            if len(self._today) >= _MOST_CACHED:
                self._today.clear()
            self._today[key] = self._book.effective(*key)
        return self._today[key]

    def floor(self) -> AcceptedPolicy | None:
        """Return the floor in force at the history's end."""
        return self._book.in_force(PLATFORM)

    def _part(self, part: PolicyPart) -> AcceptedPolicy:
        entry = self._records.get((part.scope, part.digest))
        accepted = accepted_of(entry) if entry is not None else None
        if accepted is None:
            raise _unresolved()
        # Version and place are what the verdict names: equal content may stand elsewhere too.
        policy = structs.replace(accepted.policy, version=part.version)
        return AcceptedPolicy(scope=part.scope, policy=policy, digest=part.digest, offset=part.offset)


class Resolver(Protocol):
    """What a message is judged under in a run."""

    @property
    def needs_original(self) -> bool:
        """Whether a message without an original verdict cannot be resolved."""

    @property
    def repeats_rungs(self) -> bool:
        """Whether a message is judged at the rung of the overload ladder that its original verdict names."""

    def resolve(self, message: Message, original: PolicyRef | None) -> EffectivePolicy | None:
        """Return the policy for a message, given what its original verdict was judged under.

        Raises:
            AuditError: it cannot be rebuilt.

        """


class AsJudged:
    """Each message under exactly what its original verdict names."""

    needs_original = True
    repeats_rungs = True

    def __init__(self, archive: PolicyArchive) -> None:
        """Take the history."""
        self._archive = archive

    def resolve(self, message: Message, original: PolicyRef | None) -> EffectivePolicy | None:  # noqa: ARG002
        """Return the policy of the original verdict."""
        if original is None:
            raise _unresolved()
        return self._archive.rebuild(original)


class AsOfNow:
    """Each message under what was in force when the run was planned."""

    needs_original = False
    repeats_rungs = False

    def __init__(self, archive: PolicyArchive) -> None:
        """Take the history."""
        self._archive = archive

    def resolve(self, message: Message, original: PolicyRef | None) -> EffectivePolicy | None:  # noqa: ARG002
        """Return the policy in force for the message's tenant and channel."""
        return self._archive.today(message)


class WithFile:
    """Each message under what it was judged under, but for the one part that a file replaces."""

    needs_original = True
    repeats_rungs = False

    def __init__(self, archive: PolicyArchive, scope: Scope, accepted: AcceptedPolicy) -> None:
        """Take the history and the file's record."""
        self._archive = archive
        self._scope = scope
        self._accepted = accepted
        self._built: dict[tuple[PolicyPart, ...], EffectivePolicy | None] = {}

    def resolve(self, message: Message, original: PolicyRef | None) -> EffectivePolicy | None:
        """Return the original policy with the file in place of its scope's part."""
        if original is None:
            raise _unresolved()
        if not self._concerns(message):
            return self._archive.rebuild(original)
        if original.parts not in self._built:
            if len(self._built) >= _MOST_CACHED:
                self._built.clear()
            self._built[original.parts] = self._archive.combined(original.parts, self._accepted)
        return self._built[original.parts]

    def _concerns(self, message: Message) -> bool:
        if self._scope.is_floor:
            return True
        of_channel = self._scope.channel in {None, or_none(message.channel_id)}
        return message.tenant_id == self._scope.tenant and of_channel


def resolver(policies: ReplayPolicies, archive: PolicyArchive) -> Resolver:
    """Return what a run's messages are judged under.

    Raises:
        PolicyInvalid: the file's policy could not come into force under the floor.

    """
    if policies.mode == "as-judged":
        return AsJudged(archive)
    if policies.mode == "now":
        return AsOfNow(archive)
    assert policies.scope is not None
    assert policies.policy is not None
    scope = parse_argument(policies.scope)
    return WithFile(archive, scope, checked(scope, policies.policy.encode(), archive))


def checked(scope: Scope, raw: bytes, archive: PolicyArchive) -> AcceptedPolicy:
    """Return a file's policy as it would stand in force for a scope.

    Raises:
        PolicyInvalid: it could not come into force: no policy, or it loosens the floor.

    """
    record = read_policy(raw)
    floor = archive.floor()
    check(record, scope, Setting(floor=floor.policy if floor else None))
    return unpublished(scope.live, record)


async def history_end(settings: Settings) -> int:
    """Return the end of ``policy-history`` now.

    Raises:
        BrokerAway: nobody answers.
        TopicMissing: the topic does not exist.

    """
    async with kafka.reader(settings) as consumer:
        partitions = await kafka.partitions_of(consumer, settings.topic("policy-history"))
        return (await kafka.bounds(consumer, partitions))[partitions[0]][1]


async def read_archive(settings: Settings, end: int) -> PolicyArchive:
    """Read ``policy-history`` up to an offset, excluded.

    Raises:
        BrokerAway: nobody answers.
        AuditError: the log is shorter than that.

    """
    async with kafka.reader(settings) as consumer:
        (partition,) = await kafka.partitions_of(consumer, settings.topic("policy-history"))
        first, log_end = (await kafka.bounds(consumer, [partition]))[partition]
        if log_end < end:
            text = f"{partition.topic} ends at {log_end} and not at {end} as when the run began; was it made anew?"
            raise AuditError(text)
        consumer.assign([partition])
        consumer.seek(partition, first)
        entries = []
        async for record in kafka.read(consumer, partition, end, settings.kafka_timeout_s):
            try:
                entries.append(decode(record.value or b"", HistoryEntry, RecordError))
            except RecordError:
                # As for the workers: what is no decision decides nothing.
                continue
        return PolicyArchive(entries)


def _as_it_was(policy: EffectivePolicy | None, ref: PolicyRef) -> EffectivePolicy | None:
    """Return a policy as verdicts were given before the floor's call was asked by the floor alone, if it was so."""
    if policy is None or policy.digest == ref.digest:
        return policy
    return structs.replace(policy, judging=structs.replace(policy.judging, floor=UNSET))


def _place(scope: str) -> str:
    if scope == PLATFORM:
        return "floor"
    return "channel" if "/" in scope else "tenant"


def _unresolved() -> AuditError:
    text = "a policy that a verdict names cannot be rebuilt from policy-history; was the topic made anew?"
    return AuditError(text)
