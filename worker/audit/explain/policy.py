"""Why a verdict says what it says: which part, category and clause decided, and who was in force when. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from msgspec import Struct

from worker.policy.combine import AcceptedPolicy
from worker.policy.history import accepted_of
from worker.policy.model import EffectiveCategory, EffectivePolicy
from worker.records import PLATFORM, Action, HistoryEntry, PolicyPart, Verdict, or_none, stricter
from worker.suppression import Suppression

Rule = Literal[
    "category",
    "default_action",
    "on_failure",
    "review_band",
    "nothing_hit",
    "no_policy",
    "exception",
    "retraction",
]
#: Between a decision and the last worker that hears of it (2 s are promised), and between two clocks.
_HEARD_MS: Final = 5000


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
        action: what the rules give for what the verdict says was hit; a retraction's own for ``retraction``.
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
        replaced_at: when that record was accepted: until then this one judged, golden cases may take minutes.
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
    replaced_at: str | None = None
    in_force: bool | None = None


def deciding(verdict: Verdict, policy: EffectivePolicy | None, calls: int = 1) -> Deciding:
    """Say which rule of a policy gave a verdict's action.

    Args:
        verdict: the verdict.
        policy: the effective policy that it names; None where it was judged under none.
        calls: how many its message needed, or the most that it can have needed.

    """
    replaced = or_none(verdict.supersedes)
    if replaced:
        text = f"a retraction superseded verdict {replaced}; explain that one to see what its policy gave"
        return Deciding(rule="retraction", text=text, action=verdict.action, agrees=True)
    if policy is None:
        text = "no policy was in force for this tenant, nor a floor"
        return Deciding(rule="no_policy", text=text, action="review", agrees=verdict.action == "review")
    hits = _hits(verdict, policy)
    action, rule, text = _strongest(verdict, policy, hits, calls)
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
    verdict: Verdict, policy: EffectivePolicy, hits: Sequence[EffectiveCategory], calls: int
) -> tuple[Action, Rule, str]:
    """Return the strictest of what the rules say; an earlier rule wins a tie (``judge/verdict.py``)."""
    suppressions = or_none(verdict.suppressions) or ()
    said: list[tuple[Action, Rule, str]] = [
        (item.action, "category", f"category {item.id} of {_whose(item.scope)} was hit and asks for {item.action}")
        for item in hits
    ]
    if verdict.status != "judged":
        failure = policy.on_failure(verdict.status)
        said.append((failure, "on_failure", f"it could not be judged ({verdict.status}); on_failure says {failure}"))
    if not any(one.whole for one in suppressions):
        said += _rest(verdict, policy, calls)
    if suppressions:
        said.append(("allow", "exception", _taken_back(suppressions)))
    said.append(("allow", "nothing_hit", "no category was hit"))
    strictest: Action = "allow"
    for action, _, _ in said:
        strictest = stricter(strictest, action)
    return next(one for one in said if one[0] == strictest)


def _rest(verdict: Verdict, policy: EffectivePolicy, calls: int) -> Iterator[tuple[Action, Rule, str]]:
    """Yield what is asked for beside the hits."""
    default = policy.judging.default_action
    if _has_unnamed(verdict, policy, calls):
        text = f"the score reached the lowest threshold and no valid category was named; {default}"
        yield default, "default_action", text
    in_band = _band_in_words(verdict, policy.judging.review_band, calls)
    if in_band:
        yield "review", "review_band", in_band


def _has_unnamed(verdict: Verdict, policy: EffectivePolicy, calls: int) -> bool:
    """Tell whether a call was unsafe without a category; where others hit or failed, only the action can tell."""
    is_default = verdict.action == policy.judging.default_action
    if verdict.status != "judged":
        reached = verdict.score is not None and verdict.score >= policy.lowest_threshold
        return calls > 1 and reached and is_default
    none_hit = not any(item.hit for item in verdict.categories)
    return verdict.label == "unsafe" and (none_hit or (is_default and calls > 1))


def _band_in_words(verdict: Verdict, band: tuple[float, float] | None, calls: int) -> str | None:
    """Say that a score lies in the band; None where none does."""
    if band is None or verdict.score is None:
        return None
    words = f"lies in the review band {band[0]:g} to {band[1]:g}"
    if verdict.status == "judged" and band[0] <= verdict.score <= band[1]:
        return f"the score {words}"
    # The verdict has the highest of several scores; that of a call below it can be told from the action alone.
    may_be = calls > 1 and verdict.score >= band[0] and verdict.action == "review"
    return f"the score of one of its calls {words}" if may_be else None


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
        decided_at=_rfc3339(entry.decided_at),
        decided_by=entry.decided_by,
        from_ms=entry.timestamp,
        until_ms=after.timestamp if after else None,
        replaced_by=after.version if after else None,
        replaced_at=_rfc3339(after.decided_at) if after else None,
        in_force=_heard_ms(entry) - _HEARD_MS <= to_ms and (after is None or from_ms <= _heard_ms(after) + _HEARD_MS),
    )


def _heard_ms(entry: HistoryEntry) -> int:
    """Return when workers go by a decision: golden cases may take minutes from its record on."""
    return max(entry.timestamp, round(entry.decided_at.timestamp() * 1000))


def _rfc3339(time: dt.datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is(entry: HistoryEntry, part: PolicyPart) -> bool:
    same_place = part.offset is None or entry.offset == part.offset
    return entry.decision == "accepted" and entry.digest == part.digest and same_place
