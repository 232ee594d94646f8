"""Platform floor, tenant and channel become the one policy that a message is judged under. Pure.

Who may say what:

* **The floor only gets stricter.** Its categories are always there. Tenant and channel can raise
  their action and severity and lower their threshold; the strictest of all parts counts, also where
  the floor was tightened after the tenant's record was accepted.
* **A tenant's own categories are its own.** A channel's category replaces the tenant's of the same id,
  stricter or milder: both records belong to the same tenant. New ids are added.
* **What a part leaves out, it leaves to the others.** Where several speak: the strictest action on
  failure, default action and reasoning, the most private trace, the widest review band, the languages
  that all of them name, the rungs of the overload ladder that any of them refuses.
* **The floor's call is asked as the floor says**: reasoning, band and languages of the floor's record, with
  the defaults where it is silent, so that nobody else decides how thoroughly the floor is judged.
* **Floor apart** (``floor_mode``): joined only where the platform says so and nobody asks for
  ``separate``, since prose of a tenant can talk a model out of what stands in the same prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final, TypeVar, get_args

from msgspec import UNSET, Struct, UnsetType, structs

from worker.policy.model import (
    ANY_LANGUAGE,
    DEFAULT_ACTION,
    DEFAULT_SEVERITY,
    DEFAULT_THRESHOLD,
    REASONINGS,
    Asking,
    EffectiveCategory,
    EffectivePolicy,
    Judging,
    Prose,
    record_digest,
)
from worker.records import (
    ACTIONS,
    PLATFORM,
    SEVERITIES,
    Action,
    Category,
    FloorMode,
    Policy,
    PolicyPart,
    Rung,
    Status,
    TraceLevel,
    stricter,
)

#: Stands for "no language at all" where the parts have none in common: an empty list means all
#: languages, and this matches no language tag, so each message ends as ``language_unsupported``.
NO_LANGUAGE: Final = ("-",)
#: From open to private; the later wins.
_TRACE: Final[tuple[TraceLevel, ...]] = ("full", "redacted", "none")

#: What a part means about a failure that it does not name.
DEFAULT_FAILURE: Final[Action] = "review"

T = TypeVar("T")


class AcceptedPolicy(Struct, frozen=True, kw_only=True):
    """A policy record that may come into force, with its place in ``policies``."""

    scope: str
    policy: Policy
    digest: str
    offset: int | None


def unpublished(scope: str, policy: Policy) -> AcceptedPolicy:
    """Return a record as if a worker had accepted it for a key; it stands nowhere in ``policies``."""
    return AcceptedPolicy(scope=scope, policy=policy, digest=record_digest(policy), offset=None)


def as_if_in_force(scope: str, policy: Policy, floor: Policy | None = None) -> EffectivePolicy:
    """Return what a key's messages would be judged under; the floor itself stands alone."""
    own = unpublished(scope, policy)
    base = unpublished(PLATFORM, floor) if floor is not None and scope != PLATFORM else None
    combined = combine(own, None, None) if scope == PLATFORM else combine(base, own, None)
    # One part gives a policy always.
    assert combined is not None
    return combined


def combine(
    floor: AcceptedPolicy | None, tenant: AcceptedPolicy | None, channel: AcceptedPolicy | None
) -> EffectivePolicy | None:
    """Combine up to three records; None where there is none at all.

    Parts, categories and prose stand in the order floor, tenant, channel, each in its author's order.
    A category that has only an id because the floor once had it is left out when the floor drops it.
    """
    parts = [part for part in (floor, tenant, channel) if part is not None]
    if not parts:
        return None
    policies = [part.policy for part in parts]
    default: Action = _strictest((one.default_action for one in policies), ACTIONS, DEFAULT_ACTION)
    judging = Judging(
        categories=_categories(floor, tenant, channel),
        prose=tuple(Prose(scope=part.scope, text=part.policy.text) for part in parts if part.policy.text),
        default_action=default,
        on_failure=_on_failure(policies, silent="allow" if floor is None else DEFAULT_FAILURE),
        reasoning=_strictest((one.reasoning for one in policies), REASONINGS, "always"),
        review_band=_widest([one.review_band for one in policies if one.review_band is not UNSET]),
        trace=_strictest((one.trace for one in policies), _TRACE, "full"),
        languages=_common([one.languages for one in policies if one.languages]),
        floor_mode=_floor_mode(floor, policies),
        refuse_rungs=_refused(policies) or UNSET,
    )
    judging = judging if floor is None else structs.replace(judging, floor=_floor_asking(floor.policy, judging))
    return EffectivePolicy(judging=judging, parts=tuple(_part(part) for part in parts))


def _floor_asking(floor: Policy, judging: Judging) -> Asking | UnsetType:
    """Return how the floor asks; unset where it has no words to ask about, or all parts together ask so too."""
    asking = Asking(
        reasoning=floor.reasoning or "always",
        review_band=floor.review_band or None,
        languages=floor.languages or (),
    )
    together = Asking(reasoning=judging.reasoning, review_band=judging.review_band, languages=judging.languages)
    has_words = bool(floor.categories or floor.text)
    return asking if has_words and asking != together else UNSET


def _part(accepted: AcceptedPolicy) -> PolicyPart:
    return PolicyPart(
        scope=accepted.scope, version=accepted.policy.version, digest=accepted.digest, offset=accepted.offset
    )


def _categories(
    floor: AcceptedPolicy | None, tenant: AcceptedPolicy | None, channel: AcceptedPolicy | None
) -> tuple[EffectiveCategory, ...]:
    floor_ids = {item.id for item in floor.policy.categories} if floor else set()
    channel_ids = {item.id for item in channel.policy.categories if item.name is not UNSET} if channel else set()
    others = [item for part in (tenant, channel) if part for item in part.policy.categories]
    return (
        *_of_floor(floor, others),
        *_own(tenant, floor_ids | channel_ids),
        *_own(channel, floor_ids),
    )


def _of_floor(floor: AcceptedPolicy | None, others: Sequence[Category]) -> list[EffectiveCategory]:
    if floor is None:
        return []
    return [
        _tightened(item, floor.scope, [other for other in others if other.id == item.id])
        for item in floor.policy.categories
    ]


def _own(part: AcceptedPolicy | None, taken: set[str]) -> list[EffectiveCategory]:
    if part is None:
        return []
    return [
        _tightened(item, part.scope, [])
        for item in part.policy.categories
        if item.id not in taken and item.name is not UNSET
    ]


def _tightened(category: Category, scope: str, others: Sequence[Category]) -> EffectiveCategory:
    """Fill in what was left out, and take the strictest of what all say."""
    said = (effective(category), *others)
    thresholds = [item.threshold for item in said if item.threshold is not UNSET]
    return EffectiveCategory(
        scope=scope,
        id=category.id,
        name=category.name or "",
        definition=category.definition or "",
        violates=category.violates or (),
        allowed=category.allowed or (),
        severity=_strictest((item.severity for item in said), SEVERITIES, DEFAULT_SEVERITY),
        threshold=min(thresholds, default=DEFAULT_THRESHOLD),
        action=_strictest((item.action for item in said), ACTIONS, DEFAULT_ACTION),
    )


def effective(category: Category) -> Category:
    """Return what a category means where it leaves severity, threshold or action out."""
    return Category(
        id=category.id,
        severity=DEFAULT_SEVERITY if category.severity is UNSET else category.severity,
        threshold=DEFAULT_THRESHOLD if category.threshold is UNSET else category.threshold,
        action=DEFAULT_ACTION if category.action is UNSET else category.action,
    )


def _strictest(said: Iterable[T | UnsetType], order: Sequence[T], default: T) -> T:
    """Return the value that stands last in ``order``, or the default where nobody says one."""
    return max((one for one in said if one is not UNSET), key=order.index, default=default)


def _on_failure(policies: Sequence[Policy], *, silent: Action) -> dict[Status, Action]:
    """Return the strictest action for each status that any part names.

    The first part is the floor where there is one; of what it leaves out it says ``silent``, or a tenant
    could have a failure called safe: no language that the floor judges, and ``allow`` for the status.
    """
    floor = policies[0].on_failure or {}
    strictest: dict[Status, Action] = {}
    for policy in policies:
        for status, action in (policy.on_failure or {}).items():
            said = strictest.get(status, floor.get(status, silent))
            strictest[status] = stricter(said, action)
    return strictest


def _refused(policies: Sequence[Policy]) -> tuple[Rung, ...]:
    """Return the rungs that any part refuses."""
    said = {rung for policy in policies for rung in policy.refuse_rungs or ()}
    return tuple(rung for rung in get_args(Rung) if rung in said)


def _widest(bands: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    return (min(low for low, _ in bands), max(high for _, high in bands)) if bands else None


def _common(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the languages that every part names, in the first one's order; empty means all."""
    if not lists:
        return ()
    return reduce(_both, lists) or NO_LANGUAGE


def _both(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Return what two lists of language ranges share; ``en``, ``en-GB`` and ``*`` share ``en-GB`` (RFC 4647)."""
    shared = [narrower for one in first for other in second if (narrower := _narrower(one, other))]
    return tuple(dict.fromkeys(shared))


def _narrower(one: str, other: str) -> str | None:
    mine, theirs = one.casefold(), other.casefold()
    if theirs in {mine, ANY_LANGUAGE} or mine.startswith(theirs + "-"):
        return one
    return other if mine == ANY_LANGUAGE or theirs.startswith(mine + "-") else None


def _floor_mode(floor: AcceptedPolicy | None, policies: Sequence[Policy]) -> FloorMode:
    joined = floor is not None and floor.policy.floor_mode == "joined"
    return "joined" if joined and all(one.floor_mode != "separate" for one in policies) else "separate"
