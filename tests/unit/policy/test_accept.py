"""Which policy records may come into force."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.policies import category, clause, policy
from worker.errors import PolicyInvalid
from worker.policy.accept import MAX_CLAUSES, MAX_NAME_CHARS, MAX_SENTENCE_CHARS, Setting, check
from worker.policy.scope import parse
from worker.records import Policy

FLOOR: Final = policy(
    category("U7", "Hate", severity="high", threshold=0.4, action="hold"),
    category("U1", "Violence"),
    on_failure={"timeout": "hold"},
)
A: Final = category("A", "Alpha")


def refused(record: Policy, scope: str = "acme", floor: Policy | None = FLOOR, last: int | None = None) -> str:
    """Return the field that a refusal names."""
    with pytest.raises(PolicyInvalid) as caught:
        check(record, parse(scope), Setting(floor=floor, last_version=last))
    return caught.value.field


def passes(record: Policy, scope: str = "acme", floor: Policy | None = FLOOR, last: int | None = None) -> None:
    """Check a record that may come into force."""
    check(record, parse(scope), Setting(floor=floor, last_version=last))


def test_a_version_has_to_rise() -> None:
    """The last accepted version or a lower one is refused; a tombstone leaves none to compare with."""
    assert refused(policy(A, version=3), last=3) == "version"
    assert refused(policy(A, version=2), last=3) == "version"
    passes(policy(A, version=4), last=3)
    passes(policy(A, version=1), last=None)


def test_ids_stand_once() -> None:
    """A second category or clause of one id is named by its place."""
    assert refused(policy(A, category("B", "Beta"), A)) == "categories[2].id"
    twice = category("B", "Beta", violates=(clause("x"),), allowed=(clause("y"), clause("x")))
    assert refused(policy(A, twice)) == "categories[1].allowed[1].id"


@pytest.mark.parametrize("name", ["", "   ", "two\nlines", "null\x00", "line\u2028end", "x" * (MAX_NAME_CHARS + 1)])
def test_a_name_is_one_line(name: str) -> None:
    """Names and titles stand in prompts and tables, so they are one line of bounded length."""
    assert refused(policy(category("A", name))) == "categories[0].name"
    assert refused(policy(A, title=name)) == "title"


def test_a_name_may_leave_out_nothing_but_a_floor_id() -> None:
    """Without a name an id has to be the floor's; the floor itself needs all its names."""
    assert refused(policy(A, category("B"))) == "categories[1].name"
    passes(policy(category("U7")))
    assert refused(policy(category("U7")), floor=None) == "categories[0].name"
    assert refused(policy(category("U7")), scope="platform") == "categories[0].name"


@pytest.mark.parametrize(
    "tightening",
    [
        {},
        {"action": "hold"},
        {"action": "block", "severity": "critical", "threshold": 0.1},
        {"severity": "high"},
        {"threshold": 0.4},
    ],
)
@pytest.mark.parametrize("scope", ["acme", "acme/lobby", "acme#shadow"])
def test_a_floor_id_may_be_tightened(tightening: dict[str, Any], scope: str) -> None:
    """Equal or stricter values under a floor id are accepted in tenants and channels."""
    passes(policy(category("U7", **tightening)), scope=scope)


@pytest.mark.parametrize(
    "field,loosening",
    [
        ("action", {"action": "review"}),
        ("severity", {"severity": "medium"}),
        ("threshold", {"threshold": 0.41}),
        ("name", {"name": "Hate"}),
        ("definition", {"definition": "only very strong hate"}),
        ("violates", {"violates": ()}),
        ("allowed", {"allowed": (clause("x"),)}),
        ("notice", {"notice": {"en": "no"}}),
        ("ground", {"ground": "terms"}),
    ],
)
def test_a_floor_id_may_not_be_loosened(field: str, loosening: dict[str, Any]) -> None:
    """Milder values, and words of any kind, are refused under a floor id, in tenants and channels."""
    record = policy(A, category("U7", **loosening))
    assert refused(record) == f"categories[1].{field}"
    assert refused(record, scope="acme/lobby") == f"categories[1].{field}"


def test_the_floors_defaults_count_as_said() -> None:
    """A floor category that leaves action, severity and threshold out means their defaults."""
    assert refused(policy(category("U1", action="label"))) == "categories[0].action"
    assert refused(policy(category("U1", severity="low"))) == "categories[0].severity"
    assert refused(policy(category("U1", threshold=0.6))) == "categories[0].threshold"


def test_the_platform_may_change_its_own_floor() -> None:
    """The floor is not checked against itself."""
    passes(policy(category("U7", "Hate", action="label", threshold=0.9), version=2), scope="platform", last=1)


def test_failure_actions_are_not_milder_than_the_floors() -> None:
    """Only where the floor speaks; a status that it leaves out is the tenant's to decide."""
    assert refused(policy(on_failure={"timeout": "review"})) == "on_failure.timeout"
    assert refused(policy(on_failure={"too_long": "allow"})) == "on_failure.too_long"
    passes(policy(on_failure={"timeout": "block", "too_long": "review"}))
    passes(policy(on_failure={"timeout": "allow"}), floor=None)


def test_a_review_band_is_ordered() -> None:
    """The lower end comes first."""
    assert refused(policy(review_band=(0.6, 0.4))) == "review_band"
    passes(policy(review_band=(0.5, 0.5)))


@pytest.mark.parametrize(
    "field,record",
    [
        ("categories", policy(*(category(f"c{i}", "n") for i in range(65)))),
        ("categories[0].violates", policy(category("A", "n", violates=tuple(clause(f"v{i}") for i in range(65))))),
        ("categories[0].definition", policy(category("A", "n", definition="x" * (MAX_SENTENCE_CHARS + 1)))),
        (
            "categories[0].allowed[0].text",
            policy(category("A", "n", allowed=(clause("v", "x" * (MAX_SENTENCE_CHARS + 1)),))),
        ),
        ("text", policy(text="x" * 100_001)),
        ("languages[1]", policy(languages=("en", "x" * 36))),
    ],
)
def test_everything_has_a_limit(field: str, record: Policy) -> None:
    """What is longer than its limit is refused by its path."""
    assert refused(record) == field


def test_limits_are_not_too_small() -> None:
    """64 categories and 64 clauses of each kind pass."""
    clauses = tuple(clause(f"v{i}") for i in range(MAX_CLAUSES))
    passes(policy(category("A", "n", violates=clauses), *(category(f"c{i}", "n") for i in range(63))))


def test_a_refusal_never_repeats_the_record() -> None:
    """Error texts travel to places where a tenant's words must not."""
    secret = "sekret\n"
    with pytest.raises(PolicyInvalid) as caught:
        check(policy(category("A", secret)), parse("acme"), Setting())
    assert "sekret" not in str(caught.value)
