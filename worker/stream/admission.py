"""Which message is judged next. Pure; the clock is injected.

Each tenant has a bounded queue of its own. Tenants take turns by deficit round robin (Shreedhar and
Varghese, 1995): every round gives each of them the same number of tokens, so ten times the messages
are not ten times the share. One slot in four may go to the oldest offset of a partition once it has
waited long; the tenant pays for it later, so that fairness never holds a watermark back for good and
age never undoes fairness. Replayed messages come after live ones and have a cap of their own.

Messages of the same tenant and message id are handed out one after the other. They may take a small
share of the queue, or revisions of one message would fill it and leave the judge idle.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from heapq import heappop, heappush
from operator import attrgetter
from typing import Final, Generic, Literal, TypeVar

from msgspec import Struct

from worker.stream.room import Room
from worker.stream.share import Share

Lane = Literal["live", "replay"]
#: Lane, tenant id and message id.
Id = tuple[Lane, str, str]
#: Tokens that a tenant gets in one round: about four short messages that take one call.
QUANTUM_TOKENS: Final = 512
#: Wait after which the oldest offset of a partition may go first.
AGING_S: Final = 2.0
#: Of so many slots one may go to an aged message.
AGED_ONE_IN: Final = 4
_GROUP: Final = attrgetter("group")
_ORDER: Final = attrgetter("order")


class State(Enum):
    """Where an entry is."""

    QUEUED = "queued"
    #: Behind another message of the same id that is being judged.
    PARKED = "parked"
    OUT = "out"


class Entry(Struct, kw_only=True, eq=False):
    """A message as far as admission looks at it.

    Attributes:
        tenant_id: whose queue it stands in.
        message_id: messages of one id are handed out one after the other.
        partition: the partition it came from.
        offset: its offset there.
        tokens: estimated cost of judging it.
        size_bytes: what it takes in memory.
        calls: how many calls to the engine it makes at the same time.
        group: entries of one group share a prompt prefix; the digest of their policy.
        lane: live, or replay.
        queued_s: when it was offered; set by admission.
        order: its place among all offers; set by admission.
        state: set by admission.

    """

    tenant_id: str
    message_id: str
    partition: int
    offset: int
    tokens: int
    size_bytes: int
    calls: int = 1
    group: str = ""
    lane: Lane = "live"
    queued_s: float = 0.0
    order: int = 0
    state: State = State.OUT


E = TypeVar("E", bound=Entry)


class _Tenant(Generic[E]):
    """One tenant's queue in one lane. What left it by another way is still in the queue, as ``OUT``."""

    __slots__ = ("bytes", "count", "deficit", "in_turn", "queue")

    def __init__(self) -> None:
        self.queue: deque[E] = deque()
        self.count = 0
        self.bytes = 0
        self.deficit = 0
        self.in_turn = False


class _Lane(Generic[E]):
    """The tenants of one lane, and whose turn it is."""

    __slots__ = ("bytes", "count", "tenants", "turns")

    def __init__(self) -> None:
        self.tenants: dict[str, _Tenant[E]] = {}
        self.turns: deque[_Tenant[E]] = deque()
        self.count = self.bytes = 0

    def take_turn(self, tenant: _Tenant[E]) -> None:
        """Put a tenant in line. Credit is not saved up while it has nothing to say; debts stay."""
        if not tenant.in_turn:
            tenant.in_turn = True
            tenant.deficit = min(tenant.deficit, 0) + QUANTUM_TOKENS
            self.turns.append(tenant)


class Admission(Generic[E]):
    """Bounded queues per tenant, and a fair way out of them."""

    def __init__(
        self,
        *,
        tenant_messages: int,
        tenant_bytes: int,
        replay_slots: int,
        same_id_messages: int,
        messages: int,
        size_bytes: int,
        aging_s: float = AGING_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            tenant_messages: the most messages in one tenant's queue.
            tenant_bytes: the most bytes there; a single message may be larger.
            replay_slots: the most replayed messages that are out at once.
            same_id_messages: the most that wait of one id, beside the one that is out. Their bytes have the same
                share of their tenant's; a single message may be larger.
            messages: the most of all tenants together. From half of them on each tenant has an equal share and no more,
                and one share stays free always: or a few hot ones would fill the memory, and intake would stop.
            size_bytes: the same of their bytes.
            aging_s: the wait after which a partition's oldest message may go first.
            clock: seconds that never go back.

        """
        self._replay_slots = replay_slots
        self._messages = Share(messages, tenant_messages)
        self._bytes = Share(size_bytes, tenant_bytes)
        self._same_id_messages = same_id_messages
        self._same_id_bytes = tenant_bytes * same_id_messages // tenant_messages
        self._aging_s = aging_s
        self._clock = clock
        self._lanes: dict[Lane, _Lane[E]] = {"live": _Lane(), "replay": _Lane()}
        self._waiting: dict[int, E] = {}
        # What is left of its share for each id that waits.
        self._rooms: dict[Id, Room] = {}
        # Ids that are out, each with those who wait behind it.
        self._out: dict[Id, list[E]] = {}
        # By partition a heap of (offset, order); what is no longer waiting is dropped when it surfaces.
        self._by_offset: dict[int, list[tuple[int, int]]] = {}
        self._replay_out = 0
        self._offers = 0
        self._since_aged = 0

    def __len__(self) -> int:
        """Return how many messages wait in all lanes."""
        return len(self._waiting)

    @property
    def partitions(self) -> set[int]:
        """The partitions that live messages may be waiting from."""
        return set(self._by_offset)

    def queued(self, lane: Lane) -> int:
        """Return how many messages wait in a lane."""
        return self._lanes[lane].count

    def waits(self, tenant_id: str) -> bool:
        """Tell whether live messages of a tenant wait."""
        return tenant_id in self._lanes["live"].tenants

    def room(self, tenant_id: str, lane: Lane = "live") -> Room:
        """Return what is free of a tenant's queue."""
        return self._free(lane, self._lanes[lane].tenants.get(tenant_id))

    def whole(self, lane: Lane = "live") -> Room:
        """Return a tenant's whole queue, as much as it may hold while so many others wait."""
        waiting = self._lanes[lane]
        tenants = len(waiting.tenants)
        return Room(self._messages.of_one(waiting.count, tenants), self._bytes.of_one(waiting.bytes, tenants))

    def rest(self, lane: Lane = "live") -> Room:
        """Return what all queues together take before anybody's share shrinks, or one share alone is left."""
        waiting = self._lanes[lane]
        tenants = len(waiting.tenants)
        return Room(self._messages.rest(waiting.count, tenants), self._bytes.rest(waiting.bytes, tenants))

    def _free(self, lane: Lane, tenant: _Tenant[E] | None) -> Room:
        waiting, room = self._lanes[lane], self.whole(lane)
        if tenant is not None:
            spare = self._messages.spare(len(waiting.tenants)) - waiting.count
            spare_bytes = self._bytes.spare(len(waiting.tenants)) - waiting.bytes
            room.messages = max(0, min(room.messages - tenant.count, spare))
            room.free_bytes = max(0, min(room.free_bytes - tenant.bytes, spare_bytes))
        return room

    def room_of_id(self, tenant_id: str, message_id: str, lane: Lane = "live") -> Room:
        """Return what is free of an id's share of its tenant's queue."""
        return self._room_of((lane, tenant_id, message_id)).copy()

    def _room_of(self, key: Id) -> Room:
        return self._rooms.get(key) or Room(self._same_id_messages, self._same_id_bytes)

    def offer(self, entry: E) -> bool:
        """Queue a message.

        Returns:
            False if the tenant's queue is full, or its id's share of it; a tenant with an empty queue is never refused.

        """
        room = self._room_of(_id(entry))
        if not room.fits(entry.size_bytes):
            return False
        lane = self._lanes[entry.lane]
        tenant = lane.tenants.get(entry.tenant_id)
        if tenant is None:
            tenant = lane.tenants[entry.tenant_id] = _Tenant()
        elif (free := self._free(entry.lane, tenant)).messages < 1 or entry.size_bytes > free.free_bytes:
            return False
        self._offers += 1
        entry.order = self._offers
        entry.queued_s = self._clock()
        entry.state = State.QUEUED
        self._waiting[entry.order] = entry
        room.take(entry.size_bytes)
        self._rooms[_id(entry)] = room
        tenant.count += 1
        tenant.bytes += entry.size_bytes
        lane.count += 1
        lane.bytes += entry.size_bytes
        tenant.queue.append(entry)
        lane.take_turn(tenant)
        if entry.lane == "live":
            heappush(self._by_offset.setdefault(entry.partition, []), (entry.offset, entry.order))
        return True

    def take(self, count: int) -> list[E]:
        """Hand out messages to be judged now, until they make ``count`` calls; those of one group side by side.

        The last one may make more calls than are left. Every message handed out must come back through ``release``.
        """
        taken: list[E] = []
        aged: list[E] | None = None
        while count > 0:
            entry: E | None = None
            if self._since_aged >= AGED_ONE_IN - 1:
                aged = self._aged() if aged is None else aged
                entry = self._pop_aged(aged)
            entry = entry or self._pop_fair("live") or self._pop_replay()
            if entry is None:
                break
            taken.append(entry)
            count -= entry.calls
        taken.sort(key=_GROUP)
        return taken

    def release(self, entry: E) -> None:
        """Note that a message handed out is done, whatever came of it."""
        waiting = self._out.pop(_id(entry))
        if entry.lane == "replay":
            self._replay_out -= 1
        if waiting:
            self._unpark([item for item in waiting if item.state is State.PARKED])

    def drop(self, partitions: Collection[int]) -> list[E]:
        """Take everything that is queued from these partitions out, and return it."""
        dropped = [entry for entry in self._waiting.values() if entry.partition in partitions]
        for entry in dropped:
            self._leave(entry)
        for partition in partitions:
            self._by_offset.pop(partition, None)
        return dropped

    def _leave(self, entry: E) -> None:
        """Take an entry out of the books; queues and heaps forget it when it surfaces."""
        lane = self._lanes[entry.lane]
        tenant = lane.tenants[entry.tenant_id]
        entry.state = State.OUT
        del self._waiting[entry.order]
        room = self._rooms[_id(entry)]
        room.give(entry.size_bytes)
        if room.messages == self._same_id_messages:
            del self._rooms[_id(entry)]
        tenant.count -= 1
        tenant.bytes -= entry.size_bytes
        lane.count -= 1
        lane.bytes -= entry.size_bytes
        if not tenant.count:
            del lane.tenants[entry.tenant_id]

    def _hand_out(self, entry: E) -> E:
        self._leave(entry)
        self._out[_id(entry)] = []
        return entry

    def _unpark(self, waiting: list[E]) -> None:
        """Let those who waited behind an id queue again, in front and in their order."""
        for entry in reversed(waiting):
            lane = self._lanes[entry.lane]
            tenant = lane.tenants[entry.tenant_id]
            entry.state = State.QUEUED
            tenant.queue.appendleft(entry)
            lane.take_turn(tenant)

    def _head(self, tenant: _Tenant[E]) -> E | None:
        """Return the tenant's next message; park those whose id is being judged."""
        queue = tenant.queue
        while queue:
            entry = queue[0]
            if entry.state is State.QUEUED:
                ahead = self._out.get(_id(entry))
                if ahead is None:
                    return entry
                entry.state = State.PARKED
                ahead.append(entry)
            queue.popleft()
        return None

    def _pop_fair(self, name: Lane) -> E | None:
        """Take the next message by deficit round robin."""
        turns = self._lanes[name].turns
        visited = 0
        while turns:
            tenant = turns[0]
            head = self._head(tenant)
            if head is None:
                turns.popleft()
                tenant.in_turn = False
            elif tenant.deficit >= head.tokens:
                tenant.deficit -= head.tokens
                tenant.queue.popleft()
                self._since_aged += 1
                return self._hand_out(head)
            elif visited >= len(turns):
                _new_round(turns)
                visited = 0
            else:
                turns.rotate(-1)
                visited += 1
        return None

    def _pop_replay(self) -> E | None:
        if self._replay_out >= self._replay_slots:
            return None
        entry = self._pop_fair("replay")
        if entry is not None:
            self._replay_out += 1
        return entry

    def _aged(self) -> list[E]:
        """Return each partition's oldest message if it has waited long, the longest wait last."""
        latest_s = self._clock() - self._aging_s
        found: list[E] = []
        for heap in self._by_offset.values():
            while heap and heap[0][1] not in self._waiting:
                heappop(heap)
            if heap and (entry := self._waiting[heap[0][1]]).queued_s <= latest_s:
                found.append(entry)
        return sorted(found, key=_ORDER, reverse=True)

    def _pop_aged(self, aged: list[E]) -> E | None:
        while aged:
            entry = aged.pop()
            if entry.state is State.QUEUED and _id(entry) not in self._out:
                self._lanes[entry.lane].tenants[entry.tenant_id].deficit -= entry.tokens
                self._since_aged = 0
                return self._hand_out(entry)
        return None


def _id(entry: Entry) -> Id:
    return entry.lane, entry.tenant_id, entry.message_id


def _new_round(turns: Iterable[_Tenant[E]]) -> None:
    """Give every tenant the same credit: as many quanta as it takes until one of them can pay."""
    short = min(tenant.queue[0].tokens - tenant.deficit for tenant in turns)
    credit = QUANTUM_TOKENS * max(1, -(-short // QUANTUM_TOKENS))
    for tenant in turns:
        tenant.deficit += credit
