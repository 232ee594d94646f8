"""What an exception takes back of a verdict: each scope its own, and the floor only by the platform's word. Pure.

* A tenant's exception covers categories of the tenant and its channels. One that names a category of
  the floor has no effect at all under that floor.
* The platform's (``*``) covers every category.
* What no category stands for (the default action, the review band) is covered by an exception that names
  no category, and by a tenant's only where the policy has no floor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from worker.exceptions.accept import Accepted
from worker.policy.model import EffectiveCategory, EffectivePolicy
from worker.records import PLATFORM
from worker.suppression import Suppression


def suppress(
    hits: Sequence[EffectiveCategory], policy: EffectivePolicy, permits: Iterable[Accepted], *, rest: bool
) -> tuple[Suppression, ...]:
    """Return what exceptions take back, in their order; each hit is taken back once, by the first that covers it.

    Args:
        hits: categories that are hit.
        policy: what the message was judged under.
        permits: the exceptions that the message falls under.
        rest: whether something beside the hits asks for an action: the default action or the review band.

    """
    found = []
    left = list(hits)
    for one in permits:
        taken = [item for item in left if covers(one, item, policy)]
        whole = rest and covers_rest(one, policy)
        if taken or whole:
            found.append(_suppression(one, taken, whole=whole))
            left = [item for item in left if item not in taken]
            rest = rest and not whole
    return tuple(found)


def covers(one: Accepted, category: EffectiveCategory, policy: EffectivePolicy) -> bool:
    """Tell whether an exception takes a hit of a category back."""
    if is_void(one, floor_ids(policy)):
        return False
    named = one.record.categories
    return (one.is_platform or category.scope != PLATFORM) and (not named or category.id in named)


def covers_rest(one: Accepted, policy: EffectivePolicy) -> bool:
    """Tell whether an exception takes back what no category stands for."""
    has_floor = any(part.scope == PLATFORM for part in policy.parts) or bool(floor_ids(policy))
    return not one.record.categories and (one.is_platform or not has_floor)


def floor_ids(policy: EffectivePolicy | None) -> frozenset[str]:
    """Return the ids of the floor's categories in a policy."""
    return frozenset(item.id for item in policy.judging.categories if item.scope == PLATFORM) if policy else frozenset()


def is_void(one: Accepted, floor: frozenset[str]) -> bool:
    """Tell whether an exception of a tenant names a category of the floor: then it allows nothing."""
    return not one.is_platform and not floor.isdisjoint(one.record.categories)


def _suppression(one: Accepted, taken: Iterable[EffectiveCategory], *, whole: bool) -> Suppression:
    return Suppression(
        exception=one.key,
        digest=one.digest,
        owner=one.record.owner,
        categories=tuple(f"{item.scope}:{item.id}" for item in taken),
        whole=whole,
    )
