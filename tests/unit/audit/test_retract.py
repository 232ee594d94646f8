"""Retracting verdicts: which policy is meant, which verdicts are due, and what takes their place."""

from __future__ import annotations

import pytest
from msgspec import structs

from tests.support.verdicts import policy_part, some_verdict
from worker import content_digest
from worker.audit.retract import Target, _one_record, can_have, is_due, parse_target, superseding
from worker.audit.verify.facts import read_verdict
from worker.errors import UsageError
from worker.records import PolicyRef, Source, encode, verdict_id

SOURCE = Source(topic="m", partition=2, offset=7, timestamp=99)
VERDICT = structs.replace(
    some_verdict(policy_part("platform", 1), policy_part("acme", 3)),
    source=SOURCE,
    verdict_id=verdict_id(SOURCE, "live", None),
    policy=PolicyRef(digest="ab" * 32, parts=(structs.replace(policy_part("acme", 3), digest="cd" * 32),)),
)


class Record:
    """A record of ``verdicts`` as the audit reads it."""

    def __init__(self, value: bytes) -> None:
        """Give it a digest that fits."""
        self.topic, self.partition, self.offset, self.key, self.value = "v", 2, 40, b"k", value
        self.headers = [content_digest.header(self.key, value)]


@pytest.mark.parametrize(
    "text, target",
    [
        ("acme@3", Target(scope="acme", version=3)),
        ("acme/lobby@12", Target(scope="acme/lobby", version=12)),
        ("acme@abababab", Target(scope="acme", digest="abababab")),
        ("acme@12345678", Target(scope="acme", version=12345678, digest="12345678", either=True)),
        ("abababab", Target(digest="abababab")),
        ("ab" * 32, Target(digest="ab" * 32)),
    ],
)
def test_policies_are_named_by_version_or_digest(text: str, target: Target) -> None:
    """Eight digits of a digest are enough; behind a scope it is the scope's own record's."""
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["acme", "acme@", "@3", "acme@x", "acme@abab", "abab", "AB" * 32, "a c@3", ""])
def test_other_names_are_refused(text: str) -> None:
    """The error says how to write it."""
    with pytest.raises(UsageError, match="SCOPE@VERSION"):
        parse_target(text)


@pytest.mark.parametrize(
    "text, judged",
    [
        ("acme@3", "cd" * 32),
        ("acme@2", None),
        ("platform@3", None),
        ("ab" * 5, "ab" * 32),
        ("cd" * 5, "cd" * 32),
        ("ef" * 5, None),
        ("acme@" + "cd" * 5, "cd" * 32),
        ("acme@" + "ab" * 5, None),
        ("platform@" + "cd" * 5, None),
    ],
)
def test_a_verdict_is_of_a_policy(text: str, judged: str | None) -> None:
    """By the effective policy's digest, or by one of its parts."""
    assert parse_target(text).fitting(VERDICT.policy) == judged


def test_digits_alone_may_be_the_beginning_of_a_digest() -> None:
    """One in some forty of eight digits is all decimal; a version of that height is not told from it."""
    part = structs.replace(VERDICT.policy.parts[0], scope="acme", digest="31415926" + "ab" * 28)
    policy = structs.replace(VERDICT.policy, parts=(part,))

    assert parse_target("acme@31415926").fitting(policy) == part.digest
    assert parse_target(f"acme@{part.version}").fitting(policy) == part.digest
    assert parse_target("acme@31415927").fitting(policy) is None
    only = _one_record(parse_target("acme@31415926"), "acme@31415926", [part.digest])
    assert only == Target(scope="acme", digest=part.digest)
    by_version = _one_record(parse_target("acme@31415926"), "acme@31415926", ["cd" * 32])
    assert by_version == Target(scope="acme", version=31415926, digest="cd" * 32)


def test_a_superseding_verdict_changes_id_and_action_alone() -> None:
    """Its id is the one that the interfaces give it, and the audit finds nothing altered and no outcome."""
    new = superseding(VERDICT, "review")

    assert new.supersedes == VERDICT.verdict_id
    assert new.verdict_id == verdict_id(SOURCE, "live", None, VERDICT.verdict_id) != VERDICT.verdict_id
    assert structs.replace(new, verdict_id=VERDICT.verdict_id, supersedes=VERDICT.supersedes, action="block") == VERDICT
    reading = read_verdict(Record(encode(new)), "m")
    assert (reading.outcome, reading.altered, reading.misplaced) == (None, None, None)


def test_a_second_retraction_finds_nothing_due() -> None:
    """Unless it asks for another action: then the last one is superseded in turn."""
    once = superseding(VERDICT, "review")

    assert is_due(VERDICT, "review")
    assert is_due(VERDICT, VERDICT.action)
    assert not is_due(once, "review")
    assert is_due(once, "allow")
    assert superseding(once, "allow").supersedes == once.verdict_id


@pytest.mark.parametrize("action, possible", [("allow", True), ("review", True), ("hold", False), ("block", False)])
def test_a_safe_verdict_cannot_restrict(action: str, *, possible: bool) -> None:
    """No worker would have written it, and the audit would call it altered."""
    safe = structs.replace(VERDICT, label="safe", categories=())

    assert can_have(safe, action) is possible  # type: ignore[arg-type]
    assert can_have(VERDICT, action)  # type: ignore[arg-type]
    altered = read_verdict(Record(encode(superseding(safe, action))), "m").altered  # type: ignore[arg-type]
    assert (altered is None) is possible
