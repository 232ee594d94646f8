"""What may be committed, case by case. The state machine in tests/property covers the combinations."""

from __future__ import annotations

import json

import pytest

from tests.support.streaming import NOTHING, open_ledger
from worker.stream.ledger import (
    METADATA_MAX_BYTES,
    MOST_SUSPECTS,
    UNKNOWN_POSITION,
    Bounds,
    CommitPoint,
    Ledger,
    PartitionLedger,
    Place,
    Published,
    Suspect,
    read_metadata,
    read_suspects,
    write_metadata,
)

START = Bounds(verdicts=10, dead_letters=3)
ENDS = Bounds(verdicts=20, dead_letters=5)
STAMP = 1_700_000_000_000


def ledger(start: int = 100, capacity: int = 1000, **published: Published) -> PartitionLedger:
    """Open partition 0 at ``start``, with outcomes read back for offsets ``o<offset>`` at timestamp 7."""
    found = {(int(name[1:]), 7): outcome for name, outcome in published.items()}
    return PartitionLedger(0, start=start, bounds=START, ends=ENDS, published=found, capacity=capacity)


def committed(point: CommitPoint) -> tuple[int, int, int]:
    """Return offset and both bounds of a commit point."""
    bounds = json.loads(point.metadata)
    return point.offset, bounds["verdicts"], bounds["dead-letters"]


def test_nothing_read_commits_the_start() -> None:
    """A partition that was only opened commits where it starts, with bounds after the last outcomes."""
    assert committed(ledger().commit_point()) == (100, 20, 5)


def test_the_watermark_waits_for_the_lowest_offset_in_flight() -> None:
    """Later offsets that are done do not move the watermark past an earlier one."""
    book = ledger()
    for offset in (100, 101, 102):
        assert book.register(offset)
    book.complete(101, Place("verdicts", 20))
    book.complete(102, Place("verdicts", 21))

    assert book.watermark == 100

    book.complete(100, Place("verdicts", 22))

    assert book.watermark == 103


def test_holes_are_no_offsets() -> None:
    """Offsets that compaction or markers took are passed over."""
    book = ledger()
    book.register(100)
    book.register(105)
    book.complete(100, Place("verdicts", 20))

    assert book.watermark == 105

    book.complete(105, None)
    book.advance(110)

    assert book.watermark == 110


@pytest.mark.parametrize("offset", [99, 100, 101], ids=["below start", "twice", "going back"])
def test_offsets_that_were_seen_are_refused(offset: int) -> None:
    """Neither a duplicate nor an offset below what was seen is taken again."""
    book = ledger()
    book.register(100)
    book.register(102)

    assert not book.register(offset)
    assert book.in_flight == 2


def test_capacity_counts_what_is_in_flight_and_what_waits_above_the_watermark() -> None:
    """One slow message cannot make the books grow without end; what falls below the watermark frees its place."""
    book = ledger(capacity=3)
    for offset in (100, 101, 102):
        assert book.register(offset)
    book.complete(101, Place("verdicts", 20))

    assert book.room == 0
    assert not book.register(103)

    book.complete(100, Place("verdicts", 21))

    assert book.room == 2
    assert book.register(103)


def test_the_bound_is_the_lowest_outcome_at_or_above_the_watermark() -> None:
    """Whoever takes over reads from there and finds every outcome that is not committed."""
    book = ledger()
    for offset in (100, 101, 102, 103):
        book.register(offset)
    book.complete(100, Place("verdicts", 20))
    book.complete(102, Place("verdicts", 21))
    book.complete(103, Place("dead-letters", 9))

    assert committed(book.commit_point()) == (101, 21, 9)

    book.complete(101, Place("verdicts", 22))

    assert committed(book.commit_point()) == (104, 23, 10)


def test_an_unknown_position_keeps_the_older_bound() -> None:
    """A send answered with -1 stands somewhere above the older bound, and nobody knows where."""
    book = ledger()
    for offset in (100, 101, 102):
        book.register(offset)
    book.complete(101, Place("verdicts", UNKNOWN_POSITION))

    assert committed(book.commit_point()) == (100, 10, 5)

    book.complete(102, Place("verdicts", 25))
    book.complete(100, Place("verdicts", 26))

    assert committed(book.commit_point()) == (103, 27, 5)


def test_read_back_outcomes_hold_the_bound_until_they_are_passed() -> None:
    """An outcome of an earlier owner counts like one of our own, also before its message is met again."""
    book = ledger(o102=Published(Place("verdicts", 15), "m"))
    book.register(100)

    assert committed(book.commit_point()) == (100, 15, 5)

    found = book.claim(102, 7)

    assert found == Published(Place("verdicts", 15), "m")

    book.register(102)
    book.complete(102, Place("verdicts", 15))

    assert committed(book.commit_point()) == (100, 15, 5)

    book.complete(100, Place("verdicts", 20))

    assert committed(book.commit_point()) == (103, 21, 5)


def test_an_outcome_of_another_time_is_not_claimed() -> None:
    """A topic made anew uses its offsets again; the timestamp tells its messages from the old ones."""
    book = ledger(o102=Published(Place("verdicts", 15), "m"))

    assert book.claim(102, 8) is None


def test_a_closed_ledger_drops_results() -> None:
    """What an older epoch still brings changes nothing."""
    books = Ledger(capacity=10)
    old = books.open(3, start=0, bounds=START, ends=ENDS, published={})
    old.register(0)
    new = books.open(3, start=0, bounds=START, ends=ENDS, published={})

    assert not old.complete(0, Place("verdicts", 20))
    assert not old.register(1)
    assert new.epoch > old.epoch
    assert books.get(3) is new
    assert list(books) == [new]


def test_a_partition_that_is_not_open_has_no_ledger() -> None:
    """Before it is opened and after it is closed, a partition's records are refused."""
    books = Ledger(capacity=10)
    books.open(3, start=0, bounds=START, ends=ENDS, published={})

    books.close(3)
    books.close(4)

    assert books.get(3) is None
    assert len(books) == 0


def test_completing_twice_changes_nothing() -> None:
    """The second result of an offset is dropped."""
    book = ledger()
    book.register(100)

    assert book.complete(100, Place("verdicts", 20))
    assert not book.complete(100, Place("verdicts", 30))
    assert committed(book.commit_point()) == (101, 21, 5)


def test_metadata_round_trips_and_stays_small() -> None:
    """The largest positions fit the broker's limit many times over, and unknown fields are passed over."""
    bounds = Bounds(verdicts=2**63 - 1, dead_letters=2**63 - 1)
    text = write_metadata(bounds)

    assert read_metadata(text) == bounds
    assert len(text) * 10 < METADATA_MAX_BYTES
    assert read_metadata(text[:-1] + ',"later":{"x":1}}') == bounds


@pytest.mark.parametrize("text", ["", "{}", "[]", "abc", '{"verdicts":"x"}', "\udc80"])
def test_metadata_of_others_is_no_bound(text: str) -> None:
    """A commit that no worker wrote has no bounds: read-back then starts at the log's start."""
    assert read_metadata(text) is None


def test_suspects_travel_with_the_commit_until_they_are_done() -> None:
    """What was in the judge at an engine's death is named to the next owner, with how often it was alone there."""
    first = open_ledger(0, 1, 2)
    first.suspect(1, STAMP, alone=False)
    first.suspect(2, STAMP, alone=True)
    heirs = read_suspects(first.commit_point().metadata)
    heir = PartitionLedger(0, start=0, bounds=NOTHING, ends=NOTHING, suspects=heirs)
    for offset in range(3):
        heir.register(offset)
    heir.suspect(2, STAMP, alone=True)

    assert [heir.deaths(offset, STAMP) for offset in range(3)] == [None, 0, 2]
    assert heir.deaths(2, STAMP + 1) is None

    heir.complete(2, Place("dead-letters", 0))

    assert [one.offset for one in read_suspects(heir.commit_point().metadata)] == [1]

    heir.complete(0, None)
    heir.complete(1, None)

    assert heir.commit_point().metadata == write_metadata(Bounds(verdicts=0, dead_letters=1))
    assert heir.suspects == 0


def test_a_commit_fits_whatever_is_suspected() -> None:
    """The broker refuses longer texts; the lowest suspects are kept."""
    largest = 2**63 - 1
    crowded = open_ledger()
    for offset in range(1000):
        crowded.suspect(largest - offset, 10**13 - 1, alone=True)
    text = write_metadata(
        Bounds(verdicts=largest, dead_letters=largest),
        [Suspect(largest - offset, 10**13 - 1, 1) for offset in range(1000)],
    )

    assert len(text.encode()) <= METADATA_MAX_BYTES
    assert len(crowded.commit_point().metadata.encode()) <= METADATA_MAX_BYTES
    assert min(one.offset for one in read_suspects(crowded.commit_point().metadata)) == largest - 999
    assert len(read_suspects(text)) == MOST_SUSPECTS


@pytest.mark.parametrize("text", ["", "{}", "x", '{"verdicts":1,"dead-letters":2,"suspects":[["x"]]}', "\ud800"])
def test_a_foreign_commit_suspects_nobody(text: str) -> None:
    """Whatever somebody else committed."""
    assert read_suspects(text) == ()
