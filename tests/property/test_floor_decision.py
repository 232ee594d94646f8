"""Whatever a tenant writes, and whatever the model says to it, the floor's word is not made milder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, structs

from tests.property.test_combine import FLOORS, policies, under
from worker.judge.judgement import UNSPOKEN, Finding, Judgement
from worker.judge.merge import merge
from worker.judge.verdict import decide
from worker.policy.model import Call, EffectivePolicy
from worker.records import ACTIONS, PLATFORM, Category, Policy

SCORES = st.sampled_from([0.0, 0.2, 0.45, 0.5, 0.55, 0.8, 1.0])
LANGUAGES = st.sampled_from([None, "de", "en", "en-GB", "fr", "it"])
#: Floors that are asked in a call of their own.
SEPARATE = st.builds(
    lambda one, band: structs.replace(
        one, floor_mode=UNSET, review_band=band, categories=one.categories or (Category(id="U1", name="name"),)
    ),
    FLOORS,
    st.sampled_from([UNSET, (0.4, 0.6), (0.0, 0.5)]),
)


def is_floors(call: Call) -> bool:
    """Tell whether a call asks for nothing but the floor."""
    scopes = {one.scope for one in call.panel.categories} | {one.scope for one in call.panel.prose}
    return scopes == {PLATFORM}


def said_to(call: Call, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Judgement:
    """Draw what the model says to a call."""
    if draw(st.sampled_from([True, False, False, False])):
        return Judgement(status=draw(st.sampled_from(["timeout", "too_long", "truncated"])))
    pairs = [(one.scope, one.id) for one in call.panel.categories]
    cited = tuple(pair for pair in pairs if draw(st.booleans()))
    score = draw(SCORES)
    return Judgement(status="judged", score=score, cited=cited, findings=(Finding(score=score, cited=cited),))


def at_thresholds(judgement: Judgement, policy: EffectivePolicy) -> Judgement:
    """Say of a call without a category whether its score reaches the lowest threshold, as the judge does."""
    lowest = min((one.threshold for one in policy.judging.categories if one.scope == PLATFORM), default=1.1)
    unnamed = [structs.replace(one, unnamed=not one.cited and one.score >= lowest) for one in judgement.findings]
    return structs.replace(judgement, findings=tuple(unnamed))


def action(policy: EffectivePolicy, language: str | None, floors: Judgement, others: list[Judgement]) -> str:
    """Return what a policy makes of the floor's call and the others."""
    said = [at_thresholds(floors, policy), *others]
    return decide(merge(said if policy.speaks(language) else [*said, UNSPOKEN]), policy).action


@settings(max_examples=4 * settings().max_examples)
@given(SEPARATE, policies(), LANGUAGES, st.data())
def test_no_tenant_makes_what_follows_from_the_floors_call_milder(
    floor: Policy, tenant: Policy, language: str | None, data: st.DataObject
) -> None:
    """A hit, a score in the floor's band or a failure asks for as much with a tenant's policy beside it as alone."""
    alone, both = under(floor, None, None), under(floor, tenant, None)
    assert alone is not None
    assert both is not None
    calls = both.calls_for(language)
    floors = [call for call in alone.calls_for(language) if is_floors(call)]
    assert len(floors) == sum(map(is_floors, calls)) == int(alone.speaks(language))
    if floors:
        answer = said_to(floors[0], data.draw)
        others = [said_to(call, data.draw) for call in calls if not is_floors(call)]
        before, after = action(alone, language, answer, []), action(both, language, answer, others)
        assert ACTIONS.index(after) >= ACTIONS.index(before)
