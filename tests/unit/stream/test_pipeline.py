"""The life of a message between intake and publisher, without Kafka."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, cast

import pytest
from msgspec import structs

from tests.support.dataplane import FixedPolicies
from tests.support.dataplane import message as raw
from tests.support.judges import FailingJudge, WatchedJudge
from tests.support.streaming import MemoryDelivery, open_ledger, record, state_with
from tests.support.waiting import wait_until
from worker.errors import EngineDead
from worker.judge.judgement import Judge, Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import Asking, EffectivePolicy
from worker.records import Message
from worker.stream.deferred import DeferredOffset, Line
from worker.stream.delivery import Delivery
from worker.stream.ledger import PartitionLedger, read_suspects
from worker.stream.pipeline import Pipeline
from worker.stream.publisher import Publisher
from worker.stream.room import Room


class Rig:
    """A pipeline into memory."""

    def __init__(self, judge: Judge | None = None, policies: FixedPolicies | None = None, **settings: Any) -> None:
        """Build the parts."""
        self.state = state_with(**settings)
        self.delivery = MemoryDelivery()
        self.publisher = Publisher(self.state, cast("Delivery", self.delivery))
        self.policies = policies or FixedPolicies()
        self.pipeline = Pipeline(self.state, judge or ScriptedJudge(), self.policies, self.publisher)

    async def run(self, ledger: PartitionLedger, *values: bytes) -> list[dict[str, Any]]:
        """Take values in as offsets from 0 and return the verdicts once all is done."""
        self.take_in(ledger, *values)
        await asyncio.wait_for(self.pipeline.drained({0}), 10)
        return self.verdicts()

    def take_in(self, ledger: PartitionLedger, *values: bytes) -> None:
        """Take values in as offsets from 0."""
        for offset, value in enumerate(values):
            self.pipeline.accept(record(offset, value), ledger)
        self.pipeline.pump()

    def verdicts(self) -> list[dict[str, Any]]:
        """Return what was published as verdicts."""
        return [json.loads(row.value or b"") for name, row in self.delivery.written if name == "verdicts"]


class FickleJudge(ScriptedJudge):
    """Changes the policy in force while it judges."""

    def __init__(self, policies: FixedPolicies, after: EffectivePolicy) -> None:
        """Remember what to change to."""
        super().__init__()
        self._policies = policies
        self._after = after

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Change, then judge under the policy given."""
        self._policies.policy = self._after
        return await super().judge(message, policy, priority=priority)


async def test_messages_and_poison_go_their_ways() -> None:
    """A message is judged, poison becomes a dead letter, and everything is complete and given back."""
    rig, ledger = Rig(), open_ledger(0, 1, 2)
    verdicts = await rig.run(ledger, raw(1, "[unsafe:U7]"), b"poison", raw(2))

    assert [verdict["label"] for verdict in verdicts] == ["unsafe", "safe"]
    assert rig.delivery.topics().count("dead-letters") == 1
    assert ledger.watermark == 3
    assert (rig.state.buffer.messages, rig.state.buffer.bytes) == (0, 0)
    assert rig.pipeline.in_judge == 0


async def test_the_window_is_the_only_concurrency() -> None:
    """Never more messages are in the judge than the window has slots, and no slot stays empty."""
    judge = WatchedJudge()
    rig, ledger = Rig(judge, window=3), open_ledger(*range(10))
    rig.take_in(ledger, *(raw(number, "[sleep:20]") for number in range(10)))
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, rig.pipeline.in_judge)
        return ledger.watermark == 10

    await wait_until(done, 10, interval_s=0.001)

    assert most == 3


class ManyCallsJudge(WatchedJudge):
    """Makes four calls for a message of one tenant."""

    def calls_at_once(self, message: Message, policy: EffectivePolicy | None = None) -> int:
        """Return four for the tenant with the many categories."""
        return 4 if message.tenant_id == "many" else super().calls_at_once(message, policy)


async def test_a_message_takes_as_many_slots_as_it_makes_calls() -> None:
    """Else the calls of a policy with many categories would wait in the engine, and others' behind them."""
    rig, ledger = Rig(ManyCallsJudge(), window=6), open_ledger(*range(20))
    heavy = [raw(number, "[sleep:20]", tenant="many") for number in range(10)]
    rig.take_in(ledger, *heavy, *(raw(number, "[sleep:20]") for number in range(10, 20)))
    seen: list[int] = []

    def done() -> bool:
        running = [work for work, _ in rig.pipeline._running.values()]
        seen.append(sum(work.calls for work in running))
        assert rig.pipeline._calls == seen[-1]
        return ledger.watermark == 20

    await wait_until(done, 10, interval_s=0.001)

    # The last message that is begun may make three calls more than there were slots.
    assert 6 <= max(seen) <= 9
    assert seen[-1] == 0


async def test_a_message_is_judged_by_the_policy_in_force_when_it_leaves_the_queue() -> None:
    """A change while it waits counts; a change while it is judged does not."""
    first, second = FixedPolicies(), FixedPolicies(languages=("en",))
    assert second.policy is not None
    assert first.policy is not None
    before = first.policy.digest
    judge = FickleJudge(first, second.policy)
    rig, ledger = Rig(judge, first, window=1), open_ledger(0, 1)

    verdicts = await rig.run(ledger, raw(1), raw(2))

    assert [verdict["policy"]["digest"] for verdict in verdicts] == [before, second.policy.digest]


async def test_no_policy_is_never_safe_and_takes_no_slot() -> None:
    """Without any policy nothing is judged, and the verdict says so."""
    judge = WatchedJudge()
    rig, ledger = Rig(judge, FixedPolicies(known=False)), open_ledger(0)
    (verdict,) = await rig.run(ledger, raw(1))

    assert (verdict["status"], verdict["label"], verdict["action"]) == ("policy_missing", None, "review")
    assert verdict["policy"] == {"digest": None, "parts": []}
    assert judge.order == []


@pytest.mark.parametrize(
    "languages, language, judged",
    [
        (("en",), "en", True),
        (("en",), "EN-us", True),
        (("en",), "eng", False),
        (("de", "fr"), "fr", True),
        (("de", "fr"), "it", False),
        (("-",), "en", False),
        ((), "tlh", True),
    ],
)
async def test_languages_of_the_policy(*, languages: tuple[str, ...], language: str, judged: bool) -> None:
    """A message in a language that the policy does not name is not judged; a region is part of its language."""
    rig, ledger = Rig(policies=FixedPolicies(languages=languages)), open_ledger(0)
    (verdict,) = await rig.run(ledger, raw(1, language=language))

    assert verdict["status"] == ("judged" if judged else "language_unsupported")


async def test_under_overload_less_is_asked_and_then_nothing() -> None:
    """Rungs in the order of the messages, each in its verdict and counted; what is held is never safe."""
    ladder: dict[str, Any] = {
        "overload_short_s": 0.02,
        "overload_label_s": 0.04,
        "overload_hold_s": 0.06,
        "overload_settle_s": 0.02,
    }
    rig, ledger = Rig(window=1, **ladder), open_ledger(*range(60))
    verdicts = await rig.run(ledger, *(raw(number, "[sleep:10]") for number in range(60)))

    rungs = [verdict.get("degraded") for verdict in verdicts]
    assert list(dict.fromkeys(rungs)) == [None, "short_reasoning", "label_only", "hold"]
    for rung in ("short_reasoning", "label_only", "hold"):
        assert rig.state.metrics.degraded.labels(rung)._value.get() == rungs.count(rung)
    for verdict in verdicts:
        held = verdict.get("degraded") == "hold"
        assert (verdict["status"], verdict["label"]) == (("overloaded", None) if held else ("judged", "safe"))
        assert verdict["action"] == ("review" if held else "allow")
    assert ledger.watermark == 60


async def test_what_was_judged_with_less_is_rehearsed_by_nobody() -> None:
    """A shadow's full verdict beside one that was cut would say nothing about the policy."""
    told: list[str] = []
    rig, ledger = Rig(window=1, overload_label_s=0.01, overload_settle_s=0.01), open_ledger(*range(20))
    rig.pipeline._on_verdict = lambda _, message: told.append(message.message_id)
    verdicts = await rig.run(ledger, *(raw(number, "[sleep:10]") for number in range(20)))
    whole = [verdict["message_id"] for verdict in verdicts if "degraded" not in verdict]

    assert told == whole
    assert 0 < len(whole) < 20


async def test_a_message_read_again_has_waited_since_it_was_read_first() -> None:
    """Its time past its tenant's queue counts: for the verdict's timing and for the overload ladder."""
    rig, ledger = Rig(), open_ledger(0)

    item = DeferredOffset("acme", 0, 0, record(0, b"").timestamp, ledger.epoch, time.monotonic() - 30, 1)
    assert rig.pipeline.readmit(record(0, raw(0)), ledger, item, expired=False)

    rig.pipeline.pump()
    await asyncio.wait_for(rig.pipeline.drained({0}), 10)
    (verdict,) = rig.verdicts()

    assert verdict["timing"]["queue_ms"] >= 30_000


async def test_a_message_in_a_language_of_the_floor_alone() -> None:
    """The floor's categories act although the tenant's part of the policy was not asked."""
    policies = FixedPolicies(languages=("tlh",))
    assert policies.policy is not None
    judging = structs.replace(policies.policy.judging, floor=Asking())
    policies.policy = structs.replace(policies.policy, judging=judging)
    rig, ledger = Rig(policies=policies), open_ledger(0, 1)
    safe, unsafe = await rig.run(ledger, raw(1, language="en"), raw(2, "[unsafe:U7]", language="en"))

    assert {verdict["status"] for verdict in (safe, unsafe)} == {"language_unsupported"}
    assert {verdict["label"] for verdict in (safe, unsafe)} == {None}
    assert [verdict["action"] for verdict in (safe, unsafe)] == ["review", "block"]


async def test_a_dead_engine_stops_everything() -> None:
    """Nothing is published or completed for what was in the judge, and nothing new begins."""
    rig, ledger = Rig(FailingJudge(), window=1), open_ledger(0, 1, 2)
    rig.take_in(ledger, raw(1), raw(2, "[dead]"), raw(3))
    await asyncio.wait_for(rig.state.failed.wait(), 10)
    await rig.publisher.drained({0})

    assert isinstance(rig.state.failure, EngineDead)
    assert len(rig.verdicts()) == 1
    assert ledger.watermark == 1

    rig.pipeline.pump()

    assert rig.pipeline.in_judge == 1


class RecordingJudge(WatchedJudge):
    """Remembers what was in the judge together with each message, and dies of a text that says so."""

    def __init__(self) -> None:
        """Nothing is in it."""
        super().__init__()
        self.inside: set[str] = set()
        self.together: dict[str, set[str]] = {}

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge by the rules."""
        self.inside.add(message.message_id)
        for one in self.inside:
            self.together[one] = self.together.get(one, set()) | self.inside
        try:
            found = await super().judge(message, policy, priority=priority)
            if "[dead]" in message.text:
                raise EngineDead(message.message_id)
        finally:
            self.inside.discard(message.message_id)
        return found


def suspects(ledger: PartitionLedger) -> dict[int, int]:
    """Return the deaths alone by offset, as a commit would carry them."""
    return {one.offset: one.deaths for one in read_suspects(ledger.commit_point().metadata)}


async def test_suspects_are_judged_with_nothing_beside_them() -> None:
    """One at a time, and the others go on together afterwards; nobody is forgotten."""
    judge = RecordingJudge()
    rig, ledger = Rig(judge, window=4), open_ledger(*range(12))
    for offset in (3, 7, 8):
        ledger.suspect(offset, record(offset, b"").timestamp, alone=False)
    verdicts = await rig.run(ledger, *(raw(number, "[sleep:5]") for number in range(12)))

    assert len(verdicts) == 12
    assert all(judge.together[f"m{offset}"] == {f"m{offset}"} for offset in (3, 7, 8))
    assert max(map(len, judge.together.values())) > 1
    assert (suspects(ledger), ledger.watermark, rig.pipeline.careful) == ({}, 12, False)


async def test_whatever_was_in_the_judge_at_a_death_is_suspected() -> None:
    """Among others nobody is to blame; alone the message is; a neighbour that waits is neither."""
    rig, ledger = Rig(RecordingJudge(), window=2), open_ledger(0, 1, 2)
    rig.take_in(ledger, raw(0, "[dead][sleep:5]"), raw(1, "[sleep:60000]"), raw(2))
    await asyncio.wait_for(rig.state.failed.wait(), 10)

    assert suspects(ledger) == {0: 0, 1: 0}

    rig.pipeline.abort()
    again = Rig(RecordingJudge(), window=2)
    again.take_in(ledger, raw(0, "[dead][sleep:5]"), raw(1, "[sleep:60000]"), raw(2))
    await asyncio.wait_for(again.state.failed.wait(), 10)

    assert suspects(ledger) == {0: 1, 1: 0}


async def test_a_death_with_a_rehearsal_in_the_judge_blames_nobody() -> None:
    """It may have been the rehearsal: the message stays a suspect."""
    rig, ledger = Rig(RecordingJudge(), window=2), open_ledger(0)
    rig.pipeline._quarantine._others_busy = lambda: True
    rig.take_in(ledger, raw(0, "[dead]"))
    await asyncio.wait_for(rig.state.failed.wait(), 10)

    assert suspects(ledger) == {0: 0}


async def test_after_two_deaths_alone_a_message_is_not_judged_again() -> None:
    """It becomes a dead letter, byte for byte, before anything is asked; another one at its offset does not."""
    judge = WatchedJudge()
    rig, ledger = Rig(judge), open_ledger(0, 1)
    for offset, timestamp in ((0, record(0, b"").timestamp), (1, 5)):
        ledger.suspect(offset, timestamp, alone=True)
        ledger.suspect(offset, timestamp, alone=True)
    (verdict,) = await rig.run(ledger, raw(0), raw(1))
    (letter,) = [row for name, row in rig.delivery.written if name == "dead-letters"]
    headers = dict(letter.headers)

    assert [one.message_id for one in judge.order] == ["m1"] == [verdict["message_id"]]
    assert letter.value == raw(0)
    assert (headers["stage"], headers["error"], headers["attempts"]) == (b"engine", b"FatalMessage", b"2")
    assert rig.state.metrics.dead_letters.labels("engine")._value.get() == 1
    assert ledger.watermark == 2


async def test_giving_back_forgets_the_suspects_that_wait() -> None:
    """What waits to be judged alone is dropped like everything queued, and its slot and memory are free again."""
    rig, ledger = Rig(window=2), open_ledger(*range(4))
    for offset in range(1, 4):
        ledger.suspect(offset, record(offset, b"").timestamp, alone=False)
    rig.take_in(ledger, *(raw(number, "[sleep:60000]") for number in range(4)))

    assert rig.pipeline.careful

    rig.pipeline.hold()
    rig.pipeline.drop_queued()
    rig.pipeline.abort()

    assert (rig.pipeline.careful, rig.state.buffer.messages, len(rig.state.admission)) == (False, 0, 0)
    assert suspects(ledger) == {1: 0, 2: 0, 3: 0}


async def test_aborting_frees_the_slots_and_leaves_the_offsets_open() -> None:
    """When a partition is given away, what runs is cancelled and judged by the next owner."""
    rig, ledger = Rig(window=2), open_ledger(0, 1, 2)
    rig.take_in(ledger, *(raw(number, "[sleep:60000]") for number in range(3)))

    assert rig.pipeline.in_judge == 2

    rig.pipeline.hold()
    rig.pipeline.drop_queued()
    rig.pipeline.abort()
    ledger.close()
    await asyncio.wait_for(rig.pipeline.drained({0}), 5)

    assert rig.pipeline.in_judge == 0
    assert (rig.state.buffer.messages, len(rig.state.admission)) == (0, 0)
    assert rig.verdicts() == []

    rig.pipeline.resume()
    again = open_ledger(0)
    await rig.run(again, raw(0))

    assert again.watermark == 1


async def test_revisions_past_their_share_wait_aside_in_their_order() -> None:
    """Others pass them, but those that come behind others, in their tenant's line, do not."""
    rig = Rig(window=2, tenant_queue_messages=3)
    ledger = open_ledger(*range(8))
    edited = [raw(0, "[sleep:50]", revision=number) for number in range(5)]
    rig.take_in(ledger, edited[0])
    for offset, value in enumerate([*edited[1:4], raw(7), raw(8), raw(9), edited[4]], 1):
        rig.pipeline.accept(record(offset, value), ledger)

    # Of three places in the queue, with a window of two, one is for revisions: 2 and 3 wait aside.
    deferred = rig.state.deferred
    assert len(rig.state.admission) == 3
    assert deferred.holds_aside(Line("acme", 0, "m0"))

    chosen = deferred.choose(lambda line: [Room(0 if line.message_id else 9, 10**6)], Room(9, 10**6), -1.0)
    assert [item.offset for item in chosen] == [6, 7]
    assert not rig.pipeline.readmit(record(6, raw(9)), ledger, chosen[0], expired=False)
    assert rig.pipeline.readmit(record(7, edited[4]), ledger, chosen[1], expired=False)

    deferred.settle(chosen[1])
    deferred.put_back(chosen[:1])
    lines = [item.offset for item in deferred.choose(lambda _line: [Room(9, 10**6)], Room(9, 10**6), -1.0)]
    assert sorted(lines) == [2, 3, 6, 7]
    assert lines.index(2) < lines.index(3) < lines.index(7)
    rig.pipeline.abort()


async def test_what_the_queue_cannot_hold_is_deferred_then_overloaded() -> None:
    """Past queue and deferral a message gets a status at once, and the rest keeps its turn."""
    rig = Rig(window=1, tenant_queue_messages=2, tenant_deferred_messages=1)
    ledger = open_ledger(*range(5))
    rig.take_in(ledger, raw(0, "[sleep:50]"))
    for offset in range(1, 5):
        rig.pipeline.accept(record(offset, raw(offset)), ledger)

    assert len(rig.state.admission) == 2
    assert len(rig.state.deferred) == 1

    await wait_until(lambda: ledger.in_flight == 1, 10)

    statuses = {verdict["source"]["offset"]: verdict["status"] for verdict in rig.verdicts()}
    assert statuses == {0: "judged", 1: "judged", 2: "judged", 4: "overloaded"}

    (waiting,) = rig.state.deferred.choose(
        lambda line: [rig.state.admission.room(line.tenant_id)], Room(9, 10**6), -1.0
    )

    assert waiting.offset == 3
    assert rig.pipeline.readmit(record(3, raw(3)), ledger, waiting, expired=False)
    rig.state.deferred.settle(waiting)
    rig.pipeline.pump()
    await asyncio.wait_for(rig.pipeline.drained({0}), 10)

    assert ledger.watermark == 5
