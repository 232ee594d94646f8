"""``rsafe audit retract``: verdicts of a policy version that no longer stand get a superseding one each.

The superseding verdict is the old one with another action: what the model said under that policy stays on
record. Its id follows from the old one's (section 5 of the interfaces), so a second run finds it and
publishes nothing. It never counts as an outcome: workers and ``rsafe audit verify`` pass over it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, structs

from worker import content_digest, kafka, trace_context
from worker.audit.standing import Progress, Standing, Wanted, standing
from worker.config import Settings
from worker.errors import UsageError
from worker.records import Action, PolicyPart, PolicyRef, Verdict, encode, or_none, verdict_id

#: Header of a superseding verdict that says why it was written.
REASON_HEADER: Final = "retract_reason"
#: Sent before their acknowledgements are awaited; so many are in memory.
_BATCH: Final = 500
_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")
_OF_SCOPE: Final = re.compile(r"([^@\s]+)@([0-9]{1,16}|[0-9a-f]{8,64})")
_SHOWN_DIGITS: Final = 12
#: What a safe verdict may recommend (``rsafe audit verify`` calls others altered).
_SAFE_ACTIONS: Final = frozenset({"allow", "review"})
_MOST_EXAMPLES: Final = 10


class Target(Struct, frozen=True, kw_only=True):
    """A policy: by the first digits of a digest (effective or of a record), or by scope and version or digits.

    Where ``either`` is true digits alone may be both, a version or the beginning of a digest.
    """

    digest: str | None = None
    scope: str | None = None
    version: int | None = None
    either: bool = False

    def fitting(self, policy: PolicyRef) -> str | None:
        """Return the digest that a verdict has of it; None where the verdict was not judged under it."""
        if self.scope is not None:
            return next((part.digest for part in policy.parts if self._is(part)), None)
        digests = (policy.digest or "", *(part.digest for part in policy.parts))
        return next((one for one in digests if self.digest is not None and one.startswith(self.digest)), None)

    def _is(self, part: PolicyPart) -> bool:
        if part.scope != self.scope:
            return False
        same = part.digest.startswith(self.digest or ""), self.version in {None, part.version}
        return any(same) if self.either else all(same)


def parse_target(text: str) -> Target:
    """Read ``DIGEST`` (8 hex digits or more), ``SCOPE@VERSION`` or ``SCOPE@DIGEST``.

    Raises:
        UsageError: it is none of them.

    """
    if found := _OF_SCOPE.fullmatch(text):
        digest = found[2] if _DIGEST.fullmatch(found[2]) else None
        version = int(found[2]) if found[2].isdigit() else None
        return Target(scope=found[1], version=version, digest=digest, either=None not in {version, digest})
    if _DIGEST.fullmatch(text):
        return Target(digest=text)
    message = f"{text!r} names no policy; write SCOPE@VERSION such as acme@3, or 8 or more hex digits of a digest"
    raise UsageError(message)


class RetractReport(Struct, frozen=True, kw_only=True):
    """What ``rsafe audit retract --json`` prints.

    Attributes:
        policy: as it was asked for.
        action: what the superseding verdicts recommend.
        planned: verdicts that need a superseding one.
        published: superseding verdicts that were written now.
        already: verdicts that a retraction has given this action before.
        not_applicable: safe verdicts that cannot have such an action; they stay as they are.
        tenants, categories, actions: the planned ones by tenant, by ``scope:id`` that was hit, and by old action.
        examples: ids of some of them.
        digests: all that were found, planned or not, by the digest that the policy was named by or has.

    """

    policy: str
    action: Action
    planned: int
    published: int
    already: int
    not_applicable: int
    tenants: dict[str, int]
    categories: dict[str, int]
    actions: dict[str, int]
    examples: tuple[str, ...]
    digests: dict[str, int] = {}


class _Counts:
    """What became of the verdicts of the policy."""

    def __init__(self) -> None:
        self.already = self.not_applicable = self.published = 0
        self.tenants: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()
        self.actions: Counter[str] = Counter()
        self.digests: Counter[str] = Counter()
        self.examples: list[str] = []

    def add(self, verdict: Verdict, target: Target, action: Action) -> bool:
        """Count a verdict; tell whether it is to be superseded."""
        digest = target.fitting(verdict.policy)
        if digest is None:
            return False
        self.digests[digest] += 1
        if not is_due(verdict, action):
            self.already += 1
        elif not can_have(verdict, action):
            self.not_applicable += 1
        else:
            self._plan(verdict)
            return True
        return False

    def _plan(self, verdict: Verdict) -> None:
        self.tenants[verdict.tenant_id] += 1
        self.actions[verdict.action] += 1
        self.categories.update(f"{one.scope}:{one.id}" for one in verdict.categories if one.hit)
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(verdict.verdict_id)

    def report(self, policy: str, action: Action) -> RetractReport:
        return RetractReport(
            policy=policy,
            action=action,
            planned=self.tenants.total(),
            published=self.published,
            already=self.already,
            not_applicable=self.not_applicable,
            tenants=dict(self.tenants.most_common()),
            categories=dict(self.categories.most_common()),
            actions=dict(self.actions.most_common()),
            examples=tuple(self.examples),
            digests=dict(self.digests.most_common()),
        )


def superseding(verdict: Verdict, action: Action) -> Verdict:
    """Return the verdict that takes another one's place."""
    own = verdict_id(verdict.source, verdict.mode, verdict.run_id, verdict.verdict_id)
    return structs.replace(verdict, verdict_id=own, supersedes=verdict.verdict_id, action=action)


def is_due(verdict: Verdict, action: Action) -> bool:
    """Tell whether a verdict that stands was not retracted to this action yet."""
    return not (or_none(verdict.supersedes) and verdict.action == action)


def can_have(verdict: Verdict, action: Action) -> bool:
    """Tell whether a verdict and an action go together."""
    return verdict.label != "safe" or action in _SAFE_ACTIONS


async def retract(
    settings: Settings,
    policy: str,
    wanted: Wanted,
    action: Action = "review",
    reason: str | None = None,
    *,
    publish: bool = False,
    progress: Progress | None = None,
) -> RetractReport:
    """Count the verdicts of a policy, and supersede them if asked to.

    Args:
        settings: addresses and prefix.
        policy: ``DIGEST``, ``SCOPE@VERSION`` or ``SCOPE@DIGEST``.
        wanted: of which messages.
        action: what the superseding verdicts recommend.
        reason: why; it travels in a header.
        publish: write them; otherwise nothing is written.
        progress: told of records.

    Raises:
        UsageError: the policy is not named as it must be, or several records had that version; nothing was written.
        BrokerAway: Kafka stopped answering.
        PublishFailed: a verdict was not acknowledged; run it again, it goes on where it was.

    """
    target = parse_target(policy)
    if not publish or target.version is not None:
        counts = await _walk(settings, target, wanted, action, progress)
        target = _one_record(target, policy, counts.digests)
        if not publish or not counts.digests:
            return counts.report(policy, action)
    counts = await _walk(settings, target, wanted, action, progress, _Writer(settings, action, reason))
    return counts.report(policy, action)


def _one_record(target: Target, policy: str, digests: Iterable[str]) -> Target:
    """Return a target that no other record of its version fits: versions start again after a tombstone."""
    if target.version is None:
        return target
    found = sorted(digests)
    if len(found) > 1:
        which = ", ".join(digest[:_SHOWN_DIGITS] for digest in found)
        message = f"{policy} may be one of several records: {which}; write {target.scope}@ and the digest of the one"
        raise UsageError(message)
    if not found:
        return target
    by_digest = target.either and found[0].startswith(target.digest or "")
    return structs.replace(target, digest=found[0], version=None if by_digest else target.version, either=False)


async def _walk(
    settings: Settings,
    target: Target,
    wanted: Wanted,
    action: Action,
    progress: Progress | None,
    writer: _Writer | None = None,
) -> _Counts:
    """Count the verdicts that stand, and give a writer those that are to be superseded."""
    counts = _Counts()
    consumer = kafka.make_consumer(settings)
    await kafka.start(consumer, settings)
    try:
        async for found in standing(settings, consumer, wanted, progress):
            if counts.add(found.verdict, target, action) and writer is not None:
                await writer.add(found)
        if writer is not None:
            await writer.flush()
            counts.published = writer.published
    finally:
        if writer is not None:
            await writer.close()
        await kafka.close(consumer)
    return counts


class _Writer:
    """Writes superseding verdicts with the key and into the partition of those that they replace."""

    def __init__(self, settings: Settings, action: Action, reason: str | None) -> None:
        self._settings = settings
        self._action = action
        self._reason = [] if reason is None else [(REASON_HEADER, reason.encode())]
        self._producer: Any = None
        self._waiting: list[Standing] = []
        self.published = 0

    async def add(self, found: Standing) -> None:
        self._waiting.append(found)
        if len(self._waiting) >= _BATCH:
            await self.flush()

    async def flush(self) -> None:
        if self._waiting and self._producer is None:
            producer = kafka.make_producer(self._settings)
            await kafka.start(producer, self._settings)
            self._producer = producer
        # All are awaited, also where one fails: nothing may be on its way once this ends.
        ends = await asyncio.gather(*map(self._send, self._waiting), return_exceptions=True)
        self.published += sum(not isinstance(end, BaseException) for end in ends)
        self._waiting = []
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _send(self, found: Standing) -> None:
        record, verdict = found.record, superseding(found.verdict, self._action)
        value = encode(verdict)
        event = kafka.cloud_event("verdict", self._settings.instance, verdict.verdict_id)
        passed_on = trace_context.passed_on(record.headers)
        await kafka.send(
            self._producer,
            self._settings.topic("verdicts"),
            value,
            key=record.key,
            headers=[*event, *passed_on, *self._reason, content_digest.header(record.key, value)],
            partition=record.partition,
            timeout_s=self._settings.kafka_timeout_s,
        )

    async def close(self) -> None:
        if self._producer is not None:
            await kafka.close(self._producer)
