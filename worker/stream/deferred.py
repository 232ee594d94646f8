"""Messages past their tenant's queue: only their offsets are kept, to be read again later. Pure.

A tenant that sends more than its queue holds must neither stop its partition for the others nor fill
the memory. Its excess waits here in the order of arrival, and everything that follows waits behind it,
in a line for each partition. A message whose earlier revisions fill their own share of the queue waits
aside, in a line of its own: nobody else waits behind that.

Of one message and partition, whatever stands aside is older than what stands in the tenant's line.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import NamedTuple, TypeVar

from worker.stream.room import Room

K = TypeVar("K", bound=Hashable)


class Line(NamedTuple):
    """A line of deferred messages: of a tenant, or of one message of it (``message_id``), in one partition."""

    tenant_id: str
    partition: int
    message_id: str = ""


class DeferredOffset(NamedTuple):
    """A message that was read once and let go.

    ``timestamp`` is Kafka's, in milliseconds; ``epoch`` is that of the partition's ledger; ``since_s`` is
    when it was read first, by the worker's clock; ``size_bytes`` is what it takes in memory. ``message_id`` is
    empty unless it waits aside.
    """

    tenant_id: str
    partition: int
    offset: int
    timestamp: int
    epoch: int
    since_s: float
    size_bytes: int
    message_id: str = ""

    @property
    def line(self) -> Line:
        """Where it waits."""
        return Line(self.tenant_id, self.partition, self.message_id)


#: What messages of a line must fit.
Rooms = Callable[[Line], Iterable[Room]]


class Deferred:
    """Offsets in lines, each tenant's bounded, first in first out."""

    def __init__(self, *, tenant_messages: int) -> None:
        """Remember the most offsets of one tenant."""
        self._tenant_messages = tenant_messages
        self._lines: dict[Line, deque[DeferredOffset]] = {}
        self._reading: Counter[Line] = Counter()
        # By tenant, those being read again included: all of them, and those that do not wait aside.
        self._waiting: Counter[str] = Counter()
        self._in_turn: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        """Return how many offsets wait, those being read again included."""
        return self._count

    def waits(self, tenant_id: str) -> bool:
        """Tell whether any messages of the tenant wait here."""
        return tenant_id in self._waiting

    def holds(self, tenant_id: str) -> bool:
        """Tell whether messages of the tenant wait in turn, so that a new one must queue behind them."""
        return tenant_id in self._in_turn

    def holds_aside(self, line: Line) -> bool:
        """Tell whether revisions of a message wait aside, so that a later one must queue behind them."""
        return line in self._lines or line in self._reading

    def add(self, item: DeferredOffset) -> bool:
        """Defer a message; False if the tenant has too many already."""
        if self._waiting[item.tenant_id] >= self._tenant_messages:
            return False
        self._lines.setdefault(item.line, deque()).append(item)
        self._note(item, 1)
        return True

    def set_aside(self, item: DeferredOffset, message_id: str) -> None:
        """Let a chosen message of the tenant's line wait behind the earlier ones of its id; it is settled beside."""
        moved = item._replace(message_id=message_id)
        self._lines.setdefault(moved.line, deque()).append(moved)
        self._note(moved, 1)

    def choose(
        self, rooms: Rooms, most: Room, expired_before_s: float, resting: Collection[int] = ()
    ) -> list[DeferredOffset]:
        """Take out what to read again now: what fits its tenant's queue, and what has waited too long.

        Args:
            rooms: what a line's messages must fit; they are filled.
            most: what all of them must fit, those that have waited too long included; it is filled.
            expired_before_s: what was deferred before this has waited too long for its queue to matter.
            resting: partitions of which nothing is chosen.

        Returns:
            The chosen, those of each line in order. Each must come back through ``settle``.

        """
        chosen: list[DeferredOffset] = []
        for line in [line for line in self._lines if line.partition not in resting]:
            if most.messages <= 0:
                break
            queue = self._lines[line]
            places = (most, *rooms(line))
            while queue and (taken := _fitting(queue[0], places, expired_before_s)):
                for room in taken:
                    room.take(queue[0].size_bytes)
                self._reading[line] += 1
                chosen.append(queue.popleft())
            if not queue:
                del self._lines[line]
        self._rotate()
        return chosen

    def settle(self, item: DeferredOffset) -> None:
        """Note that a chosen message was read again, whatever came of it."""
        _add(self._reading, item.line, -1)
        self._note(item, -1)

    def put_back(self, items: Collection[DeferredOffset]) -> None:
        """Return chosen messages that could not be read now, in front of the others."""
        for item in reversed(list(items)):
            _add(self._reading, item.line, -1)
            self._lines.setdefault(item.line, deque()).appendleft(item)

    def forget(self, partition: int, offset: int) -> None:
        """Forget what waits of a partition from an offset on: it stays open until the partition is assigned anew."""
        for line in [line for line in self._lines if line.partition == partition]:
            for item in (queue := self._lines.pop(line)):
                if item.offset >= offset:
                    self._note(item, -1)
            if kept := deque(item for item in queue if item.offset < offset):
                self._lines[line] = kept

    def clear(self) -> None:
        """Forget everything that is not being read again: all partitions were given away."""
        for queue in self._lines.values():
            for item in queue:
                self._note(item, -1)
        self._lines.clear()

    def _note(self, item: DeferredOffset, change: int) -> None:
        self._count += change
        _add(self._waiting, item.tenant_id, change)
        if not item.message_id:
            _add(self._in_turn, item.tenant_id, change)

    def _rotate(self) -> None:
        """Let another line be first next time."""
        first = next(iter(self._lines), None)
        if first is not None:
            self._lines[first] = self._lines.pop(first)


def _fitting(item: DeferredOffset, places: tuple[Room, ...], expired_before_s: float) -> tuple[Room, ...]:
    """Return the places that a message takes room in now; none where one of them has not enough."""
    needed = places[:1] if item.since_s < expired_before_s else places
    return needed if all(room.fits(item.size_bytes) for room in needed) else ()


def _add(counts: Counter[K], key: K, change: int) -> None:
    """Count, and forget what is at zero."""
    counts[key] += change
    if not counts[key]:
        del counts[key]
