"""What ``audit verify`` says of what it found."""

from __future__ import annotations

from typing import Final

import pytest

from worker.audit.verify.coverage import GONE, Coverage, Input, Outcome, Place, fault
from worker.audit.verify.report import MAX_LISTED, Part, Report, report, with_altered

MESSAGES: Final = "t.messages"


def part(judged: set[int], *, committed: int | None, working: bool, size: int = 8, first: int = 0) -> Part:
    """Return a partition of which some offsets have their verdict; what stands below ``first`` is gone."""
    coverage = Coverage(MESSAGES, 0, 0, size)
    for offset in range(size):
        coverage.message(offset, GONE if offset < first else Input(1, "acme", "m", 1))
    for offset in judged:
        coverage.outcome(Outcome(Place("t.verdicts", 0, offset), 0, offset, 1, "acme", "m"))
    coverage.finish({})
    return Part(coverage=coverage, first=first, committed=committed, working=working)


def said(*parts: Part) -> Report:
    """Return the report on partitions."""
    return report(MESSAGES, parts, [], [], 100, 2.0)


@pytest.mark.parametrize(
    "committed, working, missing, pending",
    [
        (4, True, [1, 3], [(5, 3)]),
        (8, True, [1, 3, 5, 6, 7], []),
        (4, False, [1, 3, 5, 6, 7], []),
        # Without a commit, an outcome behind it says that an offset was passed over.
        (None, True, [1, 3], [(5, 3)]),
        (None, False, [1, 3, 5, 6, 7], []),
    ],
)
def test_missing_is_what_nobody_sees_to(
    committed: int | None, missing: list[int], pending: list[tuple[int, int]], *, working: bool
) -> None:
    """Below the commit it is missing; above it is pending while a worker is running."""
    found = said(part({0, 2, 4}, committed=committed, working=working))

    assert [line.offset for line in found.missing] == missing
    assert [(one.offset, one.count) for one in found.pending] == pending
    assert found.ok is False


def test_what_retention_took_is_never_pending() -> None:
    """Nobody can judge it any more, whoever is running."""
    found = said(part({3}, committed=1, working=True, first=3))

    assert [(line.offset, "retention" in line.reason) for line in found.missing] == [(0, True), (1, True), (2, True)]


def test_what_was_declared_as_lost_is_missing() -> None:
    """Below the range, too; the line says where a worker declared it."""
    one = part({0, 1, 2, 3, 4, 5, 6, 7}, committed=8, working=True)
    coverage = Coverage(MESSAGES, 0, 20, 20)
    coverage.lose(10, 12, Place("t.dead-letters", 0, 4))
    found = said(one, Part(coverage=coverage, first=20, committed=20, working=True))

    assert [(line.offset, line.outcomes) for line in found.missing] == [
        (offset, (Place("t.dead-letters", 0, 4),)) for offset in (10, 11)
    ]
    assert all("declared" in line.reason for line in found.missing)
    assert (found.checked, found.doubled, found.ok) == (10, (), False)


def test_a_loss_beside_another_outcome_is_a_double() -> None:
    """A verdict and a declaration, or two declarations."""
    one = part({0, 1}, committed=8, working=True, first=4)
    one.coverage.lose(1, 3, Place("t.dead-letters", 0, 7))
    one.coverage.lose(2, 4, Place("t.dead-letters", 0, 8))
    found = said(one)

    assert [(line.offset, [place.offset for place in line.outcomes]) for line in found.doubled] == [(1, [7]), (2, [8])]
    assert [line.offset for line in found.missing] == [2, 3, 4, 5, 6, 7]


def test_lists_end_somewhere_and_counts_do_not() -> None:
    """A topic without any outcome is counted in full and listed in part."""
    found = said(part(set(), committed=MAX_LISTED + 5, working=True, size=MAX_LISTED + 5))

    assert len(found.missing) == MAX_LISTED
    assert found.counts == {"missing": MAX_LISTED + 5, "doubled": 0, "misplaced": 0, "altered": 0}


def test_a_record_is_listed_once_as_altered() -> None:
    """Its digest and its seal may both say so; the first reason stays."""
    place = Place("t.verdicts", 0, 3)
    before = report(MESSAGES, [part(set(range(8)), committed=8, working=True)], [], [fault(place, "digest")], 1, 1.0)
    after = with_altered(before, [fault(place, "seal"), fault(Place("t.verdicts", 0, 1), "seal")], sealed=8)

    assert [(line.offset, line.reason) for line in after.altered] == [(1, "seal"), (3, "digest")]
    assert (after.counts["altered"], after.sealed, before.ok, after.ok) == (2, 8, False, False)
