"""Combining policies: whatever tenants write, the floor stands."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tests.support.policies import accepted
from worker.policy.combine import NO_LANGUAGE, combine
from worker.policy.model import EffectiveCategory, EffectivePolicy, Judging, record_digest
from worker.records import ACTIONS, SEVERITIES, Category, Clause, Policy, Status, canonical_json, decode_policy

IDS = st.sampled_from(["U1", "U7", "A", "B", "C"])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
STATUSES: list[Status] = ["timeout", "too_long", "overloaded", "truncated"]


def perhaps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a value, or nothing at all."""
    return st.just(UNSET) | values


CLAUSES = st.lists(st.builds(Clause, id=IDS, text=WORDS), max_size=2, unique_by=lambda one: one.id).map(tuple)
CATEGORIES = st.builds(
    Category,
    id=IDS,
    name=perhaps(WORDS),
    definition=perhaps(WORDS),
    violates=perhaps(CLAUSES),
    allowed=perhaps(CLAUSES),
    severity=perhaps(st.sampled_from(SEVERITIES)),
    threshold=perhaps(st.floats(0, 1)),
    action=perhaps(st.sampled_from(ACTIONS)),
)
BANDS = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda band: (min(band), max(band)))


def policies(categories: st.SearchStrategy[Category] = CATEGORIES) -> st.SearchStrategy[Policy]:
    """Draw policy records with anything that their types allow."""
    return st.builds(
        Policy,
        title=WORDS,
        version=st.integers(1, 9),
        categories=st.lists(categories, max_size=4, unique_by=lambda one: one.id).map(tuple),
        text=perhaps(WORDS),
        default_action=perhaps(st.sampled_from(["review", "hold", "block"])),
        on_failure=perhaps(st.dictionaries(st.sampled_from(STATUSES), st.sampled_from(ACTIONS))),
        reasoning=perhaps(st.sampled_from(["always", "when_unsure", "never"])),
        review_band=perhaps(BANDS),
        trace=perhaps(st.sampled_from(["full", "redacted", "none"])),
        languages=perhaps(
            st.lists(st.sampled_from(["de", "en", "EN-gb", "fr", "*"]), max_size=3, unique=True).map(tuple)
        ),
        floor_mode=perhaps(st.sampled_from(["separate", "joined"])),
        author=perhaps(WORDS),
        reason=perhaps(WORDS),
    )


FLOORS = policies(CATEGORIES.map(lambda one: msgspec.structs.replace(one, name=one.name or "name")))


def under(floor: Policy | None, tenant: Policy | None, channel: Policy | None) -> EffectivePolicy | None:
    """Combine records of one tenant's channel."""
    return combine(
        accepted("platform", floor, 0) if floor else None,
        accepted("acme", tenant, 1) if tenant else None,
        accepted("acme/lobby", channel, 2) if channel else None,
    )


def not_milder(before: EffectiveCategory, after: EffectiveCategory) -> bool:
    """Tell whether a category still says the same and is at least as strict."""
    same = msgspec.structs.replace(after, severity=before.severity, threshold=before.threshold, action=before.action)
    return (
        same == before
        and SEVERITIES.index(after.severity) >= SEVERITIES.index(before.severity)
        and ACTIONS.index(after.action) >= ACTIONS.index(before.action)
        and after.threshold <= before.threshold
    )


@given(FLOORS, policies() | st.none(), policies() | st.none())
def test_nobody_can_loosen_the_floor(floor: Policy, tenant: Policy | None, channel: Policy | None) -> None:
    """Not even records that were accepted before the floor said what it says now."""
    alone, together = under(floor, None, None), under(floor, tenant, channel)
    assert alone is not None
    assert together is not None
    count = len(alone.judging.categories)
    pairs = zip(alone.judging.categories, together.judging.categories[:count], strict=True)
    assert all(not_milder(before, after) for before, after in pairs)
    assert ACTIONS.index(together.judging.default_action) >= ACTIONS.index(alone.judging.default_action)
    for status, action in alone.judging.on_failure.items():
        assert ACTIONS.index(together.on_failure(status)) >= ACTIONS.index(action)
    assert together.judging.floor_mode == "separate" or alone.judging.floor_mode == "joined"
    assert together.judging.prose[: len(alone.judging.prose)] == alone.judging.prose
    if alone.judging.review_band and together.judging.review_band:
        low, high = alone.judging.review_band
        assert together.judging.review_band[0] <= low <= high <= together.judging.review_band[1]
    spoken = together.judging.languages
    assert not alone.judging.languages or spoken == NO_LANGUAGE or all(speaks(alone, language) for language in spoken)


def speaks(effective: EffectivePolicy, language: str) -> bool:
    """Tell whether a policy takes a language, as the data plane reads its list."""
    ranges = [one.casefold() for one in effective.judging.languages]
    return any(one in {"*", language.casefold()} or language.casefold().startswith(one + "-") for one in ranges)


@given(FLOORS | st.none(), policies() | st.none(), policies() | st.none())
def test_ids_are_unique_and_named(floor: Policy | None, tenant: Policy | None, channel: Policy | None) -> None:
    """A verdict's category id means one category, and each has a scope that is a part."""
    effective = under(floor, tenant, channel)
    if effective is None:
        assert (floor, tenant, channel) == (None, None, None)
        return
    ids = [one.id for one in effective.judging.categories]
    assert len(ids) == len(set(ids))
    assert {one.scope for one in effective.judging.categories} <= {part.scope for part in effective.parts}


@given(policies(), policies())
def test_the_digest_is_of_what_judges(tenant: Policy, channel: Policy) -> None:
    """Version, author, reason and time change neither digest; combining twice gives the same."""
    later = msgspec.structs.replace(
        tenant,
        version=tenant.version + 1,
        author="new",
        reason="new",
        updated_at=dt.datetime(2025, 6, 1, tzinfo=dt.UTC),
    )
    before, after = under(None, tenant, channel), under(None, later, channel)
    assert before is not None
    assert after is not None
    assert record_digest(tenant) == record_digest(later)
    assert before.digest == after.digest
    assert before.judging == after.judging
    again = under(None, tenant, channel)
    assert again is not None
    assert again.digest == before.digest


@given(policies(), policies(), policies())
def test_different_judging_has_a_different_digest(one: Policy, other: Policy, channel: Policy) -> None:
    """Equal digests mean equal policies, and the other way round."""
    first, second = under(None, one, channel), under(None, other, channel)
    assert first is not None
    assert second is not None
    equal_bytes = canonical_json(first.judging) == canonical_json(second.judging)
    assert (first.digest == second.digest) == equal_bytes


@given(FLOORS, policies())
def test_canonical_json_reads_back(floor: Policy, tenant: Policy) -> None:
    """What is digested is the whole of what judges, for records and for effective policies."""
    effective = under(floor, tenant, None)
    assert effective is not None
    assert msgspec.json.decode(canonical_json(effective.judging), type=Judging) == effective.judging
    assert decode_policy(canonical_json(tenant)) == tenant
