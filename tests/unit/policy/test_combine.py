"""What a message is judged under when floor, tenant and channel speak."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from tests.support.policies import accepted, category, clause, policy
from worker.policy.combine import NO_LANGUAGE, AcceptedPolicy, combine
from worker.policy.model import UNSURE, Asking, EffectiveCategory, EffectivePolicy, Judging, Prose
from worker.records import Policy, canonical_json


def floor(record: Policy) -> AcceptedPolicy:
    """Return a record in force as the platform's."""
    return accepted("platform", record, 0)


def tenant(record: Policy) -> AcceptedPolicy:
    """Return a record in force as a tenant's."""
    return accepted("acme", record, 1)


def channel(record: Policy) -> AcceptedPolicy:
    """Return a record in force as a channel's."""
    return accepted("acme/lobby", record, 2)


def combined(*parts: AcceptedPolicy | None) -> EffectivePolicy:
    """Combine up to three parts that are not all missing."""
    first, second, third = (*parts, None, None)[:3]
    effective = combine(first, second, third)
    assert effective is not None
    return effective


HATE = category("U7", "Hate", severity="medium", threshold=0.5, action="review")


def test_nothing_combines_to_nothing() -> None:
    """Without any record there is no policy, never an empty one."""
    assert combine(None, None, None) is None


def test_what_is_left_out_gets_the_documented_defaults() -> None:
    """Title, version and a category with a name are enough for a whole policy."""
    effective = combined(None, tenant(policy(category("A", "Alpha"))))
    assert effective.judging == Judging(
        categories=(
            EffectiveCategory(scope="acme", id="A", name="Alpha", severity="medium", threshold=0.5, action="review"),
        ),
        default_action="review",
        reasoning="always",
        trace="full",
        floor_mode="separate",
    )
    assert effective.on_failure("timeout") == "review"


def test_parts_stand_in_the_order_floor_tenant_channel() -> None:
    """Parts, categories and prose keep that order, and each author's own within it."""
    effective = combined(
        floor(policy(category("F2", "f"), category("F1", "f"), text="floor")),
        tenant(policy(category("T2", "t"), category("T1", "t"), text="tenant", version=7)),
        channel(policy(category("C1", "c"), text="channel")),
    )
    assert [(one.scope, one.id) for one in effective.judging.categories] == [
        ("platform", "F2"),
        ("platform", "F1"),
        ("acme", "T2"),
        ("acme", "T1"),
        ("acme/lobby", "C1"),
    ]
    assert effective.judging.prose == (
        Prose(scope="platform", text="floor"),
        Prose(scope="acme", text="tenant"),
        Prose(scope="acme/lobby", text="channel"),
    )
    assert [(part.scope, part.version, part.offset) for part in effective.parts] == [
        ("platform", 1, 0),
        ("acme", 7, 1),
        ("acme/lobby", 1, 2),
    ]


def test_the_strictest_of_all_parts_counts_for_a_floor_category() -> None:
    """Tenant and channel each tighten something; the category stays the floor's."""
    effective = combined(
        floor(policy(HATE)),
        tenant(policy(category("U7", action="block", threshold=0.4))),
        channel(policy(category("U7", severity="critical", threshold=0.45, action="hold"))),
    )
    (only,) = effective.judging.categories
    assert (only.scope, only.name) == ("platform", "Hate")
    assert (only.action, only.severity, only.threshold) == ("block", "critical", 0.4)


def test_a_floor_tightened_later_wins_over_an_older_tenant() -> None:
    """The tenant's once stricter values are now the milder ones."""
    stricter = category("U7", "Hate", severity="critical", threshold=0.2, action="block")
    effective = combined(floor(policy(stricter)), tenant(policy(category("U7", severity="high", action="hold"))))
    (only,) = effective.judging.categories
    assert (only.severity, only.threshold, only.action) == ("critical", 0.2, "block")


def test_an_id_that_the_floor_takes_over_later_keeps_the_floors_words() -> None:
    """A tenant's own category of that id only tightens from then on."""
    own = category("U8", "Ours", definition="ours", action="hold")
    theirs = category("U8", "Theirs", definition="theirs")
    (only,) = combined(floor(policy(theirs)), tenant(policy(own))).judging.categories
    assert (only.scope, only.name, only.definition, only.action) == ("platform", "Theirs", "theirs", "hold")


def test_an_id_whose_floor_category_vanished_is_left_out() -> None:
    """A category that is only an id has no meaning of its own."""
    record = policy(category("U7", action="block"), category("A", "Alpha"))
    assert [one.id for one in combined(floor(policy()), tenant(record)).judging.categories] == ["A"]
    assert [one.id for one in combined(None, tenant(record)).judging.categories] == ["A"]


def test_a_channel_replaces_its_tenants_category_by_id() -> None:
    """Stricter or milder, the channel's words stand instead of the tenant's; other ids are added."""
    effective = combined(
        None,
        tenant(policy(category("A", "Alpha", action="block"), category("B", "Beta"))),
        channel(policy(category("A", "Alpha here", action="label", violates=(clause("x"),)))),
    )
    assert [(one.scope, one.id, one.name, one.action) for one in effective.judging.categories] == [
        ("acme", "B", "Beta", "review"),
        ("acme/lobby", "A", "Alpha here", "label"),
    ]


def test_the_strictest_failure_action_of_those_that_say_one_wins() -> None:
    """A part that says nothing about a status leaves it to the others; the floor's silence means review."""
    parts = (
        tenant(policy(on_failure={"timeout": "block", "too_long": "allow"})),
        channel(policy(on_failure={"timeout": "review"})),
    )
    effective = combined(floor(policy(on_failure={"timeout": "hold"})), *parts)
    assert effective.judging.on_failure == {"timeout": "block", "too_long": "review"}
    assert combined(floor(policy(on_failure={"too_long": "allow"})), *parts).on_failure("too_long") == "allow"
    assert combined(None, *parts).on_failure("too_long") == "allow"
    assert effective.on_failure("overloaded") == "review"


def test_default_action_and_reasoning_and_trace() -> None:
    """The strictest default action and reasoning, and the most private trace."""
    effective = combined(
        floor(policy(default_action="hold", reasoning="when_unsure", trace="redacted")),
        tenant(policy(default_action="review", reasoning="never", trace="full")),
        channel(policy(default_action="block", trace="none")),
    )
    assert effective.judging.default_action == "block"
    assert effective.judging.reasoning == "when_unsure"
    assert effective.judging.trace == "none"


def test_the_review_band_is_the_widest() -> None:
    """From the lowest low to the highest high; none where nobody asks for one."""
    effective = combined(floor(policy(review_band=(0.4, 0.6))), tenant(policy(review_band=(0.5, 0.9))))
    assert effective.judging.review_band == (0.4, 0.9)
    assert combined(floor(policy())).judging.review_band is None


def test_languages_are_those_that_all_parts_name() -> None:
    """An empty list means all; parts without a language in common leave none at all."""
    wide = tenant(policy(languages=("de", "en", "fr")))
    assert combined(floor(policy()), wide).judging.languages == ("de", "en", "fr")
    assert combined(floor(policy(languages=())), wide).judging.languages == ("de", "en", "fr")
    assert combined(floor(policy(languages=("fr", "en"))), wide).judging.languages == ("fr", "en")
    assert combined(floor(policy(languages=("EN-gb", "de-AT", "DE"))), wide).judging.languages == (
        "EN-gb",
        "de-AT",
        "DE",
    )
    assert combined(floor(policy(languages=("pl",))), wide).judging.languages == NO_LANGUAGE


def test_a_star_stands_for_every_language() -> None:
    """As a language range does (RFC 4647); of two lists the narrower ranges are left."""
    every = combined(tenant(policy(category("A", "Alpha"), languages=("*",))))
    assert [every.speaks(language) for language in ("en", "en-GB", "", None)] == [True] * 4
    assert len(every.calls_for("tlh")) == 1

    def both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
        return combined(floor(policy(languages=one)), tenant(policy(languages=other))).judging.languages

    assert both(("*",), ("de", "en-GB")) == both(("de", "en-GB"), ("*",)) == ("de", "en-GB")
    assert both(("*",), ("*",)) == ("*",)
    assert both(("*", "fr"), ("de",)) == ("de",)


def test_the_floor_stands_apart_unless_the_platform_joins_it() -> None:
    """Only the platform can join, and anybody can ask for separate."""
    joined, separate, silent = policy(floor_mode="joined"), policy(floor_mode="separate"), policy()
    assert combined(floor(joined), tenant(silent)).judging.floor_mode == "joined"
    assert combined(floor(joined), tenant(separate)).judging.floor_mode == "separate"
    assert combined(floor(silent), tenant(joined)).judging.floor_mode == "separate"
    assert combined(None, tenant(joined)).judging.floor_mode == "separate"


def asked(*parts: AcceptedPolicy | None) -> list[tuple[str, tuple[str, ...]]]:
    """Return how each call is asked: reasoning and languages."""
    return [(call.asking.reasoning, call.asking.languages) for call in combined(*parts).calls]


def test_the_floors_call_is_asked_as_the_floor_says() -> None:
    """Its own reasoning and languages, the defaults where it is silent; a tenant's hold for the tenant's call."""
    own = tenant(policy(category("A", "Alpha"), reasoning="never", languages=("de",)))
    assert asked(floor(policy(HATE)), own) == [("always", ()), ("never", ("de",))]
    assert asked(floor(policy(HATE, reasoning="when_unsure", languages=("de", "en"))), own) == [
        ("when_unsure", ("de", "en")),
        ("when_unsure", ("de",)),
    ]
    assert asked(floor(policy(HATE)), tenant(policy(reasoning="never", languages=("de",)))) == [("always", ())]
    assert asked(floor(policy(HATE, floor_mode="joined")), own) == [("always", ())]
    assert asked(floor(policy(HATE, floor_mode="joined", reasoning="never")), own) == [("never", ())]
    assert asked(floor(policy()), own) == [("never", ("de",))]
    assert asked(None, own) == [("never", ("de",))]


def test_a_joined_call_is_unsure_wherever_the_floor_or_the_tenant_is() -> None:
    """A tenant's narrow band takes nothing from the band that a silent floor stands for."""

    def band(floors: Any, own: Any) -> Any:
        parts = floor(policy(HATE, floor_mode="joined", reasoning="when_unsure", review_band=floors))
        (call,) = combined(parts, tenant(policy(category("A", "Alpha"), review_band=own))).calls
        return call.asking.review_band

    assert band(UNSET, (0.5, 0.5)) == UNSURE
    assert band(UNSET, (0.1, 0.5)) == (0.1, 0.8)
    assert band((0.4, 0.6), (0.5, 0.9)) == (0.4, 0.9)
    assert band((0.4, 0.6), UNSET) == (0.4, 0.6)
    assert band(UNSET, UNSET) is None


def test_the_floors_call_is_in_the_digest_only_where_it_differs() -> None:
    """So that policies judged as before keep the digest that their verdicts name."""
    own = policy(category("A", "Alpha"))
    assert combined(floor(policy(HATE)), tenant(own)).judging.floor is UNSET
    assert b'"floor":' not in canonical_json(combined(floor(policy(HATE)), tenant(own)).judging)
    assert combined(floor(policy(HATE)), tenant(policy(category("A", "Alpha"), reasoning="never"))).judging.floor == (
        Asking()
    )
