"""Statements of reasons: every word from the policy, and nothing where the policy says nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec
import pytest
from msgspec import UNSET, structs

from tests.support.verdicts import some_verdict
from worker.audit.export.statement import MAX_NOTICE_CHARS, Statement, Unstated, Wish, Wordings, state
from worker.policy.model import record_digest
from worker.records import (
    CategoryVerdict,
    HistoryEntry,
    PolicyPart,
    PolicyRef,
    Source,
    Verdict,
    canonical_json,
    decode_policy,
    encode,
)
from worker.suppression import Suppression

MORNING: Final = round(dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC).timestamp() * 1000)
DAY_MS: Final = 86_400_000
VIOLENCE: Final = "STATEMENT_CATEGORY_VIOLENCE"
SPEECH: Final = "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH"
U1: Final = {
    "id": "U1",
    "name": "Violence",
    "action": "block",
    "notice": {"en": "We remove threats.", "de": "Wir entfernen Drohungen."},
    "ground": "terms",
    "reference_url": "https://example.org/rules#threats",
    "dsa_category": VIOLENCE,
}
U7: Final = U1 | {"id": "U7", "action": "hold", "ground": "illegal", "dsa_category": SPEECH}


def entry(scope: str, *categories: dict[str, Any], version: int = 1, offset: int = 0) -> HistoryEntry:
    """Return an accepting entry of ``policy-history``."""
    raw = canonical_json({"title": "Rules", "version": version, "categories": categories})
    nothing = dict.fromkeys(("golden_digest", "fingerprint", "effective_digest", "field", "reason"))
    return HistoryEntry(
        offset=offset,
        timestamp=1,
        scope=scope,
        decision="accepted",
        version=version,
        digest=record_digest(decode_policy(raw)),
        policy=raw.decode(),
        decided_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        decided_by="w",
        **nothing,
    )


def verdict(
    *entries: HistoryEntry, hits: tuple[tuple[str, str], ...] = (("platform", "U1"),), **fields: Any
) -> Verdict:
    """Return a blocking verdict under policies, that hit categories."""
    parts = tuple(
        PolicyPart(scope=one.scope, version=one.version or 0, digest=one.digest or "", offset=one.offset)
        for one in entries
    )
    cited = tuple(CategoryVerdict(scope=scope, id=category, severity="high", hit=True) for scope, category in hits)
    plain: dict[str, Any] = {
        "verdict_id": "a" * 32,
        "categories": cited,
        "policy": PolicyRef(digest="d", parts=parts),
        "language": "de-AT",
        "source": Source(topic="m", partition=0, offset=0, timestamp=MORNING),
        "message_id": "dana@example.org",
        "conversation_id": "dana-and-kim",
    }
    return structs.replace(some_verdict(), **(plain | fields))


def stated(one: Verdict, *entries: HistoryEntry, **wish: Any) -> Statement | Unstated | None:
    """Return what becomes of a verdict that was published a day after its message."""
    return state(one, MORNING + DAY_MS, Wordings(entries), Wish(**wish))


def reason(one: Verdict, *entries: HistoryEntry, **wish: Any) -> str:
    """Return why there is no statement."""
    found = stated(one, *entries, **wish)
    assert isinstance(found, Unstated)
    return found.reason


def test_a_statement_has_the_databases_fields() -> None:
    """Names, values and dates are the database's; all text is the notice."""
    floor = entry("platform", U1)

    found = stated(verdict(floor), floor, territories=("DE", "AT"))

    assert isinstance(found, Statement)
    assert msgspec.json.decode(encode(found)) == {
        "puid": "a" * 32,
        "decision_visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "decision_ground_reference_url": "https://example.org/rules#threats",
        "incompatible_content_ground": "We remove threats.",
        "incompatible_content_explanation": "We remove threats.",
        "decision_facts": "We remove threats.",
        "category": VIOLENCE,
        "content_type": ["CONTENT_TYPE_TEXT"],
        "content_language": "DE",
        "content_date": "2026-03-01",
        "application_date": "2026-03-02",
        "territorial_scope": ["DE", "AT"],
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_FULLY",
    }
    assert b"dana" not in encode(found)


def test_what_an_exception_took_back_is_no_ground() -> None:
    """The restriction rests on the other hit; where none is left, no rule can be named."""
    floor = entry("platform", U7, U1)
    both = (("platform", "U7"), ("platform", "U1"))
    taken = Suppression(exception="*#x", digest="d" * 64, owner="o", categories=("platform:U1",), whole=False)

    found = stated(verdict(floor, hits=both, action="hold", suppressions=(taken,)), floor)

    assert isinstance(found, Statement)
    assert (found.category, found.decision_ground) == (SPEECH, "DECISION_GROUND_ILLEGAL_CONTENT")
    assert found.category_addition is UNSET
    assert "no category was hit" in reason(verdict(floor, suppressions=(taken,)), floor)


def test_the_strictest_hit_gives_ground_and_category() -> None:
    """The others are named as further categories; another action is another restriction."""
    floor = entry("platform", U7, U1)
    both = (("platform", "U7"), ("platform", "U1"))

    found = stated(verdict(floor, hits=both), floor)
    held = stated(verdict(floor, hits=(("platform", "U7"),), action="hold"), floor, automated="partially")

    assert isinstance(found, Statement)
    assert (found.category, found.category_addition) == (VIOLENCE, (SPEECH,))
    assert isinstance(held, Statement)
    assert held.decision_visibility == ("DECISION_VISIBILITY_CONTENT_DISABLED",)
    assert held.decision_ground == "DECISION_GROUND_ILLEGAL_CONTENT"
    assert held.illegal_content_legal_ground == held.illegal_content_explanation == held.decision_facts
    assert held.automated_decision == "AUTOMATED_DECISION_PARTIALLY"


def test_a_tightened_category_of_the_floor_counts_as_it_judged() -> None:
    """What the tenant made of it is the strictest, though the floor's own record is the mildest."""
    floor = entry("platform", U7 | {"action": "label"})
    tenant = entry("acme", {"id": "U7", "action": "block"}, U1 | {"id": "SPAM", "action": "hold"})
    both = (("acme", "SPAM"), ("platform", "U7"))

    found = stated(verdict(floor, tenant, hits=both), floor, tenant)

    assert isinstance(found, Statement)
    assert (found.category, found.decision_ground) == (SPEECH, "DECISION_GROUND_ILLEGAL_CONTENT")
    assert found.category_addition == (VIOLENCE,)


def test_an_action_that_no_hit_asks_for_has_no_rule_to_name() -> None:
    """A default action's is not stated under a milder hit beside it, nor one that is stricter than the verdict's."""
    floor = entry("platform", U7 | {"action": "label"})
    beside = verdict(floor, hits=(("platform", "U7"),))

    assert "no category that was hit asks for block" in reason(beside, floor)
    assert "asks for label" in reason(verdict(entry("platform", U1), action="label"), entry("platform", U1))


def test_a_retraction_is_stated_under_the_strictest_hit() -> None:
    """Its action is not the policy's, but the rule that was broken is."""
    floor = entry("platform", U7, U1)
    both = (("platform", "U7"), ("platform", "U1"))

    found = stated(verdict(floor, hits=both, action="label", supersedes="b" * 32), floor)

    assert isinstance(found, Statement)
    assert (found.decision_visibility, found.category) == (("DECISION_VISIBILITY_CONTENT_LABELLED",), VIOLENCE)


def test_the_first_language_that_is_there_is_taken() -> None:
    """In the order of the caller."""
    floor = entry("platform", U1)

    found = stated(verdict(floor), floor, languages=("fr", "de", "en"))

    assert isinstance(found, Statement)
    assert found.decision_facts == "Wir entfernen Drohungen."


@pytest.mark.parametrize("action", ["allow", "review"])
def test_what_restricts_nothing_has_no_statement(action: str) -> None:
    """Neither does what a person is still to look at."""
    floor = entry("platform", U1)

    assert stated(verdict(floor, action=action), floor) is None


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"notice": {"de": "Nein."}}, "no notice in en"),
        ({"notice": {"en": "  "}}, "no notice in en"),
        ({"notice": {"en": "x" * (MAX_NOTICE_CHARS + 1)}}, "501 characters"),
        ({"dsa_category": "VIOLENCE"}, "no valid dsa_category; the crosswalk proposes STATEMENT_CATEGORY_VIOLENCE"),
    ],
    ids=["other-language", "blank", "too-long", "dsa-category"],
)
def test_what_the_policy_does_not_say_is_not_invented(changed: dict[str, Any], expected: str) -> None:
    """The reason names what is missing."""
    floor = entry("platform", U1 | changed)

    assert expected in reason(verdict(floor), floor)


@pytest.mark.parametrize(
    "field, expected", [("notice", "no notice"), ("ground", "no ground"), ("dsa_category", "no valid")]
)
def test_a_field_that_is_left_out_is_named(field: str, expected: str) -> None:
    """Each of the three must stand in the policy."""
    floor = entry("platform", {name: value for name, value in U1.items() if name != field})

    assert expected in reason(verdict(floor), floor)


def test_what_cannot_be_tied_to_a_rule_is_left_out() -> None:
    """No hit, no judgement, no such record, no such version: each has its reason."""
    floor = entry("platform", U1)
    newer = entry("platform", U1 | {"notice": {"en": "Another text."}}, version=2, offset=9)

    assert "no category was hit" in reason(verdict(floor, hits=()), floor)
    assert "status timeout" in reason(verdict(floor, status="timeout", label=None), floor)
    assert "policy-history lacks" in reason(verdict(floor))
    assert "policy-history lacks" in reason(verdict(floor), newer)


def test_the_words_are_those_of_the_version_that_judged() -> None:
    """A later notice changes nothing in what is past, although it decides nothing."""
    old, new = entry("platform", U1), entry("platform", U1 | {"notice": {"en": "New."}}, version=2, offset=9)

    before, after = stated(verdict(old), old, new), stated(verdict(new), old, new)

    assert isinstance(before, Statement)
    assert isinstance(after, Statement)
    assert (before.decision_facts, after.decision_facts) == ("We remove threats.", "New.")


def test_a_tenant_may_word_the_floors_category() -> None:
    """It speaks to its own users; a tenant's own category is worded by nobody else."""
    floor = entry("platform", {"id": "U1", "name": "Violence", "action": "block"})
    tenant = entry("acme", U1 | {"notice": {"en": "Not at acme."}})

    found = stated(verdict(floor, tenant), floor, tenant)

    assert isinstance(found, Statement)
    assert found.decision_facts == "Not at acme."
    assert "no notice" in reason(verdict(floor), floor, tenant)
    bare = entry("acme", {"id": "U1", "name": "Violence", "action": "block"})
    assert "no notice" in reason(
        verdict(entry("platform", U1), bare, hits=(("acme", "U1"),)), entry("platform", U1), bare
    )


@pytest.mark.parametrize("tag, language", [("de", "DE"), ("pt-BR", "PT"), (None, None), ("", None), ("deu", None)])
def test_languages_have_two_letters(tag: str | None, language: str | None) -> None:
    """Whatever else somebody wrote into a message's language stays out."""
    floor = entry("platform", U1)

    found = stated(verdict(floor, language=tag), floor)

    assert isinstance(found, Statement)
    assert (found.content_language or None) == language
