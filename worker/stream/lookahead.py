"""Whether reading on past tenants whose queues are full still helps anyone. Pure; the clock is injected.

A tenant that sends more than its queue holds is read past, so that others behind it get their turn.
Where every tenant that was seen lately is past its queue, nobody waits behind: the worker is merely
slower than its input. Then reading on would only fill the memory with offsets, and intake waits.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

#: Tenants that are remembered. Names come from messages, so that strangers could fill the memory with them;
#: where so many others were within their queues lately, one that was not needed is not missed.
MOST_TENANTS: Final = 1000


class Lookahead:
    """Remembers which tenants were within their queues lately."""

    def __init__(
        self, *, asked_from: int, most: int, memory_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember nobody.

        Args:
            asked_from: deferred messages from which on the question is asked.
            most: deferred messages at which intake waits in any case, so that memory is bounded.
            memory_s: how long a tenant that sends nothing is remembered.
            clock: seconds that never go back.

        """
        self._asked_from = asked_from
        self._most = most
        self._memory_s = memory_s
        self._clock = clock
        # The one that was seen longest ago comes first.
        self._within: OrderedDict[str, float] = OrderedDict()

    def admitted(self, tenant_id: str) -> None:
        """Note that a tenant's message found room in its queue."""
        self._within[tenant_id] = self._clock()
        self._within.move_to_end(tenant_id)
        if len(self._within) > MOST_TENANTS:
            self._within.popitem(last=False)

    def deferred(self, tenant_id: str) -> None:
        """Note that a tenant's message did not."""
        self._within.pop(tenant_id, None)

    def futile(self, deferred: int) -> bool:
        """Tell whether nobody gains by reading on, or too much is deferred already."""
        if deferred < self._asked_from:
            return False
        if deferred >= self._most:
            return True
        oldest_s = self._clock() - self._memory_s
        while self._within:
            tenant_id, seen_s = next(iter(self._within.items()))
            if seen_s >= oldest_s:
                return False
            del self._within[tenant_id]
        return True
