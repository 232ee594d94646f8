"""Contradictions and ties, within a policy and with the floor."""

from __future__ import annotations

import pytest

from tests.support.policies import category, clause, policy
from worker.policy.lint_clashes import clashes, plain
from worker.records import Category, GoldenCase, Policy

SELLS = "Posts that sell watches."


def found(*categories: Category, floor: Policy | None = None) -> list[tuple[str, str]]:
    """Return field and the kind of every clash."""
    words = ("contradiction", "tie", "same name")
    return [
        (one.field, next(word for word in words if word in one.message)) for one in clashes(policy(*categories), floor)
    ]


@pytest.mark.parametrize("other", [SELLS, "posts that SELL WATCHES", "Selling? No: any post that sells a watch!"[13:]])
def test_allowed_and_violated(other: str) -> None:
    """The same words on both sides, whatever their case, order, plural and filling words."""
    own = category("A", "Alpha", violates=(clause("v", SELLS),), allowed=(clause("w", other),))

    assert found(own) == [("categories[0].allowed[0].text", "contradiction")]


def test_one_clause_in_two_categories() -> None:
    """Nobody can tell which one a text hits."""
    first = category("A", "Alpha", violates=(clause("v", SELLS),))
    second = category("B", "Beta", violates=(clause("v", "Offers."), clause("w", SELLS)))

    assert found(first, second) == [("categories[1].violates[1].text", "tie")]


def test_allowed_in_two_categories_is_no_tie() -> None:
    """An exception may hold in both."""
    first = category("A", "Alpha", allowed=(clause("v", SELLS),))
    second = category("B", "Beta", allowed=(clause("v", SELLS),))

    assert found(first, second) == []


def test_one_name_or_definition_for_two() -> None:
    """Also where only case and filling words differ."""
    first = category("A", "Watches", definition=SELLS)
    second = category("B", "The watches", definition="Posts which sell the watches.")

    assert found(first, second) == [("categories[1].name", "same name"), ("categories[1].definition", "tie")]


def test_against_the_floor() -> None:
    """A tenant cannot allow what the floor forbids, nor have its category under another id."""
    floor = policy(category("U7", "Hate", violates=(clause("slur", "Slurs against groups."),)))
    own = category("A", "hate", violates=(clause("v", SELLS),), allowed=(clause("w", "Slurs against a group."),))

    assert found(own, floor=floor) == [
        ("categories[0].name", "same name"),
        ("categories[0].allowed[0].text", "contradiction"),
    ]
    assert found(own) == []


def test_golden_cases_against_each_other() -> None:
    """The same text with two labels cannot pass; twice the same is only too much; a context makes it another."""
    cases = (
        GoldenCase(text="x", label="safe"),
        GoldenCase(text="x", label="unsafe"),
        GoldenCase(text="y", label="safe"),
        GoldenCase(text="y", label="safe"),
        GoldenCase(text="y", label="unsafe", role="agent"),
    )
    said = [(one.field, "other label" in one.message) for one in clashes(policy(golden=cases), None)]

    assert said == [("golden[1].text", True), ("golden[3].text", False)]


def test_what_is_left_of_a_sentence() -> None:
    """Only words that carry meaning; nothing is equal to nothing."""
    assert plain("The posts, which SELL a watch!") == {"sell", "watch"} | plain("the")
    assert found(category("A", "Of the"), category("B", "By any")) == []
