"""Whether each input offset of one partition has exactly one outcome. Pure.

Messages come in rising order, outcomes near the order of their sources. Kept are only the messages that
still wait for an outcome (``_open``) and the outcomes whose message is not read yet (``_early``): memory
follows the disorder between the two logs and the number of faults, never the length of the range.

* A message that waits too long (more than ``max_open`` wait) is *set aside*: only its offset is kept, in runs.
* An outcome of an offset that waits no longer is a *suspect*: a double, one of a message set aside, or one of
  something else that had the offset. ``wanted`` says which messages have to be looked up once more, and
  ``finish`` tells them apart.

An outcome counts for its source wherever it stands; one that stands elsewhere is misplaced besides.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Final, NamedTuple

from msgspec import Struct

#: Messages of one partition that may wait for their outcome in memory; a worker rarely has more between
#: its watermark and its last read.
MAX_OPEN: Final = 20_000


class Place(NamedTuple):
    """Where a record stands; the topic by its full name."""

    topic: str
    partition: int
    offset: int


class Input(NamedTuple):
    """What is known of one message: Kafka's milliseconds, its ids where it is one, a hash of key and value."""

    timestamp: int | None
    tenant_id: str | None
    message_id: str | None
    body: int | None


#: A message that retention took before anybody looked at it: nothing is known of it but its offset.
GONE: Final = Input(None, None, None, None)


class Outcome(NamedTuple):
    """An outcome: where it stands, and what it says of its source. A dead letter has a body, a verdict has ids."""

    place: Place
    partition: int
    offset: int
    timestamp: int
    tenant_id: str | None = None
    message_id: str | None = None
    body: int | None = None


class Fault(Struct, frozen=True, kw_only=True):
    """One line of a list: the place, why it is listed, and what else belongs to it.

    ``topic``, ``partition`` and ``offset`` are the input's for what is missing or doubled, and the
    record's own for what is misplaced or altered. ``source`` is what such a record names as its input;
    ``outcomes`` are the records beyond the first.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    source: Place | None = None
    outcomes: tuple[Place, ...] = ()


def disagreement(message: Input, outcome: Outcome) -> str | None:
    """Say why an outcome is not of the message that has its source's offset; None if it is."""
    if message.timestamp not in {None, outcome.timestamp}:
        return "the record at its source has another timestamp"
    if outcome.message_id is not None and message.message_id not in {None, outcome.message_id}:
        return "the record at its source has another message_id"
    return None


def alteration(message: Input, outcome: Outcome) -> str | None:
    """Say which part of an outcome contradicts its message although it is of it; None if nothing does."""
    if outcome.body is not None and message.body not in {None, outcome.body}:
        return "key or value is not the message's, byte for byte"
    if outcome.tenant_id is not None and message.tenant_id not in {None, outcome.tenant_id}:
        return "tenant_id is not the message's"
    return None


class Runs:
    """Offsets that rise, as runs without holes."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._runs: list[list[int]] = []

    def add(self, offset: int) -> None:
        """Add an offset above all others."""
        if self._runs and self._runs[-1][1] == offset:
            self._runs[-1][1] += 1
        else:
            self._runs.append([offset, offset + 1])

    def __iter__(self) -> Iterator[int]:
        """Iterate over the offsets."""
        return (offset for start, end in self._runs for offset in range(start, end))

    def __contains__(self, offset: int) -> bool:
        """Tell whether an offset is there."""
        at = bisect_right(self._runs, offset, key=itemgetter(0)) - 1
        return at >= 0 and offset < self._runs[at][1]


class Coverage:
    """One partition of the range ``start`` to ``end`` (excluded).

    Attributes:
        checked: records of the range, null values included.
        skipped: null values.
        next_offset: the offset after the last message that was taken in.
        highest: the highest offset that has an outcome in its place; ``start - 1`` if there is none.
        misplaced, altered: what was found so far.

    """

    def __init__(self, topic: str, partition: int, start: int, end: int, *, max_open: int = MAX_OPEN) -> None:
        """Begin at ``start``; ``topic`` is the full name of the messages' topic."""
        self.partition = partition
        self.start = start
        self.end = end
        self.checked = 0
        self.skipped = 0
        self.next_offset = start
        self.highest = start - 1
        self.misplaced: list[Fault] = []
        self.altered: list[Fault] = []
        self._topic = topic
        self._max_open = max_open
        self._open: dict[int, Input] = {}
        self._aside = Runs()
        self._early: dict[int, list[Outcome]] = {}
        self._suspects: dict[int, list[Outcome]] = {}
        self._strays: dict[int, list[Outcome]] = {}
        self._doubled: dict[int, list[Place]] = {}
        self._found: set[int] = set()
        self._lost: list[tuple[int, int, Place]] = []

    @property
    def early(self) -> int:
        """How many offsets have an outcome whose message is not read yet."""
        return len(self._early)

    @property
    def open(self) -> int:
        """How many messages wait for their outcome in memory."""
        return len(self._open)

    def message(self, offset: int, message: Input | None) -> None:
        """Take in the next message of the range; None is a null value, which is a declared skip."""
        if offset != self.next_offset and self._early:
            self._pass_hole(offset)
        self.next_offset = offset + 1
        self.checked += 1
        early = self._early.pop(offset, None) if self._early else None
        if message is None:
            self.skipped += 1
            if early:
                self._doubled[offset] = [outcome.place for outcome in early]
        elif early is None:
            self._open[offset] = message
            if len(self._open) > self._max_open:
                self._set_aside()
        elif not self._meet(offset, message, early):
            self._open[offset] = message

    def outcome(self, outcome: Outcome) -> None:
        """Take in an outcome whose source is this partition; offsets outside the range are passed over."""
        offset = outcome.offset
        if not self.start <= offset < self.end:
            return
        if outcome.place.partition != self.partition:
            self._misplace(outcome, "it stands in another partition than its source")
            self._strays.setdefault(offset, []).append(outcome)
            return
        self.highest = max(self.highest, offset)
        if offset >= self.next_offset:
            self._early.setdefault(offset, []).append(outcome)
        elif (message := self._open.get(offset)) is None:
            self._suspects.setdefault(offset, []).append(outcome)
        elif self._meet(offset, message, [outcome]):
            del self._open[offset]

    def lose(self, start: int, end: int, place: Place) -> None:
        """Take in that a worker declared a run as lost; ``place`` is where it says so. It may lie below the range."""
        self._lost.append((start, end, place))

    def lost(self) -> dict[int, list[Place]]:
        """Return the offsets that were declared as lost, rising, and where that is said."""
        found: dict[int, list[Place]] = {}
        for start, end, place in sorted(self._lost):
            for offset in range(start, end):
                found.setdefault(offset, []).append(place)
        return dict(sorted(found.items()))

    def wanted(self) -> list[int]:
        """Return the offsets, rising, whose messages ``finish`` has to know, once all is read."""
        self._pass_hole(self.end)
        return sorted({*self._suspects, *self._strays})

    def finish(self, messages: Mapping[int, Input | None]) -> None:
        """Settle what is unclear.

        Args:
            messages: by offset what stands at the wanted offsets: None for a null value, absent for nothing.

        """
        for offset in self.wanted():
            suspects = self._suspects.pop(offset, [])
            strays = self._strays.pop(offset, [])
            for outcome in suspects if offset not in messages else ():
                self._misplace(outcome, "there is no record at its source")
            message = messages.get(offset)
            if message is None:
                if offset in messages:
                    self._double(offset, suspects + strays)
                continue
            self._settle(offset, message, suspects, strays)

    def unmet(self) -> Iterator[int]:
        """Iterate, rising, over the offsets without an outcome; after ``finish``."""
        return (offset for runs in (self._aside, self._open) for offset in runs if offset not in self._found)

    def doubled(self) -> list[Fault]:
        """Return the offsets with more than one outcome; after ``finish``."""
        reason = "more than one outcome"
        return [
            Fault(topic=self._topic, partition=self.partition, offset=offset, reason=reason, outcomes=tuple(places))
            for offset, places in sorted(self._doubled.items())
        ]

    def _settle(self, offset: int, message: Input, suspects: list[Outcome], strays: list[Outcome]) -> None:
        own = [one for one in suspects if not self._refuses(message, one)]
        # One that is misplaced and of another message besides is named once.
        own += [one for one in strays if disagreement(message, one) is None]
        if own and (offset in self._open or offset in self._aside):
            self._found.add(offset)
            own = own[1:]
        if own:
            self._double(offset, own)

    def _meet(self, offset: int, message: Input, outcomes: Iterable[Outcome]) -> bool:
        """Give a message its outcome, and say whether there was one."""
        own = [outcome for outcome in outcomes if not self._refuses(message, outcome)]
        if len(own) > 1:
            self._double(offset, own[1:])
        return bool(own)

    def _refuses(self, message: Input, outcome: Outcome) -> bool:
        reason = disagreement(message, outcome)
        if reason is not None:
            self._misplace(outcome, reason)
            return True
        reason = alteration(message, outcome)
        if reason is not None:
            self.altered.append(self._fault(outcome, reason))
        return False

    def _double(self, offset: int, outcomes: Iterable[Outcome]) -> None:
        self._doubled.setdefault(offset, []).extend(outcome.place for outcome in outcomes)

    def _misplace(self, outcome: Outcome, reason: str) -> None:
        self.misplaced.append(self._fault(outcome, reason))

    def _fault(self, outcome: Outcome, reason: str) -> Fault:
        return fault(outcome.place, reason, Place(self._topic, outcome.partition, outcome.offset))

    def _pass_hole(self, until: int) -> None:
        """Misplace outcomes of offsets below ``until`` at which nothing stood: markers, compaction."""
        hole = range(self.next_offset, until)
        # Holes are short where they come from transactions, and there are many of them.
        near = hole if len(hole) < len(self._early) else list(self._early)
        for offset in [one for one in near if one in self._early and one < until]:
            for outcome in self._early.pop(offset):
                self._misplace(outcome, "there is no record at its source")

    def _set_aside(self) -> None:
        """Keep only the offsets of the older half of what is open."""
        for offset in list(self._open)[: self._max_open // 2 + 1]:
            del self._open[offset]
            self._aside.add(offset)


def fault(place: Place, reason: str, source: Place | None = None) -> Fault:
    """Return a line about a record."""
    return Fault(topic=place.topic, partition=place.partition, offset=place.offset, reason=reason, source=source)
