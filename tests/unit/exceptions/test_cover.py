"""What an exception takes back of a verdict: by table, and what must hold of any."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tests.support.excepting import incoming, plain
from tests.support.judging import category
from worker.exceptions.accept import Accepted, accept
from worker.judge.judgement import Finding, Judgement
from worker.judge.verdict import decide, suppressed_by
from worker.policy.model import EffectivePolicy, Judging
from worker.records import ACTIONS, PolicyPart, stricter

FLOOR: Final = category("F", "platform", action="block")
OWN: Final = category("A", "acme", action="hold")
LOBBY: Final = category("L", "acme/lobby", action="label")
PAIRS: Final = {"F": ("platform", "F"), "A": ("acme", "A"), "L": ("acme/lobby", "L")}


def policy(*categories: Any, floor: bool = True, **judging: Any) -> EffectivePolicy:
    """Return a policy of floor, tenant and channel, or of the tenant alone."""
    chosen = categories or ((FLOOR, OWN, LOBBY) if floor else (OWN, LOBBY))
    scopes = ("platform", "acme") if floor else ("acme",)
    parts = tuple(PolicyPart(scope=scope, version=1, digest="d", offset=0) for scope in scopes)
    return EffectivePolicy(judging=Judging(categories=chosen, **judging), parts=parts)


def permit(scope: str, *categories: str, name: str = "x") -> Accepted:
    """Return an exception of a scope."""
    more = {"tenant_id": "acme"} if scope == "*" else {}
    return accept(incoming(plain(scope, name, author_id="u1", categories=list(categories), **more)), None)


def judged(*cited: str, score: float = 0.9, unnamed: bool = False) -> Judgement:
    """Return a judgement that cites categories."""
    pairs = tuple(PAIRS[one] for one in cited)
    return Judgement(
        status="judged", score=score, cited=pairs, findings=(Finding(score=score, cited=pairs, unnamed=unnamed),)
    )


TENANT, PLATFORM = permit("acme"), permit("*")

TABLE: Final[dict[str, tuple[Judgement, EffectivePolicy, list[Accepted], str, list[list[str]]]]] = {
    "nothing is excepted": (judged("A"), policy(), [], "hold", []),
    "nothing is hit": (judged(score=0.1), policy(), [PLATFORM], "allow", []),
    "the tenant's own": (judged("A"), policy(), [TENANT], "allow", [["acme:A"]]),
    "the tenant's, in a channel": (judged("A", "L"), policy(), [TENANT], "allow", [["acme:A", "acme/lobby:L"]]),
    "a category by name": (judged("A", "L"), policy(), [permit("acme", "A")], "label", [["acme:A"]]),
    "another category by name": (judged("A"), policy(), [permit("acme", "L")], "hold", []),
    "the floor stands": (judged("F", "A"), policy(), [TENANT], "block", [["acme:A"]]),
    "the floor alone stands": (judged("F"), policy(), [TENANT], "block", []),
    "one that names the floor is void": (judged("F", "A"), policy(), [permit("acme", "F", "A")], "block", []),
    "without that floor it is not": (
        judged("A"),
        policy(floor=False),
        [permit("acme", "F", "A")],
        "allow",
        [["acme:A"]],
    ),
    "the platform's takes the floor back": (judged("F", "A"), policy(), [permit("*", "F")], "hold", [["platform:F"]]),
    "the platform's takes all back": (judged("F", "A"), policy(), [PLATFORM], "allow", [["platform:F", "acme:A"]]),
    "each hit is taken back once": (
        judged("F", "A"),
        policy(),
        [permit("*", "A"), TENANT, PLATFORM],
        "allow",
        [["acme:A"], ["platform:F"]],
    ),
    "the default action stands under a floor": (
        judged(unnamed=True),
        policy(default_action="hold"),
        [TENANT],
        "hold",
        [],
    ),
    "the default action of a tenant alone": (judged(unnamed=True), policy(floor=False), [TENANT], "allow", [[]]),
    "a named category is not the default action": (
        judged(unnamed=True),
        policy(floor=False),
        [permit("acme", "A")],
        "review",
        [],
    ),
    "the platform's takes the default action back": (judged(unnamed=True), policy(), [PLATFORM], "allow", [[]]),
    "the review band stands under a floor": (
        judged("A", score=0.6),
        policy(review_band=(0.5, 0.7)),
        [TENANT],
        "review",
        [["acme:A"]],
    ),
    "the platform's takes the review band back": (
        judged("A", score=0.6),
        policy(review_band=(0.5, 0.7)),
        [PLATFORM],
        "allow",
        [["acme:A"]],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_by_table(case: str) -> None:
    """Action and what was taken back; everything else is as without exceptions."""
    judgement, under, permits, action, taken = TABLE[case]

    found, without = decide(judgement, under, permits), decide(judgement, under)

    assert (found.action, [list(one.categories) for one in found.suppressions]) == (action, taken)
    assert (found.status, found.label, found.categories) == (without.status, without.label, without.categories)
    assert without.suppressions == ()
    changed = found.action != without.action
    assert suppressed_by(found) == (found.suppressions[0].exception if changed else UNSET)


@pytest.mark.parametrize("status", ["timeout", "truncated", "engine_error", "too_long"])
def test_a_failure_is_never_excepted(status: Any) -> None:
    """What could not be judged gets the policy's action, whatever is allowed; hits of other calls are taken back."""
    failed = Judgement(status=status, findings=(Finding(score=0.9, cited=(PAIRS["F"],)),))
    under = policy(on_failure={status: "hold"})

    assert decide(failed, under).action == "block"
    assert decide(failed, under, [PLATFORM]).action == "hold"


_SCOPES: Final = st.sampled_from(["*", "acme", "acme/lobby"])
_IDS: Final = st.lists(st.sampled_from(["F", "A", "L"]), unique=True, max_size=3)
_PERMITS: Final = st.lists(st.tuples(_SCOPES, _IDS), max_size=4)
_ACTION: Final = st.sampled_from(ACTIONS)


@given(_PERMITS, _IDS, st.tuples(_ACTION, _ACTION, _ACTION), st.booleans(), st.booleans(), st.booleans())
def test_what_holds_for_any(
    made: list[tuple[str, list[str]]],
    cited: list[str],
    actions: tuple[Any, Any, Any],
    floor: bool,  # noqa: FBT001
    unnamed: bool,  # noqa: FBT001
    band: bool,  # noqa: FBT001
) -> None:
    """Never stricter, nothing but the action changes, and no tenant's exception goes below what the floor asks."""
    pairs = zip((FLOOR, OWN, LOBBY), actions, strict=True)
    categories = [category(one.id, one.scope, action=action) for one, action in pairs]
    under = policy(*(categories if floor else categories[1:]), floor=floor, review_band=(0.8, 1.0) if band else None)
    judgement = judged(*(one for one in cited if floor or one != "F"), unnamed=unnamed)
    permits = [permit(scope, *ids, name=f"x{n}") for n, (scope, ids) in enumerate(made)]
    without = decide(judgement, under)

    found = decide(judgement, under, permits)
    of_tenants = decide(judgement, under, [one for one in permits if not one.is_platform])

    assert stricter(found.action, without.action) == without.action
    assert (found.label, found.categories) == (without.label, without.categories)
    taken = [name for one in found.suppressions for name in one.categories]
    assert len(taken) == len(set(taken))
    assert set(taken) <= {f"{one.scope}:{one.id}" for one in without.categories if one.hit}
    if floor:
        owed = [actions[0]] if "F" in cited else []
        owed += ["review"] if unnamed or band else []
        assert all(stricter(of_tenants.action, one) == of_tenants.action for one in owed)
