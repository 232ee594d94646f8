"""What goes wrong, and when: a list of faults from a seed. Pure.

The kinds of fault stand on a wheel. Each seed takes its part of the wheel, beginning where the seed before
ends, and shuffles it: so a run over several seeds has every kind about equally often, and a seed alone gives
the same faults as it gives in that run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

#: What each kind of fault does, by name: the wheel of the seeds with the scripted engine.
SCRIPTED: Final[dict[str, str]] = {
    "worker_kill": "SIGKILL for a worker",
    "broker_kill": "SIGKILL for the broker",
    "network_stall": "the network of all workers holds its bytes for less than a session",
    "policy_change": "a new floor, and one that is refused",
    "worker_pause": "SIGSTOP of a worker for less than its session",
    "disk_full": "every write of the broker to a file fails (RLIMIT_FSIZE, which ends it as a full disk does)",
    "rebalance_storm": "strangers join and leave the group in quick succession",
    "clock_jump": "the time of day of all workers jumps, forwards or backwards, by seconds to days",
    "worker_interrupt": "Ctrl-C to the whole process group of a worker",
    "broker_pause": "SIGSTOP of the broker",
    "network_cut": "every connection is cut, and none is let in for a while",
    "worker_stall": "SIGSTOP of a worker until the group has given it up",
    "poison": "records that are no messages, and null values",
    "disk_slow": "the broker stops and goes on in bursts, as if its disk were slow",
    "rolling_restart": "each worker in turn: SIGTERM, and a new one in its place",
    "broker_restart": "the broker ends in order and comes back",
    "network_partition": "one worker's network holds its bytes until the group has given it up",
}
#: The same for a real engine, which has a process of its own and takes half a minute to start.
REAL: Final[dict[str, str]] = {
    "engine_kill": "SIGKILL for the engine process of a worker",
    "engine_pause": "SIGSTOP of the engine process, until the watchdog sees it",
    "worker_kill": SCRIPTED["worker_kill"],
    "worker_interrupt": SCRIPTED["worker_interrupt"],
}
MEANINGS: Final[dict[str, str]] = SCRIPTED | REAL
#: Faults in which a worker is out of reach for longer than its session: their doubles are counted apart.
BEYOND_SESSION: Final = frozenset({"worker_stall", "network_partition"})

_DAY_S: Final = 86_400.0


class Fault(Struct, frozen=True, kw_only=True):
    """One fault.

    Attributes:
        kind: a name of ``MEANINGS``.
        at: the share of the messages sent for it that have their outcome when it comes.
        target: which worker, counted round.
        seconds: how long it lasts, where that is not decided by a condition.
        jump_s: by how much the time of day jumps.
        waits: whether the next fault waits for the recovery from this one.

    """

    kind: str
    at: float
    target: int
    seconds: float
    jump_s: float
    waits: bool


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that a seed decides."""

    seed: int
    engine: str
    messages: int
    faults: tuple[Fault, ...]
    only: tuple[str, ...] = ()


def make_plan(seed: int, *, messages: int, faults: int, engine: str = "scripted", only: Sequence[str] = ()) -> Plan:
    """Return the plan of a seed.

    Args:
        seed: any integer.
        messages: how many messages are sent in all.
        faults: how many faults there are.
        engine: ``scripted`` or ``real``.
        only: kinds of fault to take; all that the engine allows if empty.

    """
    rng = random.Random(seed)
    wheel = list(only or (SCRIPTED if engine == "scripted" else REAL))
    kinds = [wheel[(seed * faults + place) % len(wheel)] for place in range(faults)]
    rng.shuffle(kinds)
    found = tuple(_fault(rng, kind) for kind in kinds)
    return Plan(seed=seed, engine=engine, messages=messages, faults=found, only=tuple(only))


def _fault(rng: random.Random, kind: str) -> Fault:
    return Fault(
        kind=kind,
        at=round(rng.uniform(0.1, 0.6), 2),
        target=rng.randrange(3),
        seconds=round(rng.uniform(1.0, 4.5), 2),
        jump_s=round(rng.choice((-1, 1)) * rng.choice((5.0, 900.0, 7200.0, 40 * _DAY_S)), 1),
        waits=rng.random() < 0.7,
    )
