"""Rehearsals beside live messages, without Kafka: what is sampled, what is dropped, what never happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from tests.support.dataplane import FixedPolicies
from tests.support.dataplane import message as raw
from tests.support.streaming import MemoryDelivery, open_ledger, record, state_with
from tests.support.waiting import wait_until
from worker.errors import EngineAborted, EngineDead, EngineError
from worker.judge.judgement import Judge, Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectiveCategory, EffectivePolicy, Judging, Rehearsal
from worker.records import PLATFORM, Message, PolicyPart, Source, decode_message
from worker.stream.delivery import Delivery
from worker.stream.pipeline import Pipeline
from worker.stream.publisher import Publisher
from worker.stream.shadow import PRIORITY, Shadow, sampled
from worker.stream.shadow_output import ShadowOutput, shadow_settings

U8 = EffectiveCategory(scope=PLATFORM, id="U8", name="Insults", action="hold")


def rehearsal(digest: str = "d1", languages: tuple[str, ...] = ()) -> Rehearsal:
    """Return a policy under rehearsal that knows U8 alone."""
    parts = (PolicyPart(scope=PLATFORM, version=2, digest=digest, offset=1),)
    effective = EffectivePolicy(judging=Judging(categories=(U8,), languages=languages), parts=parts)
    return Rehearsal(scope=PLATFORM, digest=digest, effective=effective)


class RehearsedPolicies(FixedPolicies):
    """The fixed policy, and some that are rehearsed."""

    def __init__(self, *tried: Rehearsal) -> None:
        """Hold what is tried."""
        super().__init__()
        self.tried = tried

    def rehearsals(self, tenant_id: str, channel_id: str | None) -> tuple[Rehearsal, ...]:  # noqa: ARG002
        """Return what is tried, for everybody."""
        return self.tried


class NotedJudge(ScriptedJudge):
    """Notes priorities and how much it has at once; waits at a gate; raises what the test says."""

    def __init__(self, error: Exception | None = None) -> None:
        """Open the gate."""
        super().__init__()
        self.priorities: list[int] = []
        self.busy = self.most_busy = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error = error

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge by the rules, once the gate is open where the message is rehearsed."""
        self.priorities.append(priority)
        if priority:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            try:
                await self.gate.wait()
            finally:
                self.busy -= 1
            if self.error is not None:
                raise self.error
        return await super().judge(message, policy, priority=priority)


class Rig:
    """A shadow into memory, and a pipeline before it."""

    def __init__(self, judge: Judge | None = None, *tried: Rehearsal, **settings: Any) -> None:
        """Build the parts; everything is sampled."""
        self.state = state_with(**({"shadow_share": 1.0} | settings))
        self.judge = judge or NotedJudge()
        self.policies = RehearsedPolicies(*(tried or (rehearsal(),)))
        self.live, self.written = MemoryDelivery(), MemoryDelivery()
        output = ShadowOutput(self.state.settings, self.judge, cast("Delivery", Closing(self.written)))
        self.shadow = Shadow(self.state.settings, self.judge, self.policies, self.state.metrics, output)
        publisher = Publisher(self.state, cast("Delivery", self.live))
        self.pipeline = Pipeline(self.state, self.judge, self.policies, publisher, self.shadow.offer)

    def offer(self, *numbers: int, text: str = "hello") -> None:
        """Offer messages straight to the shadow."""
        for number in numbers:
            value = raw(number, text)
            self.shadow.offer(record(number, value), decode_message(value))

    async def settled(self) -> None:
        """Wait until nothing is rehearsed any more."""
        await wait_until(lambda: not self.shadow._tasks, 10)

    def verdicts(self, delivery: MemoryDelivery | None = None, name: str = "shadow-verdicts") -> list[dict[str, Any]]:
        """Return what was published."""
        found = (delivery or self.written).written
        return [json.loads(row.value or b"") for topic, row in found if topic == name]

    def dropped(self, reason: str) -> float:
        """Return how many were dropped for a reason."""
        return float(self.state.metrics.shadow_dropped.labels(reason)._value.get())


class Closing:
    """A delivery that can be closed too."""

    def __init__(self, inner: MemoryDelivery) -> None:
        """Pass everything on."""
        self.write, self.abandon = inner.write, inner.abandon

    async def close(self, timeout_s: float) -> None:
        """Nothing is open."""


async def test_a_live_message_is_judged_a_second_time() -> None:
    """The live verdict is as ever; the other one says which policy it was rehearsed under, and stands apart."""
    rig, ledger = Rig(), open_ledger(0)
    rig.pipeline.accept(record(0, raw(0, "[unsafe:U7][unsafe:U8]")), ledger)
    rig.pipeline.pump()
    await asyncio.wait_for(rig.pipeline.drained({0}), 10)
    await rig.settled()
    (live,), (shadow,) = rig.verdicts(rig.live, "verdicts"), rig.verdicts()

    assert (live["mode"], live["run_id"], [one["id"] for one in live["categories"]]) == ("live", None, ["U7"])
    assert (shadow["mode"], shadow["run_id"], [one["id"] for one in shadow["categories"]]) == ("shadow", "d1", ["U8"])
    assert (shadow["source"], shadow["action"]) == (live["source"], "hold")
    assert shadow["verdict_id"] != live["verdict_id"]
    assert set(rig.written.topics()) == {"shadow-traces", "shadow-verdicts"}
    assert set(rig.live.topics()) == {"traces", "verdicts"}
    assert rig.judge.priorities == [0, PRIORITY]  # type: ignore[attr-defined]
    assert rig.state.metrics.shadow_judged._value.get() == 1


async def test_each_policy_under_rehearsal_judges() -> None:
    """Two rehearsals of one message have two outcomes, with ids of their own."""
    rig = Rig(None, rehearsal("d1"), rehearsal("d2"))
    rig.offer(0)
    await rig.settled()
    assert [one["run_id"] for one in rig.verdicts()] == ["d1", "d2"]
    assert len({one["verdict_id"] for one in rig.verdicts()}) == 2


async def test_a_full_queue_drops_the_oldest() -> None:
    """While the judge is busy no more waits than the setting says; what is dropped is counted."""
    judge = NotedJudge()
    judge.gate.clear()
    rig = Rig(judge, shadow_queue_messages=3, shadow_in_flight=2)
    rig.offer(*range(2))
    await wait_until(lambda: judge.busy == 2, 5)
    rig.offer(*range(2, 9))
    assert rig.dropped("queue") == 4
    judge.gate.set()
    await rig.settled()
    assert sorted(one["message_id"] for one in rig.verdicts()) == ["m0", "m1", "m6", "m7", "m8"]
    assert judge.most_busy == 2


async def test_large_messages_fill_the_queue_sooner() -> None:
    """What waits is bounded in bytes too: an eighth of the memory for messages."""
    judge = NotedJudge()
    judge.gate.clear()
    rig = Rig(judge, buffer_mib=1, shadow_in_flight=1)
    rig.offer(*range(10), text="x" * 50_000)
    assert len(rig.shadow._queue) == 2
    assert rig.dropped("queue") == 8
    judge.gate.set()
    await rig.settled()


@pytest.mark.parametrize(
    "error, reason",
    [
        (EngineDead("gone"), "engine"),
        (EngineAborted("cut short"), "engine"),
        (EngineError("no"), "engine"),
        (ZeroDivisionError("the text"), "error"),
    ],
)
async def test_what_fails_is_counted_and_forgotten(
    error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is published, the worker goes on, and no log line holds an error's text."""
    rig = Rig(NotedJudge(error))
    rig.offer(0, 1)
    await rig.settled()
    assert (rig.verdicts(), rig.dropped(reason), rig.state.failure) == ([], 2, None)
    assert "the text" not in caplog.text


@pytest.mark.parametrize("status, published", [("timeout", 0), ("engine_error", 0), ("truncated", 1)])
async def test_a_judgement_without_answer_is_no_finding(status: str, published: int) -> None:
    """Who waits behind live messages runs out of time: that says nothing about the policy."""
    rig = Rig()
    rig.offer(0, text=f"[fail:{status}]")
    await rig.settled()
    assert len(rig.verdicts()) == published
    assert rig.dropped("engine") == 1 - published


async def test_a_foreign_language_is_not_judged() -> None:
    """As for live messages: the policy does not take it, and the judge is not asked."""
    judge = NotedJudge()
    rig = Rig(judge, rehearsal(languages=("en",)))
    value = raw(0, language="fr")
    rig.shadow.offer(record(0, value), decode_message(value))
    await rig.settled()
    assert [one["status"] for one in rig.verdicts()] == ["language_unsupported"]
    assert judge.priorities == []


async def test_a_source_that_breaks_stops_nobody() -> None:
    """Whatever the policies raise, the live message has its verdict."""

    class Broken(RehearsedPolicies):
        def rehearsals(self, tenant_id: str, channel_id: str | None) -> tuple[Rehearsal, ...]:
            raise KeyError(tenant_id, channel_id)

    rig = Rig()
    shadow = Shadow(rig.state.settings, rig.judge, Broken(), rig.state.metrics)
    shadow.offer(record(0, raw(0)), decode_message(raw(0)))
    assert rig.dropped("error") == 1


async def test_a_source_without_rehearsals_rehearses_nothing() -> None:
    """Other sources of policies go on working."""
    rig = Rig()
    shadow = Shadow(rig.state.settings, rig.judge, FixedPolicies(), rig.state.metrics)
    shadow.offer(record(0, raw(0)), decode_message(raw(0)))
    assert not shadow._queue
    await shadow.stop(1)


async def test_a_trace_above_the_limit_goes_without_its_texts() -> None:
    """The verdict stands, and the reasoning's digest is kept."""
    rig = Rig()
    rig.offer(0)
    await rig.settled()
    (whole,) = rig.verdicts(name="shadow-traces")
    rig.written.limits = {"shadow_traces": len(json.dumps(whole, separators=(",", ":"))) - 1}
    rig.offer(1)
    await rig.settled()
    redacted = rig.verdicts(name="shadow-traces")[-1]
    assert (redacted["reasoning"], redacted["reasoning_digest"]) == (None, whole["reasoning_digest"])
    assert len(rig.verdicts()) == 2


async def test_small_engines_lend_fewer_slots() -> None:
    """A rehearsal takes at most a quarter of what the engine runs at once, and one at least."""
    judge = NotedJudge()
    judge.gate.clear()
    rig = Rig(judge, max_num_seqs=8, shadow_in_flight=4)
    rig.offer(*range(4))
    await wait_until(lambda: judge.busy == 2, 5)
    judge.gate.set()
    await rig.settled()
    assert (judge.most_busy, len(rig.verdicts())) == (2, 4)


async def test_a_verdict_above_the_limit_is_counted() -> None:
    """A verdict that does not fit its topic is counted, and nobody waits for it."""
    rig = Rig()
    rig.written.limits = {"shadow_verdicts": 10}
    rig.offer(0)
    await rig.settled()
    assert (rig.dropped("size"), rig.verdicts()) == (1, [])


async def test_the_end_is_bounded() -> None:
    """What waits is dropped; what hangs is cut off, and its records are never sent."""
    judge = NotedJudge()
    judge.gate.clear()
    rig = Rig(judge, shadow_in_flight=1)
    rig.offer(0, 1, 2)
    await wait_until(lambda: judge.busy, 5)
    await asyncio.wait_for(rig.shadow.stop(0.1), 5)
    assert (rig.verdicts(), rig.written.abandoned, judge.busy) == ([], 1, 0)
    rig.offer(3)
    assert not rig.shadow._queue


def test_the_sample_is_repeatable_and_fair() -> None:
    """The same messages at every attempt; a larger share holds the smaller one; about the share of all."""
    sources = [Source(topic="m", partition=n % 4, offset=n, timestamp=1_700_000_000_000 + n) for n in range(4000)]
    tenth = {source.offset for source in sources if sampled(source, 0.1)}
    half = {source.offset for source in sources if sampled(source, 0.5)}

    assert tenth == {source.offset for source in sources if sampled(source, 0.1)}
    assert tenth < half
    assert 320 < len(tenth) < 480
    assert not any(sampled(source, 0.0) for source in sources)
    assert all(sampled(source, 1.0) for source in sources)


def test_the_client_has_a_name_of_its_own() -> None:
    """A broker can give it a quota, and an audit log tells it from the worker."""
    settings = state_with(instance_id="w1").settings
    assert (shadow_settings(settings).instance, settings.instance) == ("w1-shadow", "w1")


async def test_nothing_is_rehearsed_while_a_live_message_has_to_be_alone() -> None:
    """What waits is rehearsed with the next message once that is over."""
    rig, must_wait = Rig(), [True]
    rig.shadow.wait_while(lambda: must_wait[0])
    rig.offer(1)
    await rig.settled()

    assert (rig.verdicts(), rig.shadow.busy) == ([], False)

    must_wait[0] = False
    rig.offer(2)

    assert rig.shadow.busy

    await rig.settled()

    assert [verdict["message_id"] for verdict in rig.verdicts()] == ["m1", "m2"]
