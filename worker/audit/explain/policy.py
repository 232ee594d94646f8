"""Why a verdict says what it says: which part, category and clause decided, and who was in force when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from worker.policy.combine import AcceptedPolicy
from worker.policy.history import accepted_of
from worker.policy.model import EffectiveCategory, EffectivePolicy
from worker.records import PLATFORM, Action, HistoryEntry, PolicyPart, Verdict, or_none, stricter
from worker.suppression import Suppression

Rule = Literal["category", "default_action", "on_failure", "review_band", "nothing_hit", "no_policy", "exception"]


class DecidingClause(Struct, frozen=True, kw_only=True):
    """A clause that the model cited; ``kind`` is ``violates`` or ``allowed``."""

    id: str
    kind: Literal["violates", "allowed"]
    text: str


class DecidingCategory(Struct, frozen=True, kw_only=True):
    """A category that decided: whose it is, what it asks for, and its clauses that were cited."""

    scope: str
    id: str
    name: str
    definition: str
    severity: str
    threshold: float
    action: Action
    clauses: tuple[DecidingClause, ...]


class Deciding(Struct, frozen=True, kw_only=True):
    """What decided a verdict.

    Attributes:
        rule: which rule of the policy gave the action.
        text: the same as a sentence.
        action: what the rules give for what the verdict says was hit.
        agrees: whether that is the verdict's action.
        categories: for the rule ``category``, those whose action won.

    """

    rule: Rule
    text: str
    action: Action
    agrees: bool
    categories: tuple[DecidingCategory, ...] = ()


class PartStory(Struct, frozen=True, kw_only=True):
    """One policy record behind a verdict, and when it was in force.

    Attributes:
        scope, version, digest, offset: as the verdict names it.
        title, author, reason: what its record says.
        decided_at, decided_by: when and which worker accepted it; null where the history has no such entry.
        from_ms, until_ms: Kafka's time of its record and of the record that replaced it; null while in force.
        replaced_by: version of that record; null for a tombstone.
        in_force: whether it was in force at some moment between the message and its verdict.

    """

    scope: str
    version: int
    digest: str
    offset: int | None
    title: str | None = None
    author: str | None = None
    reason: str | None = None
    decided_at: str | None = None
    decided_by: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    replaced_by: int | None = None
    in_force: bool | None = None


def deciding(verdict: Verdict, policy: EffectivePolicy | None) -> Deciding:
    """Say which rule of a policy gave a verdict's action.

    Args:
        verdict: the verdict.
        policy: the effective policy that it names; None where it was judged under none.

    """
    if policy is None:
        text = "no policy was in force for this tenant, nor a floor"
        return Deciding(rule="no_policy", text=text, action="review", agrees=verdict.action == "review")
    hits = _hits(verdict, policy)
    action, rule, text = _strongest(verdict, policy, hits)
    winners = [item for item in hits if item.action == action] if rule == "category" else []
    return Deciding(
        rule=rule,
        text=text,
        action=action,
        agrees=action == verdict.action,
        categories=tuple(_described(item, verdict.clauses) for item in winners),
    )


def _hits(verdict: Verdict, policy: EffectivePolicy) -> list[EffectiveCategory]:
    """Return the categories that were hit and that no exception took back."""
    taken = {name for one in or_none(verdict.suppressions) or () for name in one.categories}
    hit = {(item.scope, item.id) for item in verdict.categories if item.hit and f"{item.scope}:{item.id}" not in taken}
    return [item for item in policy.judging.categories if (item.scope, item.id) in hit]


def _strongest(
    verdict: Verdict, policy: EffectivePolicy, hits: Sequence[EffectiveCategory]
) -> tuple[Action, Rule, str]:
    """Return the strictest of what the rules say; an earlier rule wins a tie (``judge/verdict.py``)."""
    suppressions = or_none(verdict.suppressions) or ()
    rest = not any(one.whole for one in suppressions)
    any_hit = any(item.hit for item in verdict.categories)
    said: list[tuple[Action, Rule, str]] = [
        (item.action, "category", f"category {item.id} of {_whose(item.scope)} was hit and asks for {item.action}")
        for item in hits
    ]
    judged, judging = verdict.status == "judged", policy.judging
    if not judged:
        failure = policy.on_failure(verdict.status)
        said.append((failure, "on_failure", f"it could not be judged ({verdict.status}); on_failure says {failure}"))
    if rest and verdict.label == "unsafe" and (not any_hit or verdict.action == judging.default_action):
        text = f"the score reached the lowest threshold and no valid category was named; {judging.default_action}"
        said.append((judging.default_action, "default_action", text))
    band = judging.review_band
    if rest and judged and band is not None and verdict.score is not None and band[0] <= verdict.score <= band[1]:
        said.append(("review", "review_band", f"the score lies in the review band {band[0]:g} to {band[1]:g}"))
    if suppressions:
        said.append(("allow", "exception", _taken_back(suppressions)))
    said.append(("allow", "nothing_hit", "no category was hit"))
    strictest: Action = "allow"
    for action, _, _ in said:
        strictest = stricter(strictest, action)
    return next(one for one in said if one[0] == strictest)


def _taken_back(suppressions: Iterable[Suppression]) -> str:
    told = [
        f"exception {one.exception} of {one.owner} took back {', '.join(one.categories) or 'the rest'}"
        for one in suppressions
    ]
    return "; ".join(told)


def _whose(scope: str) -> str:
    return "the platform's floor" if scope == PLATFORM else scope


def _described(item: EffectiveCategory, cited: Iterable[str]) -> DecidingCategory:
    wanted = set(cited)
    pairs = [("violates", clause) for clause in item.violates] + [("allowed", clause) for clause in item.allowed]
    clauses = tuple(
        DecidingClause(
            id=f"{item.id}/{clause.id}", kind="violates" if kind == "violates" else "allowed", text=clause.text
        )
        for kind, clause in pairs
        if f"{item.id}/{clause.id}" in wanted
    )
    return DecidingCategory(
        scope=item.scope,
        id=item.id,
        name=item.name,
        definition=item.definition,
        severity=item.severity,
        threshold=item.threshold,
        action=item.action,
        clauses=clauses,
    )


def first_words(entries: Iterable[HistoryEntry]) -> list[HistoryEntry]:
    """Return the decision that counts about each record: the first in the log."""
    first: dict[tuple[int, int], HistoryEntry] = {}
    for entry in entries:
        first.setdefault((entry.offset, entry.timestamp), entry)
    return list(first.values())


def stories(
    parts: Iterable[PolicyPart], entries: Sequence[HistoryEntry], from_ms: int | None, to_ms: int
) -> list[PartStory]:
    """Tell when each part of a policy was in force.

    Args:
        parts: as the verdict names them.
        entries: decisions, only the one that counts of each record, in the log's order.
        from_ms: Kafka's time of the message.
        to_ms: Kafka's time of the verdict.

    """
    return [_story(part, entries, to_ms if from_ms is None else from_ms, to_ms) for part in parts]


def _story(part: PolicyPart, entries: Sequence[HistoryEntry], from_ms: int, to_ms: int) -> PartStory:
    own = sorted(
        (one for one in entries if one.scope == part.scope and one.decision != "refused"),
        key=lambda one: (one.timestamp, one.offset),
    )
    at = next((index for index, one in enumerate(own) if _is(one, part)), None)
    if at is None:
        return PartStory(scope=part.scope, version=part.version, digest=part.digest, offset=part.offset)
    entry, after = own[at], own[at + 1] if at + 1 < len(own) else None
    accepted: AcceptedPolicy | None = accepted_of(entry)
    policy = accepted.policy if accepted else None
    return PartStory(
        scope=part.scope,
        version=part.version,
        digest=part.digest,
        offset=part.offset,
        title=policy.title if policy else None,
        author=or_none(policy.author) if policy else None,
        reason=or_none(policy.reason) if policy else None,
        decided_at=entry.decided_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        decided_by=entry.decided_by,
        from_ms=entry.timestamp,
        until_ms=after.timestamp if after else None,
        replaced_by=after.version if after else None,
        in_force=entry.timestamp <= to_ms and (after is None or after.timestamp >= from_ms),
    )


def _is(entry: HistoryEntry, part: PolicyPart) -> bool:
    same_place = part.offset is None or entry.offset == part.offset
    return entry.decision == "accepted" and entry.digest == part.digest and same_place
