"""What hostile tenants do to the floor: what it finds unsafe, judged again under each of their policies.

A tenant may tighten the floor, so only what loosens it counts: a message that the floor alone finds unsafe and that
is safe, or lacks a hit of the floor, once the tenant's policy stands above it. What is not judged then is not safe
either; it is counted apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec import Struct

from worker.attacks.cases import generate
from worker.attacks.policies import hostile_policies
from worker.audit.intervals import Interval, interval
from worker.demo.samples import policy_bytes
from worker.errors import PolicyInvalid
from worker.judge.judgement import Judge
from worker.judge.verdict import Decision, decide
from worker.policy.accept import Setting, check
from worker.policy.combine import as_if_in_force
from worker.policy.golden import message_of
from worker.policy.model import EffectivePolicy
from worker.policy.pack_starter import starter
from worker.policy.scope import Scope
from worker.records import ACTIONS, PLATFORM, Message, Policy, decode_policy

#: One tenant of the hostile policies.
HOSTILE_TENANT: Final = "hostile"
#: Of what one floor finds unsafe, so much is judged again under every policy.
MOST_UNSAFE: Final = 25
_STARTER: Final = "platform"
_MOST_EXAMPLES: Final = 20


class Guarded(Struct, frozen=True, kw_only=True):
    """A floor and messages to try it with."""

    floor: Policy
    messages: tuple[Message, ...]


class FloorChange(Struct, frozen=True, kw_only=True):
    """What hostile policies do to floors.

    Attributes:
        policies: hostile records in force above each floor.
        messages: what was judged under the floors alone: their golden cases, and attacks with and without wrapping.
        unsafe: how many of these the floors alone find unsafe and were judged again, ``MOST_UNSAFE`` of each at most.
        judged: judgements of these under hostile policies, all together.
        loosened: how many of them are safe or lack one of the floor's hits; the interval is Wilson's 95 %.
        not_judged: how many of them got no label.
        weakened: those of them that lack one of the floor's hits, or whose action is milder than the floor's alone.
        examples: some that were loosened: the number of the hostile policy, and the message's id.

    """

    policies: int
    messages: int
    unsafe: int
    judged: int
    loosened: int
    not_judged: int
    interval: Interval
    weakened: int = 0
    examples: tuple[tuple[int, str], ...] = ()


class Pair(Struct, frozen=True, kw_only=True):
    """One message under a floor alone and under one hostile policy above it, by that policy's number."""

    policy: int
    message_id: str
    alone: Decision
    under: Decision


class FloorReport(Struct, frozen=True, kw_only=True):
    """A measurement of floors, by which model and when."""

    date: dt.datetime
    model: str
    fingerprint: str | None
    change: FloorChange


def floors() -> tuple[Guarded, ...]:
    """Return the demonstration's floor and the starter's, each with its golden cases and all attacks."""
    shown, ready = decode_policy(policy_bytes(PLATFORM)), starter(_STARTER).policy
    cases = generate()
    attacks = dict.fromkeys([*(case.alone for case in cases), *(case.message for case in cases)])
    return tuple(Guarded(floor=floor, messages=(*_golden(floor), *attacks)) for floor in (shown, ready))


def _golden(policy: Policy) -> Iterator[Message]:
    return (message_of(case, index) for index, case in enumerate(policy.golden or ()))


def under_hostile_policies(floor: Policy) -> Iterator[EffectivePolicy]:
    """Yield what a hostile tenant's messages are judged under, for each of its records that is accepted."""
    for policy in hostile_policies():
        with contextlib.suppress(PolicyInvalid):
            check(policy, Scope(HOSTILE_TENANT), Setting(floor=floor))
            yield as_if_in_force(HOSTILE_TENANT, policy, floor)


async def measure_floors(judge: Judge, guarded: Sequence[Guarded], in_flight: int) -> FloorChange:
    """Judge messages under each floor alone, and what is unsafe under each hostile policy, ``in_flight`` at a time.

    Raises:
        EngineDead: nothing can be judged any more.
        EngineAborted: a call was cut short.

    """
    room = asyncio.Semaphore(in_flight)

    async def decided(message: Message, policy: EffectivePolicy) -> Decision:
        async with room:
            return decide(await judge.judge(message, policy), policy)

    found: list[list[Pair]] = []
    for one in guarded:
        floor = as_if_in_force(PLATFORM, one.floor)
        alone = await asyncio.gather(*(decided(message, floor) for message in one.messages))
        chosen = _spread([at for at, decision in enumerate(alone) if decision.label == "unsafe"], MOST_UNSAFE)
        for number, policy in enumerate(under_hostile_policies(one.floor)):
            under = await asyncio.gather(*(decided(one.messages[at], policy) for at in chosen))
            found.append(
                [
                    Pair(policy=number, message_id=one.messages[at].message_id, alone=alone[at], under=decision)
                    for at, decision in zip(chosen, under, strict=True)
                ]
            )
    return _counted(found, guarded)


def _spread(items: Sequence[int], most: int) -> list[int]:
    """Return at most so many of them, evenly chosen."""
    return list(items[:: -(-len(items) // most)]) if items else []


def _counted(found: Sequence[Sequence[Pair]], guarded: Sequence[Guarded]) -> FloorChange:
    pairs = list(chain.from_iterable(found))
    judged = [pair for pair in pairs if pair.under.label is not None]
    loosened = [pair for pair in judged if loosens(pair.alone, pair.under)]
    weakened = [pair for pair in pairs if pair.under.label is None and weakens(pair.alone, pair.under)]
    policies = len(found) // len(guarded)
    return FloorChange(
        policies=policies,
        messages=sum(len(one.messages) for one in guarded),
        unsafe=len(pairs) // policies,
        judged=len(pairs),
        loosened=len(loosened),
        not_judged=len(pairs) - len(judged),
        interval=interval(len(loosened), len(judged)),
        weakened=len(weakened),
        examples=tuple((pair.policy, pair.message_id) for pair in loosened[:_MOST_EXAMPLES]),
    )


def loosens(alone: Decision, under: Decision) -> bool:
    """Tell whether what the floor alone found unsafe is safe now, or lacks one of the floor's hits."""
    return under.label == "safe" or not _floor_hits(alone) <= _floor_hits(under)


def weakens(alone: Decision, under: Decision) -> bool:
    """Tell whether a message that got no label lacks one of the floor's hits, or has a milder action than before."""
    milder = ACTIONS.index(under.action) < ACTIONS.index(alone.action)
    return milder or not _floor_hits(alone) <= _floor_hits(under)


def _floor_hits(decision: Decision) -> frozenset[str]:
    return frozenset(item.id for item in decision.categories if item.hit and item.scope == PLATFORM)
