"""The demonstration: two passes of messages with a policy change between them, then what it all came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from aiokafka import ConsumerRecord

from worker.client import DeadLetter, Follower, Outgoing, Place, each, outgoing, places_in, send_all
from worker.config import Settings
from worker.demo import report
from worker.demo.outcomes import Outcomes
from worker.demo.samples import BROKEN, CHANGING, STRICT, TENANTS, Sample, load, policy_bytes, version_of
from worker.demo.stage import Stage, publish_policy
from worker.demo.summary import ChangeTiming, Pass, Summary, digests, summarise
from worker.demo.view import View
from worker.errors import DecodeError, StreamError
from worker.records import PLATFORM, PolicyApplied, Verdict, decode

#: Silence after which outcomes that have not come count as lost.
SILENCE_S: Final = 60.0
_APPLIED_TIMEOUT_S: Final = 30.0


async def demo(settings: Settings, view: View, *, keep: bool = False) -> Summary:
    """Play everything and return the numbers; nothing is left running. ``keep`` waits for Ctrl-C before the end.

    Raises:
        WorkerError: something did not come up or went away.

    """
    samples = load()
    async with Stage(settings, view) as stage:
        play = _Play(stage, view)
        try:
            summary = await play.run(samples)
            report.numbers(view, summary)
            if keep:
                report.kept(view, stage.settings)
                await _until_interrupted()
            view.say("\nWorker and broker are being ended.")
        finally:
            await play.close()
    return summary


async def _until_interrupted() -> None:
    """Wait for Ctrl-C, which here is the ordinary end."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task.uncancel()


class _Play:
    """One run of the demonstration on its stage."""

    def __init__(self, stage: Stage, view: View) -> None:
        self._stage = stage
        self._settings = stage.settings
        self._view = view
        self._follower = Follower(
            stage.settings, ("verdicts", "traces", "dead-letters", "policy-applied"), from_start=True
        )
        self._outcomes = Outcomes(stage.settings)
        self._applied: dict[tuple[str, int], float] = {}
        self._texts: dict[Place, str] = {}
        self._first_at: dict[str | None, float] = {}

    async def run(self, samples: Sequence[Sample]) -> Summary:
        await self._follower.start()
        await self._until_applied({(name, version_of(name)) for name in (PLATFORM, *TENANTS)})
        first = await self._pass("messages of three tenants, and one without a policy", samples, BROKEN)
        before = digests(self._outcomes.verdicts, first.samples)
        published_at = await self._change_policy()
        again = [_again(sample) for sample in samples if sample.message.tenant_id == CHANGING]
        second = await self._pass(f"the messages of {CHANGING} again", again, ())
        timing = ChangeTiming(
            in_force_s=_since(published_at, self._applied.get((CHANGING, version_of(STRICT)))),
            first_verdict_s=_since(published_at, self._first_after(before)),
        )
        self._view.settle()
        passes = (first, second)
        inputs = await places_in(self._settings, "messages")
        summary = summarise(self._settings.engine, inputs, self._outcomes, passes, timing)
        report.traces(self._view, self._outcomes, passes)
        report.changed(self._view, self._outcomes, passes)
        return summary

    async def close(self) -> None:
        await self._follower.stop()

    async def _change_policy(self) -> float:
        published_at = await publish_policy(self._settings, CHANGING, policy_bytes(STRICT))
        self._view.say(f"\nThe policy of {CHANGING} is changed: swearing and insults are no longer allowed.\n")
        await self._until_applied({(CHANGING, version_of(STRICT))})
        return published_at

    async def _until_applied(self, wanted: set[tuple[str, int]]) -> None:
        """Wait for the worker's word that it judges by these versions of these scopes."""
        deadline = time.monotonic() + _APPLIED_TIMEOUT_S
        while not wanted <= self._applied.keys():
            await self._take()
            if time.monotonic() > deadline:
                missing = sorted(wanted - self._applied.keys())
                text = f"the worker did not take the policy of {missing[0][0]} within {_APPLIED_TIMEOUT_S:.0f} s"
                raise StreamError(text)

    async def _pass(self, title: str, samples: Sequence[Sample], broken: Sequence[bytes]) -> Pass:
        """Send everything at once, and follow until each place has its outcome or nothing comes any more."""
        began = time.monotonic()
        self._view.outcomes(title, len(samples) + len(broken))
        rows = [outgoing(sample.message) for sample in samples] + [Outgoing(None, value) for value in broken]
        places = [place async for place in send_all(self._settings, each(rows))]
        sent = dict(zip(places, samples, strict=False))
        self._texts |= {place: sample.message.text for place, sample in sent.items()}
        ended = await self._until_outcomes(set(places))
        return Pass(samples=sent, broken=len(broken), duration_s=ended - began)

    async def _until_outcomes(self, places: set[Place]) -> float:
        heard = time.monotonic()
        while not places <= self._outcomes.places and time.monotonic() - heard < SILENCE_S:
            if not self._stage.worker.alive():
                raise self._stage.worker.why()
            if await self._take():
                heard = time.monotonic()
        return heard

    async def _take(self) -> bool:
        """Take in what has come; tell whether an outcome was among it."""
        taken = [self._take_one(record) for record in await self._follower.poll()]
        return any(taken)

    def _take_one(self, record: ConsumerRecord) -> bool:
        if record.topic == self._settings.topic("policy-applied"):
            applied = decode(record.value, PolicyApplied, DecodeError)
            self._applied.setdefault((applied.scope, applied.version or 0), time.monotonic())
            return False
        outcome = self._outcomes.take(record)
        if outcome is None:
            return False
        self._show(outcome)
        return True

    def _show(self, outcome: Verdict | DeadLetter) -> None:
        if isinstance(outcome, DeadLetter):
            self._view.outcome(outcome, "")
            return
        assert outcome.source.partition is not None
        assert outcome.source.offset is not None
        if outcome.tenant_id == CHANGING:
            self._first_at.setdefault(outcome.policy.digest, time.monotonic())
        self._view.outcome(outcome, self._texts.get((outcome.source.partition, outcome.source.offset), ""))

    def _first_after(self, before: set[str | None]) -> float | None:
        return min((at for digest, at in self._first_at.items() if digest not in before), default=None)


def _again(sample: Sample) -> Sample:
    """Return the same text as a new message."""
    again = msgspec.structs.replace(sample.message, message_id=f"{sample.message.message_id}-again")
    return msgspec.structs.replace(sample, message=again)


def _since(start: float, moment: float | None) -> float | None:
    return None if moment is None else max(0.0, moment - start)
