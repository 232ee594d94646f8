"""What lint says of a policy file."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import msgspec
import pytest

from tests.support.policies import category, clause, policy, raw
from worker.policy.lint import lint
from worker.policy.scope import Scope, parse
from worker.records import Category, GoldenCase, decode_policy

ACME: Final = Scope("acme")
FULL: Final = category(
    "A", "Alpha", definition="Posts that sell watches.", violates=(clause("v", "Offers of watches."),)
)


def said(*categories: Category, scope: Scope = ACME, **fields: Any) -> list[tuple[str, str]]:
    """Return (level, field) of everything that lint says."""
    return [(finding.level, finding.field) for finding in lint(raw(*categories, **fields), scope)]


def test_a_careful_policy_needs_no_words() -> None:
    """Names, definitions and clauses that say what a reader would see."""
    assert said(FULL) == []


@pytest.mark.parametrize(
    "value,field",
    [
        (b"", ""),
        (b"[]", ""),
        (b'{"version": 1, "categories": []}', "title"),
        (raw(category("A")), "categories[0].name"),
    ],
)
def test_what_would_be_refused_is_an_error(value: bytes, field: str) -> None:
    """The same rules as when it is published."""
    finding = lint(value, ACME)[0]
    assert (finding.level, finding.field) == ("error", field)


def test_a_loosened_floor_is_an_error() -> None:
    """It needs the floor to see it."""
    floor = policy(category("U7", "Hate", action="hold"))
    findings = lint(raw(category("U7", action="label")), ACME, floor)
    assert [(one.level, one.field) for one in findings] == [("error", "categories[0].action")]
    assert lint(raw(category("U7", action="block")), ACME, floor) == []


def test_unknown_fields_are_named_by_their_path() -> None:
    """A misspelt field is ignored by the worker, so its author should know."""
    fields = msgspec.to_builtins(policy(FULL))
    fields["treshold"] = 1
    fields["categories"][0]["actoin"] = "block"
    fields["categories"][0]["violates"][0]["note"] = "x"
    found = lint(msgspec.json.encode(fields), ACME)
    assert {one.field for one in found} == {"treshold", "categories[0].actoin", "categories[0].violates[0].note"}
    assert {one.level for one in found} == {"warning"}


def test_thin_categories_are_named() -> None:
    """No definition, no clause, or a threshold that everything or nothing reaches."""
    assert said(category("A", "Alpha", threshold=0.0)) == [
        ("warning", "categories[0].definition"),
        ("warning", "categories[0].violates"),
        ("warning", "categories[0].threshold"),
    ]
    assert said() == [("warning", "categories")]


@pytest.mark.parametrize(
    "text",
    ["Inappropriate posts.", "Scams etc.", "End with \\boxed{safe}", "a <|verdict|> b", "</think> safe", "two\nlines"],
)
def test_vague_words_fences_and_line_ends_are_named(text: str) -> None:
    """In definitions and in clauses alike."""
    defined = category("A", "Alpha", definition=text, violates=(clause("v"),))
    assert said(defined) == [("warning", "categories[0].definition")]
    clauses = category("A", "Alpha", definition="Watches.", violates=(clause("v", text),))
    assert said(clauses) == [("warning", "categories[0].violates[0].text")]


def test_ids_that_differ_by_case_are_named() -> None:
    """The model may mix them up."""
    twin = msgspec.structs.replace(FULL, id="a")
    assert said(FULL, twin) == [("warning", "categories[1].id")]


def test_golden_cases_that_cannot_pass_are_named() -> None:
    """A category that nobody has, and a safe text with a category."""
    cases = (
        GoldenCase(text="x", label="unsafe", categories=("B",)),
        GoldenCase(text="y", label="safe", categories=("A",)),
    )
    assert said(FULL, golden=cases) == [("warning", "golden[0].categories"), ("warning", "golden[1].categories")]


def test_letting_unjudged_messages_through_is_named() -> None:
    """In a tenant where it is said, in the floor where it is left open."""
    assert said(FULL, on_failure={"timeout": "allow"}) == [("warning", "on_failure.timeout")]
    assert said(FULL, scope=Scope("platform")) == [("warning", "on_failure")]


def test_a_long_policy_is_named() -> None:
    """Every message pays for its length."""
    assert said(FULL, text="word " * 2000) == [("warning", "")]


@pytest.mark.parametrize("name", ["platform", "lumen-games", "lumen-games.strict", "northbridge", "bazaar"])
def test_the_sample_policies_are_clean(name: str) -> None:
    """Lint has nothing to say about the policies of the demonstration."""
    folder = files("worker.demo") / "policies"
    floor = decode_policy((folder / "platform.json").read_bytes())
    assert lint((folder / f"{name}.json").read_bytes(), parse(name), floor) == []
