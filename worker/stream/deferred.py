"""Messages past their tenant's queue: only their offsets are kept, to be read again later. Pure.

A tenant that sends more than its queue holds must neither stop its partition for the others nor fill
the memory. Its excess waits here in the order of arrival, and everything that follows waits behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import NamedTuple


class DeferredOffset(NamedTuple):
    """A message that was read once and let go.

    ``timestamp`` is Kafka's, in milliseconds; ``epoch`` is that of the partition's ledger; ``since_s`` is
    when it was read first, by the worker's clock.
    """

    tenant_id: str
    partition: int
    offset: int
    timestamp: int
    epoch: int
    since_s: float


class Deferred:
    """Offsets by tenant, each tenant's bounded, first in first out."""

    def __init__(self, *, tenant_messages: int) -> None:
        """Remember the most offsets of one tenant."""
        self._tenant_messages = tenant_messages
        self._tenants: dict[str, deque[DeferredOffset]] = {}
        self._reading: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many offsets wait, those being read again included."""
        return self._count

    def holds(self, tenant_id: str) -> bool:
        """Tell whether messages of the tenant wait here, so that a new one must queue behind them."""
        return tenant_id in self._tenants or tenant_id in self._reading

    def add(self, item: DeferredOffset) -> bool:
        """Defer a message; False if the tenant has too many already."""
        queue = self._tenants.setdefault(item.tenant_id, deque())
        if len(queue) + self._reading.get(item.tenant_id, 0) >= self._tenant_messages:
            return False
        queue.append(item)
        self._count += 1
        return True

    def choose(self, room: Callable[[str], int], count: int, expired_before_s: float) -> list[DeferredOffset]:
        """Take out what to read again now: what fits its tenant's queue, and what has waited too long.

        Args:
            room: how many messages of a tenant fit its queue.
            count: the most to choose.
            expired_before_s: what was deferred before this is chosen whether it fits or not.

        Returns:
            The chosen, each tenant's in order. Each must come back through ``settle``.

        """
        chosen: list[DeferredOffset] = []
        for tenant_id in list(self._tenants):
            queue = self._tenants[tenant_id]
            free = room(tenant_id) - self._reading.get(tenant_id, 0)
            while queue and len(chosen) < count and (free > 0 or queue[0].since_s < expired_before_s):
                chosen.append(queue.popleft())
                self._reading[tenant_id] = self._reading.get(tenant_id, 0) + 1
                free -= 1
            if not queue:
                del self._tenants[tenant_id]
        self._rotate()
        return chosen

    def settle(self, item: DeferredOffset) -> None:
        """Note that a chosen message was read again, whatever came of it."""
        self._count -= 1
        left = self._reading[item.tenant_id] - 1
        if left:
            self._reading[item.tenant_id] = left
        else:
            del self._reading[item.tenant_id]

    def put_back(self, items: Collection[DeferredOffset]) -> None:
        """Return chosen messages that could not be read now, in front of the others."""
        for item in reversed(list(items)):
            self.settle(item)
            self._count += 1
            self._tenants.setdefault(item.tenant_id, deque()).appendleft(item)

    def clear(self) -> None:
        """Forget everything that is not being read again: all partitions were given away."""
        self._count -= sum(map(len, self._tenants.values()))
        self._tenants.clear()

    def _rotate(self) -> None:
        """Let another tenant be first next time."""
        first = next(iter(self._tenants), None)
        if first is not None:
            self._tenants[first] = self._tenants.pop(first)
