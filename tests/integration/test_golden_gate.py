"""Golden cases before force, on a real broker: one worker judges them, all agree, nothing pauses meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from tests.conftest import KafkaAddress
from tests.support import policy_topics as topics
from tests.support.judges import cases_held
from tests.support.policies import category, raw
from tests.support.policy_topics import version_of
from tests.support.scripted_engine import POISON, ProcessJudge
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.errors import EngineDead
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.policy.store import PolicyStore
from worker.records import GoldenCase, HistoryEntry, Message
from worker.stream.trier import JudgeTrier

pytestmark = pytest.mark.broker

U7 = category("U7", "Hate")
GOOD = GoldenCase(text="[unsafe:U7] a bad one", label="unsafe", categories=("U7",))
WRONG = GoldenCase(text="a good one", label="unsafe", categories=("U7",))
SLOW = GoldenCase(text="[sleep:1500] [unsafe:U7]", label="unsafe")
#: Stays in a ``HeldJudge`` until it is released.
HELD = GoldenCase(text="case: [unsafe:U7]", label="unsafe")


class CountingJudge(ScriptedJudge):
    """The scripted judge, which remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Remember the text, then judge it by rule."""
        self.asked.append(message.text)
        return await super().judge(message, policy, priority=priority)


class HangingJudge(CountingJudge):
    """Never answers; its watchdog says so once it is told to."""

    is_dead = False

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Take the question, and nothing more."""
        self.asked.append(message.text)
        await asyncio.Event().wait()
        return await super().judge(message, policy, priority=priority)

    def check(self) -> None:
        """Raise once it is said to hang."""
        if self.is_dead:
            text = "the engine makes no steps"
            raise EngineDead(text)


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings of one worker in a group of its own, its topics made."""
    made = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=topic_prefix,
        group_id=f"{topic_prefix}group",
        instance_id="w1",
        kafka_timeout_s=10,
    )
    await topics.create(made)
    return made


@asynccontextmanager
async def worker(settings: Settings, judge: ScriptedJudge) -> AsyncIterator[PolicyStore]:
    """Run the policies of one worker."""
    store = PolicyStore(settings, trier=JudgeTrier(settings, judge))
    try:
        await store.start()
        yield store
    finally:
        await store.stop()


def chosen(store: PolicyStore) -> bool:
    """Tell whether this worker is the one that judges cases."""
    trier = store._trials._trier
    return trier is not None and trier.chosen()


async def decided(settings: Settings, count: int) -> list[HistoryEntry]:
    """Wait for so many decisions."""

    async def enough() -> bool:
        return len(await topics.history(settings)) >= count

    await wait_until(enough, what=f"{count} decisions")
    return await topics.history(settings)


async def test_a_policy_takes_force_when_its_cases_pass(settings: Settings) -> None:
    """The decision carries the model that judged; the same cases again are not judged again."""
    judge = CountingJudge()
    async with worker(settings, judge) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
        (entry,) = await decided(settings, 1)
        assert (entry.decision, entry.fingerprint) == ("accepted", judge.model.fingerprint)
        await wait_until(lambda: version_of(store, "acme") == 1)
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,), version=2)))
        await wait_until(lambda: version_of(store, "acme") == 2)
    assert judge.asked == [GOOD.text]


async def test_a_policy_whose_cases_fail_is_refused(settings: Settings) -> None:
    """The last good one stays in force; the refusal names the cases, never their text, and goes to dead-letters."""
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
        await wait_until(lambda: version_of(store, "acme") == 1)
        await topics.publish(settings, ("acme", raw(U7, version=2, golden=(GOOD, WRONG))))
        entry = (await decided(settings, 2))[-1]
        (letter,) = await wait_until(lambda: topics.read_all(settings, "dead-letters"))
        assert version_of(store, "acme") == 1
    assert (entry.decision, entry.field) == ("refused", "golden")
    assert "1 of 2 do: golden[1] wants unsafe U7 and gives safe" in (entry.reason or "")
    assert dict(letter.headers)["error_detail"].startswith(b"golden: expected 100% of the golden cases")
    assert WRONG.text.encode() not in b"".join(value or b"" for _, value in letter.headers)


async def test_min_pass_is_the_authors(settings: Settings) -> None:
    """Half of the cases may be enough."""
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD, WRONG), min_pass=0.5)))
        await wait_until(lambda: version_of(store, "acme") == 1)


async def test_cases_that_passed_under_a_low_bar_are_judged_again_under_a_higher(settings: Settings) -> None:
    """Half of them was enough once; a record that wants all of them is refused, also after a restart."""
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD, WRONG), min_pass=0.5)))
        await wait_until(lambda: version_of(store, "acme") == 1)
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD, WRONG), version=2)))
        assert (await decided(settings, 2))[-1].decision == "refused"
    judge = CountingJudge()
    async with worker(settings, judge) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD, WRONG), version=2, min_pass=0.6)))
        assert (await decided(settings, 3))[-1].decision == "refused"
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD, WRONG), version=2, min_pass=0.4)))
        assert (await decided(settings, 4))[-1].decision == "accepted"
    assert len(judge.asked) == len((GOOD, WRONG))


async def test_others_do_not_wait_for_slow_cases(settings: Settings) -> None:
    """While cases are judged other policies take force, and so does a later record of the same key."""
    judge = cases_held()
    async with worker(settings, judge) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(HELD,))), ("other", raw(U7)))
        await wait_until(lambda: version_of(store, "other") == 1)
        await wait_until(lambda: judge.held, what="the case is in the judge")
        assert version_of(store, "acme") is None
        await topics.publish(settings, ("acme", raw(U7, version=2, title="quick")))
        await wait_until(lambda: version_of(store, "acme") == 2)
        judge.released.set()
        entries = await decided(settings, 3)
        assert version_of(store, "acme") == 2
    last = entries[-1]
    assert (last.offset, last.decision) == (0, "refused")
    assert "no later one of its key" in (last.reason or "")


async def test_a_tombstone_ends_the_wait(settings: Settings) -> None:
    """A policy that was deleted while its cases were judged does not come back."""
    judge = cases_held()
    async with worker(settings, judge) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(HELD,))))
        await wait_until(lambda: judge.held, what="the case is in the judge")
        await topics.publish(settings, ("acme", None))
        await decided(settings, 1)
        judge.released.set()
        entries = await decided(settings, 2)
        assert [entry.decision for entry in entries] == ["deleted", "refused"]
        assert store.resolve("acme", None) is None


async def test_one_worker_decides_for_all_and_another_takes_over(settings: Settings) -> None:
    """Each case is judged by one worker; when that one goes, the next policy is judged by the other."""
    judges = [CountingJudge(), CountingJudge()]
    second = replace(settings, instance_id="w2")
    async with worker(second, judges[1]) as stays:
        async with worker(settings, judges[0]) as leaves:
            # Until the group has settled the first one is chosen too, and what comes meanwhile is rightly judged twice.
            # Kafka's turns go by name, so it is the one that leaves.
            await wait_until(lambda: chosen(leaves) and not chosen(stays), what="the group has settled")
            await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
            for store in (stays, leaves):
                await wait_until(lambda: version_of(store, "acme") == 1)  # noqa: B023  (waited for)
            assert [judge.asked for judge in judges] == [[GOOD.text], []]
        await topics.publish(settings, ("acme", raw(category("U9", "Other"), U7, version=2, golden=(GOOD,))))
        await wait_until(lambda: version_of(stays, "acme") == 2)
    assert [judge.asked for judge in judges] == [[GOOD.text], [GOOD.text]]
    assert [entry.decision for entry in await topics.history(settings)] == ["accepted", "accepted"]


async def test_undecided_cases_outlive_a_restart(settings: Settings) -> None:
    """A worker that stops in the middle leaves the record to the next one."""
    judge = cases_held()
    async with worker(settings, judge):
        await topics.publish(settings, ("acme", raw(U7, golden=(HELD,) * 12)))
        await wait_until(lambda: judge.held)
    assert await topics.history(settings) == []
    async with worker(settings, ScriptedJudge()) as store:
        await wait_until(lambda: version_of(store, "acme") == 1)


async def test_without_a_judge_the_record_waits(settings: Settings) -> None:
    """A reader of policies decides nothing that it cannot judge."""
    async with topics.running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))), ("other", raw(U7)))
        await wait_until(lambda: version_of(store, "other") == 1)
        assert version_of(store, "acme") is None
        async with worker(replace(settings, instance_id="w2"), ScriptedJudge()):
            await wait_until(lambda: version_of(store, "acme") == 1)


async def test_an_engine_in_trouble_refuses_nobody(settings: Settings) -> None:
    """A case that was not judged is asked again; here the first two answers are errors."""

    class Shaky(ScriptedJudge):
        asked = 0

        async def judge(self, message: Message, policy: EffectivePolicy, **options: Any) -> Judgement:
            self.asked += 1
            if self.asked <= 2:
                return Judgement(status="engine_error")
            return await super().judge(message, policy, **options)

    async with asyncio.timeout(300), worker(settings, Shaky()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
        await wait_until(lambda: version_of(store, "acme") == 1)


async def test_a_tenants_cases_wait_for_the_floors(settings: Settings) -> None:
    """They are judged under the floor that they stand on, though that one is still being judged."""
    floored = (GoldenCase(text="[unsafe:U7] of the floor", label="unsafe", categories=("U7",)),)
    own = category("A", "Alpha")
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("platform", raw(U7, golden=(SLOW,))), ("acme", raw(own, golden=floored)))
        await wait_until(lambda: version_of(store, "acme") == 1)
    assert [entry.decision for entry in await topics.history(settings)] == ["accepted", "accepted"]


async def a_life_that_the_engine_ends(settings: Settings) -> None:
    """Run a worker until its engine is dead."""
    judge = ProcessJudge()
    await judge.start()
    async with worker(settings, judge):
        await wait_until(lambda: judge.is_dead, what="the engine's death")
    await judge.stop()


@pytest.fixture
def patient_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the note of a death take as long as Kafka does here; one that is lost costs the engine another life."""
    monkeypatch.setattr("worker.stream.trier._NOTE_S", 60.0)


@pytest.mark.usefixtures("patient_notes")
async def test_cases_that_kill_the_engine_are_refused(settings: Settings) -> None:
    """The engine dies over them in two lives of a worker; the third refuses the record, and judges the next one's."""
    await topics.publish(settings, ("acme", raw(U7, golden=(GOOD, GoldenCase(text=POISON, label="unsafe")))))
    for _ in range(2):
        await a_life_that_the_engine_ends(settings)
        assert await topics.history(settings) == []

    judge = ProcessJudge()
    await judge.start()
    async with worker(settings, judge) as store:
        (entry,) = await decided(settings, 1)
        await topics.publish(settings, ("acme", raw(U7, version=2, golden=(GOOD,))))
        await wait_until(lambda: version_of(store, "acme") == 2)
        (letter,) = await wait_until(lambda: topics.read_all(settings, "dead-letters"))
    await judge.stop()

    assert (entry.decision, entry.field) == ("refused", "golden")
    assert "golden cases that the engine survives; it died 2 times" in (entry.reason or "")
    assert dict(letter.headers)["error"] == b"PolicyInvalid"


@pytest.mark.usefixtures("patient_notes")
async def test_a_hung_engine_is_the_cases_fault_too(settings: Settings) -> None:
    """No call fails when an engine hangs: what the watchdog says is asked when the worker ends."""
    judge = HangingJudge()
    await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
    async with worker(settings, judge):
        await wait_until(lambda: judge.asked, what="the case is in the judge")
        judge.is_dead = True

    trier = JudgeTrier(settings, judge)
    (record,) = await topics.read_all(settings, "policies")
    assert await trier._deaths((record.offset, record.timestamp)) == 1
    assert await trier._deaths((record.offset, record.timestamp + 1)) == 0
    await trier.stop()


async def test_cases_wait_while_messages_are_judged_one_at_a_time(settings: Settings) -> None:
    """Beside a message that may kill the engine they would be blamed for it."""
    judge, careful = CountingJudge(), [True]
    trier = JudgeTrier(settings, judge)
    trier.wait_while(lambda: careful[0])
    store = PolicyStore(settings, trier=trier)
    try:
        await store.start()
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
        await wait_until(lambda: trier._consumer is not None and trier._consumer.assignment())
        assert not trier.chosen()
        assert judge.asked == []
        careful[0] = False
        await wait_until(lambda: version_of(store, "acme") == 1)
    finally:
        await store.stop()
