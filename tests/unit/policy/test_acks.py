"""Who judges by what: announcements of workers against the members of their group."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pytest
from msgspec import UNSET

from worker.policy.acks import Applied, Roll, member_names
from worker.records import PolicyApplied

#: When Kafka took the record, in milliseconds.
PUBLISHED_MS: Final = 1_750_000_000_000


def said(worker: str, digest: str | None, after_s: float, *, offset: int = 7, repeated: bool = False) -> PolicyApplied:
    """Return an announcement so long after the record was published."""
    return PolicyApplied(
        instance_id=worker,
        scope="acme",
        version=2,
        digest=digest,
        offset=offset,
        applied_at=dt.datetime.fromtimestamp(PUBLISHED_MS / 1000 + after_s, dt.UTC),
        repeated=repeated or UNSET,
    )


@pytest.mark.parametrize(
    "announcements, expected",
    [
        ([], (0, None)),
        ([said("w1", "d", 0.25), said("w2", "d", 0.4)], (2, 0.4)),
        ([said("w1", "d", 0.25), said("w2", "old", 0.1, offset=3)], (1, 0.25)),
        ([said("w1", "d", 0.25), said("w1", None, 9.0, offset=8)], (0, None)),
        ([said("w1", "d", 0.25), said("w1", "other", 9.0, offset=8), said("w1", "d", 0.25)], (1, 0.25)),
        ([said("gone", "d", 0.25)], (0, None)),
        ([said("w1", "d", 3600.0, repeated=True)], (1, None)),
        ([said("w1", "d", 0.25), said("w1", "d", 90_000.0, repeated=True)], (1, 0.25)),
        ([said("w1", "d", 0.25), said("w2", "d", 3600.0, repeated=True)], (2, 0.25)),
        ([said("w1", "d", -0.2)], (1, 0.0)),
    ],
    ids=["silence", "both", "one behind", "deleted", "again", "no member", "came later", "daily", "mixed", "clocks"],
)
def test_the_last_word_of_each_member_counts(
    announcements: list[PolicyApplied], expected: tuple[int, float | None]
) -> None:
    """Only workers that are there count; the time is that of the last one that was there for the change."""
    found = Roll(announcements, ["w1", "w2"]).applied("acme", "d", 7, PUBLISHED_MS)

    assert found == Applied(workers=expected[0], members=2, after_s=expected[1])


def test_members_of_one_name_count_each() -> None:
    """Two workers that somebody gave one name are two members."""
    found = Roll([said("w1", "d", 0.1)], ["w1", "w1"]).applied("acme", "d", 7, PUBLISHED_MS)

    assert (found.workers, found.members) == (2, 2)


def test_a_group_that_is_not_there_has_no_members() -> None:
    """Kafka describes an unknown group as dead."""
    assert member_names({"groups": [{"state": "Dead", "members": []}]}) == []
    assert member_names({"groups": [{"members": [{"member_id": "w1-ab", "client_id": "w1"}]}]}) == ["w1"]
