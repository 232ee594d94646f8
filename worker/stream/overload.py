"""The overload ladder: what is left out when messages wait too long, tenant by tenant. Pure; the clock is injected.

The operator declares up to three rungs, each with a wait: from there on the reasoning is shortened,
then left out, then messages are held, which means not judged: status ``overloaded`` and the policy's
``on_failure``. Nothing is declared by default, and then nothing is ever left out.

What is measured is the time from reading a message to giving it to the judge: it grows whatever is
short, engine, window or a tenant's share. Each tenant has a ladder of its own, since admission is fair:
one that sends ten times its share waits, and loses reasoning, alone.

Each rung is a switch with two limits and two delays. It turns on once every wait was at or above its
limit for a while, and off once every wait was below half of it for a while; higher rungs are slower
to turn on and quicker to turn off. So the rungs are taken in order both ways, one message that waited
long changes nothing, and longer waits never lead to a lower rung.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from worker.config import Settings
from worker.policy.model import EffectivePolicy
from worker.records import Rung

#: A rung is left below this share of its limit.
RELEASE_SHARE: Final = 0.5


class Limit(Struct, frozen=True):
    """One declared rung, and the wait from which on it is taken, in seconds."""

    rung: Rung
    wait_s: float

    @property
    def release_s(self) -> float:
        """The wait below which it is left."""
        return self.wait_s * RELEASE_SHARE


def declared(settings: Settings) -> tuple[Limit, ...]:
    """Return the rungs that the settings declare, the mildest first."""
    limits = (
        Limit("short_reasoning", settings.overload_short_s),
        Limit("label_only", settings.overload_label_s),
        Limit("hold", settings.overload_hold_s),
    )
    return tuple(limit for limit in limits if limit.wait_s)


class _Switch:
    """One rung of one tenant: off or on, and since when every wait says otherwise."""

    __slots__ = ("_fall_s", "_rise_s", "_since_s", "is_on", "limit")

    def __init__(self, limit: Limit, *, rise_s: float, fall_s: float) -> None:
        self.limit = limit
        self._rise_s = rise_s
        self._fall_s = fall_s
        self._since_s: float | None = None
        self.is_on = False

    def reset(self) -> None:
        self.is_on, self._since_s = False, None

    def observe(self, wait_s: float, now_s: float) -> None:
        says_otherwise = wait_s < self.limit.release_s if self.is_on else wait_s >= self.limit.wait_s
        if not says_otherwise:
            self._since_s = None
            return
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s >= (self._fall_s if self.is_on else self._rise_s):
            self.is_on = not self.is_on
            self._since_s = None


class Ladder:
    """One tenant's place.

    Attributes:
        level: how many of the rungs are taken.
        seen_s: when the tenant's last message was looked at.

    """

    __slots__ = ("_limits", "_settle_s", "_switches", "level", "seen_s")

    def __init__(self, limits: tuple[Limit, ...], settle_s: float, now_s: float) -> None:
        """Start at the ground; ``limits`` rise."""
        self._limits = limits
        self._settle_s = settle_s
        count = len(limits)
        self._switches = [
            _Switch(limit, rise_s=settle_s * (place + 1), fall_s=settle_s * (count - place))
            for place, limit in enumerate(limits)
        ]
        self.level = 0
        self.seen_s = now_s

    def observe(self, wait_s: float, now_s: float) -> int:
        """Note that a message leaves the queue after ``wait_s``; return the level that holds for it.

        The level moves by one at most, but down as far as a pause says in which nothing waited.
        """
        self.rest(now_s - wait_s)
        self._feed(wait_s, now_s)
        self.seen_s = now_s
        wanted = self._wanted()
        if wanted < self.level:
            self.level -= 1
        elif wanted > self.level and wait_s >= self._limits[self.level].wait_s:
            self.level += 1
        self._forget(wait_s)
        return self.level

    def _forget(self, wait_s: float) -> None:
        """Begin anew with rungs that are not taken and that this message does not ask for."""
        for switch in self._switches[self.level :]:
            if wait_s < switch.limit.wait_s:
                switch.reset()

    def rest(self, until_s: float) -> None:
        """Note that nothing of the tenant waited from its last message on; a short pause says nothing."""
        if until_s - self.seen_s >= self._settle_s:
            self._feed(0.0, self.seen_s)
            self._feed(0.0, until_s)
            self.level = min(self.level, self._wanted())

    def _feed(self, wait_s: float, now_s: float) -> None:
        for switch in self._switches:
            switch.observe(wait_s, now_s)

    def _wanted(self) -> int:
        return sum(switch.is_on for switch in self._switches)


class Overload:
    """The ladders of all tenants whose messages wait, or waited a moment ago; the others have none."""

    def __init__(self, limits: tuple[Limit, ...], settle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nobody; ``clock`` gives seconds that never go back."""
        self._limits = limits
        self._settle_s = settle_s
        self._clock = clock
        self._ladders: dict[str, Ladder] = {}

    def __len__(self) -> int:
        """Return how many tenants are looked at."""
        return len(self._ladders)

    def rung(self, tenant_id: str, wait_s: float, policy: EffectivePolicy) -> Rung | None:
        """Return the rung that a message is judged at; none where it is judged in full.

        A rung that the policy refuses is a hold for it. Held is only what itself waited long, or
        whatever comes while the rung is left would go unjudged too; it takes the next milder rung.
        """
        level = self._level(tenant_id, wait_s)
        for limit in reversed(self._limits[:level]):
            rung = _permitted(limit.rung, policy)
            if rung != "hold":
                return rung
            if wait_s >= limit.release_s:
                return "hold"
        return None

    def tenants(self, waiting: Callable[[str], bool]) -> dict[Rung, int]:
        """Count the tenants at each declared rung, and forget those that are well.

        ``waiting`` tells whether messages of a tenant wait: where they do, silence is no rest.
        """
        now_s = self._clock()
        for tenant_id, ladder in list(self._ladders.items()):
            if waiting(tenant_id):
                continue
            ladder.rest(now_s)
            if not ladder.level and now_s - ladder.seen_s >= self._settle_s:
                del self._ladders[tenant_id]
        found = Counter(self._limits[ladder.level - 1].rung for ladder in self._ladders.values() if ladder.level)
        return {limit.rung: found[limit.rung] for limit in self._limits}

    def _level(self, tenant_id: str, wait_s: float) -> int:
        if not self._limits:
            return 0
        ladder = self._ladders.get(tenant_id)
        if ladder is None:
            if wait_s < self._limits[0].wait_s:
                return 0
            ladder = self._ladders[tenant_id] = Ladder(self._limits, self._settle_s, self._clock())
        return ladder.observe(wait_s, self._clock())


def _permitted(rung: Rung, policy: EffectivePolicy) -> Rung | None:
    """Return what a rung means under a policy: nothing where nothing can be left out."""
    if rung == "hold":
        return rung
    if not policy.reasons:
        return None
    return "hold" if rung in policy.refused_rungs else rung
