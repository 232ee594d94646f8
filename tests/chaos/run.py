"""One seed from its plan to its result: a rig is built, hurt, watched and taken apart, and the topics are read."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from msgspec import Struct

from tests.chaos.faults import FAULTS
from tests.chaos.fleet import processes_with
from tests.chaos.guarantees import Evidence, Outcome, after_stalls, check
from tests.chaos.plan import Fault, Plan
from tests.chaos.rig import END_S, Rig, reached
from tests.chaos.watch import is_of_message, place_of, read_raw
from tests.support.commands import rsafe
from tests.support.processes import processes_about
from worker.errors import WorkerError

#: The longest wait for messages to come through before a fault, for the fault itself, and for the recovery.
_FLOW_S: Final = 60.0
_FAULT_S: Final = 240.0
_RECOVERY_S: Final = {"scripted": 90.0, "real": 600.0}
#: A fault that is not waited for gets so long before the next one comes.
_OVERLAP_S: Final = 3.0
_ORPHANS_S: Final = 15.0
_LINES: Final = 20

Say = Callable[[str], None]


class Injected(Struct, frozen=True, kw_only=True):
    """A fault as it was: at how many outcomes, how long it lasted, and how long until all was well again."""

    kind: str
    outcomes: int
    lasted_s: float
    recovered_s: float | None


class SeedResult(Struct, frozen=True, kw_only=True):
    """What one seed gave.

    Attributes:
        seed, engine: of its plan.
        repeat: the command that does it again.
        messages: records on ``messages``.
        outcomes: records on ``verdicts`` and ``dead-letters``.
        faults: in their order.
        doubled_after: messages with more than one outcome, one of them by a worker that was out of reach for
            longer than its session, by kind of fault.
        broken: what does not hold, by guarantee: at most twenty lines of each.
        counts: how many lines each would have in full.
        took_s: for everything.

    """

    seed: int
    engine: str
    repeat: str
    messages: int
    outcomes: int
    faults: tuple[Injected, ...]
    doubled_after: dict[str, int]
    broken: dict[str, list[str]]
    counts: dict[str, int]
    took_s: float


def repeat_command(plan: Plan) -> str:
    """Return the command that runs a plan again."""
    only = f" --only {' '.join(plan.only)}" if plan.only else ""
    return (
        f"python -m tests.chaos --seed {plan.seed} --messages {plan.messages} --faults {len(plan.faults)}"
        f" --engine {plan.engine}{only}"
    )


async def run_seed(plan: Plan, folder: Path, say: Say) -> SeedResult:
    """Run a plan.

    Args:
        plan: of one seed.
        folder: an empty one for the broker's data and all logs; it stays.
        say: told what happens, line by line.

    """
    began_s = time.monotonic()
    rig = Rig(plan, folder)
    injected: list[Injected] = []
    late: list[str] = []
    async with rig:
        for fault in plan.faults:
            injected.append(await _inject(rig, fault, late))
            say(f"seed {plan.seed}: {injected[-1]}")
        if not await reached(rig.settled, _RECOVERY_S[plan.engine]):
            late.append(f"{len(rig.sent - rig.watch.places)} messages have no outcome at the end")
        await rig.fleet.stop(END_S)
        evidence = await _evidence(rig, late)
    evidence.orphans.extend(await _orphans(rig, folder))
    broken = check(evidence)
    return SeedResult(
        seed=plan.seed,
        engine=plan.engine,
        repeat=repeat_command(plan),
        messages=len(evidence.inputs),
        outcomes=len(evidence.outcomes),
        faults=tuple(injected),
        doubled_after=dict(Counter(after_stalls(evidence).values())),
        broken={name: lines[:_LINES] for name, lines in broken.items()},
        counts={name: len(lines) for name, lines in broken.items()},
        took_s=round(time.monotonic() - began_s, 1),
    )


async def _inject(rig: Rig, fault: Fault, late: list[str]) -> Injected:
    """Send half of the fault's messages, wait until some are judged, send the rest, and do it."""
    half = rig.plan.messages // len(rig.plan.faults) // 2
    before = len(rig.watch.places)
    await rig.send_messages(half)
    await rig.until_outcomes(before + round(half * fault.at), _FLOW_S)
    await rig.send_messages(half)
    outcomes, began_s = len(rig.watch.places), time.monotonic()
    try:
        async with asyncio.timeout(_FAULT_S):
            await FAULTS[fault.kind](rig, fault)
    except (AssertionError, OSError, KafkaError, WorkerError) as error:  # TimeoutError is an OSError
        late.append(f"{fault.kind} at {outcomes} outcomes: {type(error).__name__} {error}")
        await rig.broker.start()
    ended_s = time.monotonic()
    patience_s = _RECOVERY_S[rig.plan.engine] if fault.waits else _OVERLAP_S
    recovered = await reached(rig.settled, patience_s)
    if fault.waits and not recovered:
        late.append(f"{fault.kind} at {outcomes} outcomes: not recovered from in {patience_s:g} s")
    return Injected(
        kind=fault.kind,
        outcomes=outcomes,
        lasted_s=round(ended_s - began_s, 1),
        recovered_s=round(time.monotonic() - ended_s, 1) if recovered else None,
    )


async def _evidence(rig: Rig, late: list[str]) -> Evidence:
    inputs = {(one.partition, one.offset): one.value for one in await read_raw(rig.settings, "messages")}
    outcomes = [_verdict(one) for one in await read_raw(rig.settings, "verdicts")]
    outcomes += [_letter(one) for one in await read_raw(rig.settings, "dead-letters") if is_of_message(one)]
    return Evidence(
        engine=rig.plan.engine,
        inputs=inputs,
        outcomes=outcomes,
        traces={json.loads(one.value)["trace_id"] for one in await read_raw(rig.settings, "traces")},
        policies=rig.policies,
        stalled=rig.fleet.stalled,
        audit=await _audit(rig),
        trouble=list(rig.fleet.trouble) + [f"{place} is gone" for place in sorted(rig.sent - inputs.keys())],
        late=late,
        orphans=[],
    )


def _verdict(record: ConsumerRecord) -> Outcome:
    headers = dict(record.headers)
    return Outcome(
        topic="verdicts",
        partition=record.partition,
        place=place_of(record, letter=False),
        writer=headers["ce_source"].decode(),
        verdict=json.loads(record.value),
    )


def _letter(record: ConsumerRecord) -> Outcome:
    place = place_of(record, letter=True)
    return Outcome(topic="dead-letters", partition=record.partition, place=place, value=record.value)


async def _audit(rig: Rig) -> dict[str, Any]:
    """Ask this program's own audit."""
    _, out, err = await rsafe(rig.settings, "audit", "verify", "--json")
    if not out:
        text = f"audit verify printed nothing: {err}"
        raise AssertionError(text)
    return dict(json.loads(out))


async def _orphans(rig: Rig, folder: Path) -> list[str]:
    """Name the workers, engines and brokers that are still there a while after the end."""

    def left() -> list[int]:
        return processes_with(rig.prefix) + processes_about(str(folder))

    return [] if await reached(lambda: not left(), _ORPHANS_S) else [f"process {pid}" for pid in left()]
