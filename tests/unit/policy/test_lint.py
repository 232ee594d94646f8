"""What lint says of a policy file."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import msgspec
import pytest

from tests.support.policies import category, clause, policy, raw
from worker.attacks.policies import hostile_policies
from worker.policy.finding import Finding
from worker.policy.lint import lint
from worker.policy.lint_cost import Cost
from worker.policy.scope import Scope, parse
from worker.records import Category, GoldenCase, decode_policy, encode

ACME: Final = Scope("acme")
FULL: Final = category(
    "A", "Alpha", definition="Posts that sell watches.", violates=(clause("v", "Offers of watches."),)
)


def said(*categories: Category, scope: Scope = ACME, **fields: Any) -> list[tuple[str, str]]:
    """Return (level, field) of everything that has to be mended."""
    return mended(lint(raw(*categories, **fields), scope))


def mended(findings: list[Finding]) -> list[tuple[str, str]]:
    """Return (level, field) of findings that are not only good to know."""
    return [(finding.level, finding.field) for finding in findings if finding.level != "info"]


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
    assert mended(lint(raw(category("U7", action="label")), ACME, floor)) == [("error", "categories[0].action")]
    assert mended(lint(raw(category("U7", action="block")), ACME, floor)) == []


def test_every_loosened_place_is_named() -> None:
    """A refusal names the first; lint names them all, each once, with the cure."""
    floor = policy(category("U7", "Hate", action="hold"), category("U1", "Violence"), on_failure={"timeout": "hold"})
    own = raw(category("U7", action="label"), FULL, category("U1", threshold=0.9), on_failure={"timeout": "review"})
    findings = [finding for finding in lint(own, ACME, floor) if finding.level == "error"]

    assert [one.field for one in findings] == ["categories[0].action", "categories[2].threshold", "on_failure.timeout"]
    assert all(one.cure for one in findings)


def test_an_id_alone_without_the_floor() -> None:
    """The cure says that the floor may know it."""
    assert "--floor" in lint(raw(category("U7", action="block")), ACME)[0].cure


def test_unknown_fields_are_named_by_their_path() -> None:
    """A misspelt field is ignored by the worker, so its author should know."""
    fields = msgspec.to_builtins(policy(FULL))
    fields["treshold"] = 1
    fields["categories"][0]["actoin"] = "block"
    fields["categories"][0]["violates"][0]["note"] = "x"
    found = lint(msgspec.json.encode(fields), ACME)
    assert {field for _, field in mended(found)} == {
        "treshold",
        "categories[0].actoin",
        "categories[0].violates[0].note",
    }
    assert {level for level, _ in mended(found)} == {"warning"}


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
    twin = category("a", "Beta", definition="Posts that sell hats.", violates=(clause("v", "Offers of hats."),))
    assert said(FULL, twin) == [("warning", "categories[1].id")]


@pytest.mark.parametrize("name", ["u7", "U07", "U-7", "unsafe"])
def test_ids_that_look_like_another(name: str) -> None:
    """Like the floor's, or like a verdict."""
    floor = policy(category("U7", "Hate"))
    own = msgspec.structs.replace(FULL, id=name)
    assert mended(lint(raw(own), ACME, floor)) == [("warning", "categories[0].id")]


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
    assert mended(lint((folder / f"{name}.json").read_bytes(), parse(name), floor)) == []


@pytest.mark.parametrize("value", ["SCAMS_AND_FRAUD", "weather"])
def test_what_is_no_statement_category(value: str) -> None:
    """It would be refused by the database of statements; the near one is named."""
    own = msgspec.structs.replace(FULL, dsa_category=value)
    findings = lint(raw(own), ACME)
    assert mended(findings) == [("warning", "categories[0].dsa_category")]
    assert ("STATEMENT_CATEGORY_SCAMS_AND_FRAUD" in findings[0].cure) == (value != "weather")


def test_a_statement_category_is_fine() -> None:
    """As the crosswalk has them."""
    own = msgspec.structs.replace(
        FULL, dsa_category="STATEMENT_CATEGORY_SELF_HARM", reference_url="https://acme.example/rules"
    )
    assert said(own) == []


def test_fields_that_do_nothing() -> None:
    """A hit that allows, a definition that repeats the name, a band over every score, an address that is none."""
    own = category(
        "A",
        "Alpha posts",
        definition="Alpha post.",
        violates=(clause("v"),),
        action="allow",
        reference_url="rules.html",
    )
    assert {field for _, field in said(own, review_band=(0.0, 1.0))} == {
        "categories[0].action",
        "categories[0].definition",
        "categories[0].reference_url",
        "review_band",
    }


@pytest.mark.parametrize("language", ["English", "en_US", "", " en", "en-", "-", "e", "en-GB-", "*-CH", "\u0435n"])
def test_what_is_no_language_is_named(language: str) -> None:
    """No tag begins so; a list of such alone leaves each message unjudged that names its language by one."""
    (finding,) = [one for one in lint(raw(FULL, languages=("de", language)), ACME) if one.level == "warning"]

    assert finding.field == "languages[1]"
    assert "'en', 'en-GB' or '*'" in finding.cure


def test_languages_are_fine() -> None:
    """With script and region, in any case, and the star for all."""
    assert said(FULL, languages=("en", "EN-gb", "zh-Hant-TW", "gsw", "de-CH-1996", "*")) == []


def test_a_gate_that_holds_nothing_is_named() -> None:
    """Golden cases of which none must pass; without cases there is nothing to say."""
    cases = (GoldenCase(text="Gold watch, cheap!", label="unsafe", categories=("A",)),)

    assert said(FULL, golden=cases, min_pass=0.0) == [("warning", "min_pass")]
    assert said(FULL, golden=cases, min_pass=0.5) == said(FULL, min_pass=0.0) == []


def test_a_floor_mode_that_only_the_platform_has_is_named() -> None:
    """A tenant cannot join the floor; it may keep it apart, and the platform may say either."""
    assert said(FULL, floor_mode="joined") == [("warning", "floor_mode")]
    assert said(FULL, floor_mode="separate") == []
    assert said(FULL, floor_mode="joined", on_failure={"timeout": "review"}, scope=Scope("platform")) == []


def test_what_is_only_good_to_know_comes_last() -> None:
    """Categories that no golden case shows, and the tokens before each message, estimated or counted."""
    findings = lint(raw(FULL), ACME)
    assert [(one.level, one.field) for one in findings] == [("info", "categories[0]"), ("info", "golden"), ("info", "")]
    assert "estimate" in findings[-1].message

    shown = (
        GoldenCase(text="Gold watch, cheap!", label="unsafe", categories=("A",)),
        GoldenCase(text="y", label="safe"),
    )
    counted = lint(raw(FULL, golden=shown), ACME, cost=Cost(tokens=40, calls=2, exact=True))
    assert [one.field for one in counted] == [""]
    assert "40 tokens before each message in 2 calls, 40000 for 1000 messages" in counted[0].message


def test_each_finding_has_its_cure() -> None:
    """The message holds it too, so that one line of a terminal says both."""
    own = category("A", "Alpha", definition="Inappropriate posts etc.", threshold=0.0)
    findings = [one for one in lint(raw(own, on_failure={"timeout": "allow"}), ACME) if one.level == "warning"]
    assert len(findings) == 5
    assert all(one.cure and one.message.endswith(one.cure) for one in findings)


def test_hostile_policies_are_noticed() -> None:
    """Lint has a word on most of what a hostile tenant writes; the floor does not depend on it."""
    floor = policy(category("U7", "Hate", definition="Slurs.", violates=(clause("v"),)))
    thin = {"categories[0].definition", "categories[0].violates"}
    hostile = hostile_policies()
    noticed = [one for one in hostile if {field for _, field in mended(lint(encode(one), ACME, floor))} - thin]
    assert len(noticed) / len(hostile) > 0.8
