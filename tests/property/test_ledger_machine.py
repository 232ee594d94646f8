"""The ledger against a naive model of one partition, its outcome topics and the owners that come and go.

The model keeps whole logs. Owners register offsets (with holes), write outcomes, get their
acknowledgements late or not at all, commit at any time, die and are followed by others that read back
from what was committed.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from worker.stream.ledger import (
    OUTCOME_TOPICS,
    UNKNOWN_POSITION,
    Bounds,
    CommitPoint,
    OutcomeTopic,
    PartitionLedger,
    Place,
    Published,
    read_metadata,
)

TIMESTAMP: Final = 7
topics = st.sampled_from(OUTCOME_TOPICS)


class LedgerMachine(RuleBasedStateMachine):
    """One partition of ``messages`` over the lives of its owners."""

    @initialize(start=st.integers(0, 5), foreign=st.integers(0, 3))
    def begin(self, start: int, foreign: int) -> None:
        """Start with a log that does not begin at zero, and outcome topics with somebody else's records."""
        self.source: list[int] = []
        self.log_start = self.log_end = start
        # Each outcome topic as the offsets that its records are outcomes of; None is somebody else's record.
        self.logs: dict[OutcomeTopic, list[int | None]] = {topic: [None] * foreign for topic in OUTCOME_TOPICS}
        self.skipped: set[int] = set()
        self.committed: CommitPoint | None = None
        self.open_epoch()

    def open_epoch(self) -> None:
        """Let a new owner read the commit and what is published, as the worker does."""
        start = self.log_start if self.committed is None else self.committed.offset
        bounds = None if self.committed is None else read_metadata(self.committed.metadata)
        bounds = bounds or Bounds(verdicts=0, dead_letters=0)
        published = {
            (source, TIMESTAMP): Published(Place(topic, position), None)
            for topic in OUTCOME_TOPICS
            for position, source in enumerate(self.logs[topic])
            if source is not None and source >= start and position >= bounds.of(topic)
        }
        ends = Bounds(verdicts=len(self.logs["verdicts"]), dead_letters=len(self.logs["dead-letters"]))
        self.ledger = PartitionLedger(0, start=start, bounds=bounds, ends=ends, published=published, capacity=12)
        self.position = start
        self.open_offsets: set[int] = set()
        self.unacknowledged: dict[OutcomeTopic, deque[tuple[int, int]]] = {topic: deque() for topic in OUTCOME_TOPICS}

    def outcomes_of(self, offset: int) -> list[Place]:
        """Return every outcome record of an offset."""
        return [
            Place(topic, position)
            for topic in OUTCOME_TOPICS
            for position, source in enumerate(self.logs[topic])
            if source == offset
        ]

    def unwritten(self) -> list[int]:
        """Return the offsets in flight that have no outcome on its way."""
        sent = {offset for queue in self.unacknowledged.values() for offset, _ in queue}
        return sorted(self.open_offsets - sent)

    @rule(holes=st.lists(st.integers(0, 2), min_size=1, max_size=5))
    def produce_and_read(self, holes: list[int]) -> None:
        """Messages arrive, some after a hole, and the owner reads what it has room for."""
        for hole in holes:
            self.log_end += hole
            self.source.append(self.log_end)
            self.log_end += 1
        self.read_all()

    @rule()
    def read_all(self) -> None:
        """The owner reads every message that it has room for."""
        for offset in [offset for offset in self.source if offset >= self.position]:
            self.read(offset)

    def read(self, offset: int) -> None:
        """Take one offset in, as intake does."""
        if offset != next(one for one in self.source if one >= self.position):
            return
        if self.ledger.room == 0:
            assert not self.ledger.register(offset)
            return
        assert self.ledger.register(offset)
        self.position = offset + 1
        found = self.ledger.claim(offset, TIMESTAMP)
        if found is None:
            self.open_offsets.add(offset)
        else:
            assert self.ledger.complete(offset, found.place)

    @rule()
    def see_the_end(self) -> None:
        """The owner's position passes a hole at the end."""
        if all(offset < self.position for offset in self.source):
            self.ledger.advance(self.log_end)
            self.position = max(self.position, self.log_end)

    @precondition(lambda self: self.unwritten())
    @rule(data=st.data(), topic=topics, foreign=st.booleans())
    def write(self, data: st.DataObject, topic: OutcomeTopic, *, foreign: bool) -> None:
        """An outcome reaches its topic; nobody has heard of it yet."""
        offset = data.draw(st.sampled_from(self.unwritten()))

        assert self.outcomes_of(offset) == [], "a second outcome"

        log = self.logs[topic]
        log.extend([None] if foreign else [])
        self.unacknowledged[topic].append((offset, len(log)))
        log.append(offset)

    @rule(topic=topics, known=st.booleans(), count=st.integers(1, 4))
    def acknowledge(self, topic: OutcomeTopic, count: int, *, known: bool) -> None:
        """Acknowledgements of one topic come in order, sometimes without a position."""
        for _ in range(min(count, len(self.unacknowledged[topic]))):
            offset, position = self.unacknowledged[topic].popleft()
            self.open_offsets.remove(offset)

            assert self.ledger.complete(offset, Place(topic, position if known else UNKNOWN_POSITION))

    @precondition(lambda self: self.unwritten())
    @rule(data=st.data())
    def skip(self, data: st.DataObject) -> None:
        """A null value is done without an outcome."""
        offset = data.draw(st.sampled_from(self.unwritten()))
        self.open_offsets.remove(offset)
        self.skipped.add(offset)

        assert self.ledger.complete(offset, None)

    @rule()
    def commit(self) -> None:
        """A commit never goes back, in offset or bounds, and never passes a message without an outcome."""
        point = self.ledger.commit_point()
        before = self.log_start if self.committed is None else self.committed.offset

        assert point.offset >= before
        assert all(
            self.outcomes_of(offset) or offset in self.skipped for offset in self.source if offset < point.offset
        )

        bounds, older = read_metadata(point.metadata), self.committed and read_metadata(self.committed.metadata)
        assert bounds is not None
        assert all(bounds.of(topic) >= (older.of(topic) if older else 0) for topic in OUTCOME_TOPICS)

        self.committed = point

    @rule()
    def change_owner(self) -> None:
        """The owner dies or gives the partition away, whatever it was doing."""
        old = self.ledger
        old.close()
        for offset in self.open_offsets:
            assert not old.complete(offset, Place("verdicts", 0))
        self.open_epoch()

    @rule()
    def finish_everything(self) -> None:
        """Once everything is done, the watermark is at the end of what was read."""
        for offset in self.unwritten():
            self.logs["verdicts"].append(offset)
            self.unacknowledged["verdicts"].append((offset, len(self.logs["verdicts"]) - 1))
        for topic in OUTCOME_TOPICS:
            while self.unacknowledged[topic]:
                self.acknowledge(topic, 1, known=True)

        assert self.ledger.watermark == self.ledger.next_offset == self.position

    @invariant()
    def the_watermark_is_the_lowest_open_offset(self) -> None:
        """The naive answer."""
        if hasattr(self, "ledger"):
            assert self.ledger.watermark == min(self.open_offsets, default=self.position)
            assert self.ledger.in_flight == len(self.open_offsets)

    @invariant()
    def the_committed_bounds_miss_no_outcome(self) -> None:
        """Every outcome of an offset that is not committed stands at or above its topic's bound."""
        if getattr(self, "committed", None) is None:
            return
        assert self.committed is not None
        bounds = read_metadata(self.committed.metadata)
        assert bounds is not None
        for offset in self.source:
            if offset >= self.committed.offset:
                assert all(place.position >= bounds.of(place.topic) for place in self.outcomes_of(offset))

    @invariant()
    def nothing_has_two_outcomes(self) -> None:
        """Counted raw."""
        for offset in getattr(self, "source", []):
            assert len(self.outcomes_of(offset)) <= 1


LedgerMachine.TestCase.settings = settings(max_examples=4 * settings().max_examples)
TestLedger = LedgerMachine.TestCase
