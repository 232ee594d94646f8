"""The policies to start from can be published as they are."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec import UNSET

from tests.support.policies import accepted
from worker.errors import UsageError
from worker.policy.accept import Setting, check
from worker.policy.combine import combine
from worker.policy.lint import lint
from worker.policy.pack_starter import Starter, base_ids, names, starter
from worker.policy.scope import Scope
from worker.records import PLATFORM, encode

ALL: Final = names()
SETS: Final = (
    "game-chat",
    "kids-space",
    "market-place",
    "news-comments",
    "professional-network",
    "support-chat",
)


def scope_of(one: Starter) -> Scope:
    """Return whom a starter speaks for."""
    return Scope(PLATFORM if one.kind == "platform" else "acme")


def test_all_are_there() -> None:
    """Two floors, then a set for each kind of place."""
    assert ALL == ("platform", "rsafe-18", *SETS)
    with pytest.raises(UsageError, match="game-chat"):
        starter("categories")


@pytest.mark.parametrize("name", ALL)
def test_a_starter_is_accepted_and_clean(name: str) -> None:
    """Alone as a floor, or under the starter floor; lint has nothing to mend."""
    one = starter(name)
    floor = None if one.kind == "platform" else starter(PLATFORM).policy

    check(one.policy, scope_of(one), Setting(floor=floor))
    assert [finding for finding in lint(encode(one.policy), scope_of(one), floor) if finding.level != "info"] == []


@pytest.mark.parametrize("name", ALL)
def test_a_starter_says_what_it_means(name: str) -> None:
    """Golden cases of both labels, and clauses on both sides for each category of its own."""
    one = starter(name)
    cases = one.policy.golden or ()
    own = [item for item in one.policy.categories if item.name is not UNSET]

    assert {case.label for case in cases} == {"safe", "unsafe"}
    assert all(2 <= len(item.violates or ()) <= 4 for item in own)
    assert all(1 <= len(item.allowed or ()) <= 3 for item in own)
    assert all(item.definition and item.severity and item.action and item.threshold for item in own)


def test_the_whole_taxonomy_in_order() -> None:
    """Eighteen categories, none left out."""
    assert tuple(item.id for item in starter("rsafe-18").policy.categories) == base_ids()


@pytest.mark.parametrize("name", SETS)
def test_a_set_keeps_the_floor(name: str) -> None:
    """Above the floor, the floor's seven are judged as they are or stricter, in a call of their own."""
    floor = accepted(PLATFORM, starter(PLATFORM).policy)
    effective = combine(floor, accepted("acme", starter(name).policy), None)

    assert effective is not None
    assert [item.id for item in effective.panels[0].categories] == ["U1", "U2", "U6", "U7", "U9", "U15", "U17"]
    assert len(effective.panels) == 2


@pytest.mark.parametrize("name", ["platform", "rsafe-18"])
def test_minors_need_more_than_a_model(name: str) -> None:
    """The note travels with the record and with the listing, and the text shows no such case."""
    one = starter(name)

    assert set(one.notes) == {"U6", "U15"}
    assert all("people" in note and "hash" in note for note in one.notes.values())
    assert all(note in str(one.policy.reason) for note in one.notes.values())
    assert not {"U6", "U15"} & {category for case in one.policy.golden or () for category in case.categories}
    strict = {item.id: item for item in one.policy.categories}
    assert (strict["U6"].severity, strict["U6"].action) == ("critical", "block")


def test_statement_categories_come_from_the_crosswalk() -> None:
    """Where the crosswalk says none, a starter says nothing."""
    by_id = {item.id: item for item in starter("rsafe-18").policy.categories}

    assert by_id["U3"].dsa_category == "STATEMENT_CATEGORY_SCAMS_AND_FRAUD"
    assert by_id["U13"].dsa_category is UNSET


@pytest.mark.parametrize("name", ALL)
def test_a_starter_tells_people_why(name: str) -> None:
    """Each category of its own has words for the author of a text, and a ground."""
    own = [item for item in starter(name).policy.categories if item.name is not UNSET]

    assert all(item.notice and item.ground == "terms" for item in own)
