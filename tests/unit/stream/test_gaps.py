"""Which offsets are declared as lost, and that nothing is committed past them before they are."""

from __future__ import annotations

import pytest

from tests.support.streaming import NOTHING, MemoryDelivery, state_with
from worker.dead_letter import lost_run
from worker.stream.gaps import Gaps, uncovered
from worker.stream.ledger import PartitionLedger, Place, Published
from worker.stream.opening import _opening
from worker.stream.publisher import Publisher
from worker.stream.readback import Found


@pytest.mark.parametrize(
    "taken, left",
    [
        ([], [(10, 20)]),
        ([(0, 10), (20, 30)], [(10, 20)]),
        ([(12, 13), (15, 18)], [(10, 12), (13, 15), (18, 20)]),
        ([(15, 25), (5, 12)], [(12, 15)]),
        ([(11, 18), (12, 13)], [(10, 11), (18, 20)]),
        ([(0, 99)], []),
    ],
)
def test_what_nobody_spoke_for(taken: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    """Spans overlap and come in any order."""
    assert list(uncovered((10, 20), taken)) == left


def test_an_earlier_owner_may_have_spoken() -> None:
    """What it published or declared between its last commit and its end is not declared again."""
    published = {(12, 7): Published(Place("verdicts", 3), "m")}
    opening = _opening(0, 10, 20, Found(bounds=NOTHING, ends=NOTHING, published=published, lost=((10, 12),)))

    assert (opening.start, opening.reads_from, opening.gaps) == (13, 20, ((13, 20),))


def test_without_a_gap_reading_goes_on_at_the_commit() -> None:
    """Whatever was read back."""
    opening = _opening(0, 10, 5, Found(bounds=NOTHING, ends=NOTHING, published={}, lost=((3, 5),)))

    assert (opening.start, opening.reads_from, opening.gaps) == (10, 10, ())


async def test_the_watermark_waits_for_the_declaration() -> None:
    """Offsets 3 to 9 are gone but for one that has its verdict: two letters, and only then a commit past them."""
    state, delivery = state_with(), MemoryDelivery()
    publisher = Publisher(state, delivery)  # type: ignore[arg-type]
    published = {(5, 7): Published(Place("verdicts", 0), "m")}
    ledger = PartitionLedger(0, start=3, bounds=NOTHING, ends=NOTHING, published=published)

    Gaps(state, publisher).overtaken(ledger, 10)

    assert (ledger.watermark, ledger.next_offset) == (3, 10)
    await publisher.drained([0])
    assert [lost_run(row.headers) for _, row in delivery.written] == [
        ("moderation.messages", 0, 3, 5),
        ("moderation.messages", 0, 6, 10),
    ]
    assert all((row.key, row.value) == (None, None) for _, row in delivery.written)
    assert ledger.watermark == 10
    assert state.buffer.messages == 0
