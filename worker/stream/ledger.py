"""Which offsets are done, and so what may be committed. Pure.

A message may finish before one that came earlier, so a partition's committed offset is its
*watermark*: the lowest offset still in flight. Beside it the commit carries, for each topic that
holds outcomes, the lowest position at which an outcome of an offset at or above the watermark can
stand. A new owner reads the outcomes back from there and judges none of them again. It also carries
what was in the judge when an engine died, since nothing in memory outlives that (``quarantine.py``).

A ``PartitionLedger`` is one epoch of one partition: it is made when the partition is opened and
closed when it is given away, and a closed ledger drops whatever still arrives.

The bounds rely on one thing: outcomes of a partition reach a topic in the order in which
``complete`` is called for them, so nothing that is yet to complete can stand before what has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from worker.decoding import UNREADABLE

OutcomeTopic = Literal["verdicts", "dead-letters"]
OUTCOME_TOPICS: Final[tuple[OutcomeTopic, ...]] = ("verdicts", "dead-letters")
#: The broker's default for ``offset.metadata.max.bytes``.
METADATA_MAX_BYTES: Final = 4096
#: What a producer answers where the broker no longer knows the position of a repeated send.
UNKNOWN_POSITION: Final = -1


class Place(NamedTuple):
    """Where an outcome stands: its topic's short name and its offset there, or -1 if not known."""

    topic: OutcomeTopic
    position: int


class Published(NamedTuple):
    """An outcome found by the read-back; a dead letter has no message id."""

    place: Place
    message_id: str | None


#: Offset and Kafka timestamp of a message: a topic that was made anew uses its offsets again.
MessageKey = tuple[int, int]


class Bounds(Struct, frozen=True, kw_only=True):
    """For each outcome topic a position in the partition's twin: a read-back starts there."""

    verdicts: int
    dead_letters: int = msgspec.field(name="dead-letters")

    def of(self, topic: OutcomeTopic) -> int:
        """Return the position for one topic."""
        return self.verdicts if topic == "verdicts" else self.dead_letters


class Suspect(Struct, frozen=True, array_like=True):
    """A message that was in the judge when an engine died, and how often it was alone there.

    ``timestamp`` is Kafka's, in milliseconds: a topic that was made anew uses its offsets again.
    """

    offset: int
    timestamp: int
    deaths: int


#: More would not fit the commit's text; the lowest are kept, and what is left out is met at the next death.
MOST_SUSPECTS: Final = 80


class _Metadata(Bounds, frozen=True, kw_only=True, omit_defaults=True):
    """A commit's text."""

    suspects: tuple[Suspect, ...] = ()


class CommitPoint(NamedTuple):
    """What to commit for a partition."""

    offset: int
    metadata: str


def write_metadata(bounds: Bounds, suspects: Sequence[Suspect] = ()) -> str:
    """Return the text that goes with a commit. Readers ignore fields they do not know."""
    kept = tuple(suspects[:MOST_SUSPECTS])
    found = _Metadata(verdicts=bounds.verdicts, dead_letters=bounds.dead_letters, suspects=kept)
    return msgspec.json.encode(found).decode()


def read_metadata(text: str) -> Bounds | None:
    """Return the bounds in a commit's text, or none if it was not written by a worker."""
    try:
        return msgspec.json.decode(text.encode(), type=Bounds)
    except (*UNREADABLE, UnicodeEncodeError):
        return None


def read_suspects(text: str) -> tuple[Suspect, ...]:
    """Return the suspects in a commit's text; none if it was not written by a worker."""
    try:
        return msgspec.json.decode(text.encode(), type=_Metadata).suspects
    except (msgspec.DecodeError, UnicodeEncodeError):
        return ()


class PartitionLedger:
    """One epoch of one partition.

    Offsets are registered in rising order and may have holes (compaction, control markers).

    Attributes:
        partition: the number of the partition.
        epoch: rises with every opening; for logs.
        closed: true once the partition is given away.

    """

    __slots__ = (
        "_bounds",
        "_capacity",
        "_done",
        "_ends",
        "_in_flight",
        "_next",
        "_published",
        "_suspects",
        "closed",
        "epoch",
        "partition",
    )

    def __init__(
        self,
        partition: int,
        *,
        start: int,
        bounds: Bounds,
        ends: Bounds,
        published: Mapping[MessageKey, Published] | None = None,
        suspects: Iterable[Suspect] = (),
        capacity: int = 200_000,
        epoch: int = 0,
    ) -> None:
        """Open the partition at ``start``.

        Args:
            partition: the number of the partition.
            start: the lowest offset that has no committed outcome.
            bounds: where the outcomes of ``start`` and later were read back from.
            ends: the position after the last record of each outcome topic at the read-back.
            published: messages from ``start`` on that already have their outcome.
            suspects: messages from ``start`` on that were in the judge when an engine died.
            capacity: the most offsets to remember.
            epoch: which opening of the partition this is.

        """
        self.partition = partition
        self.epoch = epoch
        self.closed = False
        self._capacity = capacity
        self._next = start
        # Rising keys in order of insertion, so the first one is the watermark.
        self._in_flight: dict[int, None] = {}
        self._done: dict[int, Place] = {}
        # Found by the read-back and not met yet. Not counted against the capacity, or it could never be met.
        self._published: dict[MessageKey, Published] = dict(published or {})
        self._suspects: dict[int, Suspect] = {suspect.offset: suspect for suspect in suspects}
        self._bounds: dict[OutcomeTopic, int] = {topic: bounds.of(topic) for topic in OUTCOME_TOPICS}
        self._ends: dict[OutcomeTopic, int] = {topic: ends.of(topic) for topic in OUTCOME_TOPICS}

    @property
    def watermark(self) -> int:
        """The lowest offset in flight, or the next one to come."""
        return next(iter(self._in_flight), self._next)

    @property
    def next_offset(self) -> int:
        """The lowest offset that may be registered next."""
        return self._next

    @property
    def in_flight(self) -> int:
        """How many offsets are registered and not complete."""
        return len(self._in_flight)

    @property
    def room(self) -> int:
        """How many more offsets may be registered."""
        if len(self._in_flight) + len(self._done) >= self._capacity:
            self._forget_below_watermark()
        return max(0, self._capacity - len(self._in_flight) - len(self._done))

    @property
    def suspects(self) -> int:
        """How many messages that were in the judge at an engine's death have no outcome yet."""
        return len(self._suspects)

    @property
    def published_offsets(self) -> list[int]:
        """The offsets that the read-back found an outcome for and that were not met yet."""
        return [offset for offset, _ in self._published]

    def register(self, offset: int) -> bool:
        """Take an offset into flight.

        Returns:
            False if the offset is refused: seen before, below the start, no room, or a closed ledger.

        """
        if self.closed or offset < self._next or len(self._in_flight) + len(self._done) >= self._capacity:
            return False
        self._in_flight[offset] = None
        self._next = offset + 1
        return True

    def claim(self, offset: int, timestamp: int) -> Published | None:
        """Take out what the read-back found for a message.

        Whoever claims it either completes the offset with it, or sees that it is another message's.
        """
        return self._published.pop((offset, timestamp), None)

    def suspect(self, offset: int, timestamp: int, *, alone: bool) -> None:
        """Note that a message was in the judge when the engine died, and whether nothing else was."""
        deaths = (self.deaths(offset, timestamp) or 0) + alone
        self._suspects[offset] = Suspect(offset, timestamp, deaths)

    def deaths(self, offset: int, timestamp: int) -> int | None:
        """Return how many engines died of a message alone; None for one that was in the judge at no death."""
        found = self._suspects.get(offset)
        return found.deaths if found is not None and found.timestamp == timestamp else None

    def complete(self, offset: int, place: Place | None) -> bool:
        """Mark an offset done.

        Args:
            offset: an offset in flight.
            place: where its outcome stands; none for a declared skip.

        Returns:
            False if the result is dropped: the ledger is closed, or the offset is not in flight.

        """
        if self.closed or offset not in self._in_flight:
            return False
        del self._in_flight[offset]
        self._suspects.pop(offset, None)
        if place is not None:
            self._done[offset] = place
            self._ends[place.topic] = max(self._ends[place.topic], place.position + 1)
        return True

    def advance(self, position: int) -> None:
        """Note that every record below ``position`` was seen, so that holes at the end count as done."""
        self._next = max(self._next, position)

    def close(self) -> None:
        """Give the partition away: nothing is registered or completed any more."""
        self.closed = True

    def commit_point(self) -> CommitPoint:
        """Return what to commit now."""
        self._forget_below_watermark()
        lowest: dict[OutcomeTopic, int] = dict(self._ends)
        found = (published.place for published in self._published.values())
        for topic, position in chain(self._done.values(), found):
            lowest[topic] = min(lowest[topic], position)
        for topic in OUTCOME_TOPICS:
            # An outcome at a position that nobody knows: only the older bound is surely below it.
            if lowest[topic] != UNKNOWN_POSITION:
                self._bounds[topic] = lowest[topic]
        bounds = Bounds(verdicts=self._bounds["verdicts"], dead_letters=self._bounds["dead-letters"])
        suspects = [self._suspects[offset] for offset in sorted(self._suspects)]
        return CommitPoint(self.watermark, write_metadata(bounds, suspects))

    def _forget_below_watermark(self) -> None:
        watermark = self.watermark
        self._done = {offset: place for offset, place in self._done.items() if offset >= watermark}
        self._published = {key: found for key, found in self._published.items() if key[0] >= watermark}
        self._suspects = {offset: found for offset, found in self._suspects.items() if offset >= watermark}


class Ledger:
    """The open partitions of this worker, at most one epoch of each."""

    def __init__(self, *, capacity: int) -> None:
        """Remember how many offsets each partition may hold."""
        self._capacity = capacity
        self._epoch = 0
        self._open: dict[int, PartitionLedger] = {}

    def __iter__(self) -> Iterator[PartitionLedger]:
        """Iterate over the open partitions."""
        return iter(self._open.values())

    def __len__(self) -> int:
        """Return how many partitions are open."""
        return len(self._open)

    def open(
        self,
        partition: int,
        *,
        start: int,
        bounds: Bounds,
        ends: Bounds,
        published: Mapping[MessageKey, Published],
        suspects: Iterable[Suspect] = (),
    ) -> PartitionLedger:
        """Open a partition in a new epoch; an older epoch of it is closed. See ``PartitionLedger``."""
        self.close(partition)
        self._epoch += 1
        ledger = PartitionLedger(
            partition,
            start=start,
            bounds=bounds,
            ends=ends,
            published=published,
            suspects=suspects,
            capacity=self._capacity,
            epoch=self._epoch,
        )
        self._open[partition] = ledger
        return ledger

    def get(self, partition: int) -> PartitionLedger | None:
        """Return the open ledger of a partition, or none: then its records are refused."""
        return self._open.get(partition)

    def close(self, partition: int) -> None:
        """Close a partition if it is open."""
        ledger = self._open.pop(partition, None)
        if ledger is not None:
            ledger.close()
