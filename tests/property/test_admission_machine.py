"""Admission against a naive model: bounds hold, nothing is lost or doubled, equal ids wait for each other."""

from __future__ import annotations

from collections import Counter
from typing import Final

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from worker.stream.admission import AGED_ONE_IN, QUANTUM_TOKENS, Admission, Entry, Lane

TENANT_MESSAGES: Final = 5
TENANT_BYTES: Final = 40
REPLAY_SLOTS: Final = 2
SAME_ID_MESSAGES: Final = 2
SAME_ID_BYTES: Final = 16
MESSAGES: Final = 8
BYTES: Final = 60
MAX_TOKENS: Final = 3000

lanes = st.sampled_from(("live", "replay"))


def fit(waiting: list[Entry], size: int, most: int, most_bytes: int) -> bool:
    """Tell whether one more message fits beside these; one alone always does."""
    return not waiting or (len(waiting) < most and sum(one.size_bytes for one in waiting) + size <= most_bytes)


class AdmissionMachine(RuleBasedStateMachine):
    """Messages come, are handed out, come back, and partitions are taken away, in any order."""

    @initialize()
    def begin(self) -> None:
        """Start empty at time zero."""
        self.now_s = 0.0
        self.queues: Admission[Entry] = Admission(
            tenant_messages=TENANT_MESSAGES,
            tenant_bytes=TENANT_BYTES,
            replay_slots=REPLAY_SLOTS,
            same_id_messages=SAME_ID_MESSAGES,
            messages=MESSAGES,
            size_bytes=BYTES,
            aging_s=5.0,
            clock=lambda: self.now_s,
        )
        self.offers = 0
        self.queued: list[Entry] = []
        self.out: list[Entry] = []

    def of_tenant(self, lane: Lane, tenant: str) -> list[Entry]:
        """Return what the model holds in a tenant's queue."""
        return [item for item in self.queued if item.lane == lane and item.tenant_id == tenant]

    def has_room(self, waiting: list[Entry], size: int, lane: Lane) -> bool:
        """Tell whether a tenant's queue takes one more: half of all taken, an equal share; one share is kept free."""
        held = [item for item in self.queued if item.lane == lane]
        taken, heavy = len(held), sum(item.size_bytes for item in held)
        shares = len({item.tenant_id for item in held}) + 1
        most = min(TENANT_MESSAGES, MESSAGES // shares) if 2 * taken >= MESSAGES else TENANT_MESSAGES
        most_bytes = min(TENANT_BYTES, BYTES // shares) if 2 * heavy >= BYTES else TENANT_BYTES
        spare = taken < MESSAGES - MESSAGES // shares and heavy + size <= BYTES - BYTES // shares
        return not waiting or (spare and fit(waiting, size, most, most_bytes))

    @rule(
        tenant=st.sampled_from("ab"),
        message=st.integers(0, 2),
        partition=st.integers(0, 2),
        tokens=st.integers(1, MAX_TOKENS),
        size=st.integers(1, 20),
        lane=lanes,
        group=st.sampled_from("xyz"),
    )
    def offer(self, tenant: str, message: int, partition: int, tokens: int, size: int, lane: Lane, group: str) -> None:
        """A message is taken exactly when its tenant's queue and its id's share of it have room, or are empty."""
        self.offers += 1
        item = Entry(
            tenant_id=tenant,
            message_id=str(message),
            partition=partition,
            offset=self.offers,
            tokens=tokens,
            size_bytes=size,
            group=group,
            lane=lane,
        )
        waiting = self.of_tenant(lane, tenant)
        alike = [one for one in waiting if one.message_id == item.message_id]
        fits = self.has_room(waiting, size, lane) and fit(alike, size, SAME_ID_MESSAGES, SAME_ID_BYTES)

        assert self.queues.offer(item) == fits

        if fits:
            self.queued.append(item)

    @rule(count=st.integers(1, 8))
    def take(self, count: int) -> None:
        """What is handed out was queued, is of distinct ids, and is as much as there can be."""
        taken = self.queues.take(count)
        groups = [item.group for item in taken]

        assert groups == sorted(groups)
        for item in taken:
            self.queued.remove(item)
            self.out.append(item)
        busy = Counter((item.lane, item.tenant_id, item.message_id) for item in self.out)
        assert max(busy.values(), default=0) <= 1
        if len(taken) < count:
            free = REPLAY_SLOTS - sum(item.lane == "replay" for item in self.out)
            left = [item for item in self.queued if item.lane == "live" or free > 0]
            assert all((item.lane, item.tenant_id, item.message_id) in busy for item in left)

    @rule(count=st.integers(1, 8))
    def take_keeps_the_order_of_an_id(self, count: int) -> None:
        """Of one id and partition the earlier offset goes first."""
        before = list(self.queued)
        taken = self.queues.take(count)
        for item in taken:
            earlier = [
                one.offset
                for one in before
                if (one.lane, one.tenant_id, one.message_id, one.partition)
                == (item.lane, item.tenant_id, item.message_id, item.partition)
            ]
            assert item.offset == min(earlier)
            self.queued.remove(item)
            self.out.append(item)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """A judged message comes back."""
        item = data.draw(st.sampled_from(self.out))
        self.out.remove(item)
        self.queues.release(item)

    @rule(seconds=st.floats(0.1, 20.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds

    @rule(partition=st.integers(0, 2))
    def drop(self, partition: int) -> None:
        """A partition is given away: exactly its queued messages come back."""
        dropped = self.queues.drop({partition})

        assert sorted(item.offset for item in dropped) == sorted(
            item.offset for item in self.queued if item.partition == partition
        )

        self.queued = [item for item in self.queued if item.partition != partition]

    @rule()
    def everything_comes_out_in_the_end(self) -> None:
        """Taking and giving back until nothing is left hands every message out exactly once."""
        for _ in range(len(self.queued) + len(self.out) + 1):
            for item in self.out:
                self.queues.release(item)
            self.out.clear()
            self.take(8)

        assert self.queued == []

    @invariant()
    def the_books_agree(self) -> None:
        """Counts are those of the model."""
        if hasattr(self, "queues"):
            assert len(self.queues) == len(self.queued)
            for lane in ("live", "replay"):
                assert self.queues.queued(lane) == sum(item.lane == lane for item in self.queued)
            assert sum(item.lane == "replay" for item in self.out) <= REPLAY_SLOTS


AdmissionMachine.TestCase.settings = settings(max_examples=4 * settings().max_examples)
TestAdmission = AdmissionMachine.TestCase


@given(
    costs=st.lists(st.integers(100, MAX_TOKENS), min_size=2, max_size=5),
    window=st.integers(1, 16),
    partitions=st.integers(1, 3),
    step_s=st.floats(0.0, 1.0),
)
def test_no_tenant_is_starved(costs: list[int], window: int, partitions: int, step_s: float) -> None:
    """While all tenants wait, each gets its share of the tokens, whatever its messages cost and however old they are.

    Up to one slot in four goes by age; the rest is shared evenly.
    """
    clock = [0.0]
    queues: Admission[Entry] = Admission(
        tenant_messages=100,
        tenant_bytes=10**9,
        replay_slots=1,
        same_id_messages=9,
        messages=10**9,
        size_bytes=10**12,
        aging_s=5.0,
        clock=lambda: clock[0],
    )
    served: Counter[str] = Counter()
    offset = 0
    while sum(served.values()) < 20 * len(costs) * max(MAX_TOKENS, QUANTUM_TOKENS):
        for tenant, tokens in enumerate(costs):
            while queues.room(str(tenant)).messages:
                offset += 1
                queues.offer(
                    Entry(
                        tenant_id=str(tenant),
                        message_id=str(offset),
                        partition=offset % partitions,
                        offset=offset,
                        tokens=tokens,
                        size_bytes=1,
                    )
                )
        clock[0] += step_s
        for item in queues.take(window):
            served[item.tenant_id] += item.tokens
            queues.release(item)

    fair = sum(served.values()) / len(costs)
    dearest = max(costs)
    cheapest = min(costs)
    # In the worst case every aged slot carries the dearest message and every other one the cheapest.
    aged = dearest / (dearest + (AGED_ONE_IN - 1) * cheapest)
    assert min(served[str(tenant)] for tenant in range(len(costs))) >= (1 - aged) * fair - 3 * MAX_TOKENS
