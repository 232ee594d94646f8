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
from tests.support.policies import category, raw
from tests.support.policy_topics import version_of
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.policy.store import PolicyStore
from worker.records import GoldenCase, HistoryEntry, Message
from worker.stream.trier import JudgeTrier

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

U7 = category("U7", "Hate")
GOOD = GoldenCase(text="[unsafe:U7] a bad one", label="unsafe", categories=("U7",))
WRONG = GoldenCase(text="a good one", label="unsafe", categories=("U7",))
SLOW = GoldenCase(text="[sleep:1500] [unsafe:U7]", label="unsafe")


class CountingJudge(ScriptedJudge):
    """The scripted judge, which remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Remember the text, then judge it by rule."""
        self.asked.append(message.text)
        return await super().judge(message, policy, priority=priority)


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


async def decided(settings: Settings, count: int) -> list[HistoryEntry]:
    """Wait for so many decisions."""

    async def enough() -> bool:
        return len(await topics.history(settings)) >= count

    await wait_until(enough, 30, what=f"{count} decisions")
    return await topics.history(settings)


async def test_a_policy_takes_force_when_its_cases_pass(settings: Settings) -> None:
    """The decision carries the model that judged; the same cases again are not judged again."""
    judge = CountingJudge()
    async with worker(settings, judge) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
        (entry,) = await decided(settings, 1)
        assert (entry.decision, entry.fingerprint) == ("accepted", judge.model.fingerprint)
        await wait_until(lambda: version_of(store, "acme") == 1, 5)
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,), version=2)))
        await wait_until(lambda: version_of(store, "acme") == 2, 5)
    assert judge.asked == [GOOD.text]


async def test_a_policy_whose_cases_fail_is_refused(settings: Settings) -> None:
    """The last good one stays in force; the refusal names the cases, never their text, and goes to dead-letters."""
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
        await wait_until(lambda: version_of(store, "acme") == 1, 30)
        await topics.publish(settings, ("acme", raw(U7, version=2, golden=(GOOD, WRONG))))
        entry = (await decided(settings, 2))[-1]
        (letter,) = await wait_until(lambda: topics.read_all(settings, "dead-letters"), 10)
        assert version_of(store, "acme") == 1
    assert (entry.decision, entry.field) == ("refused", "golden")
    assert "1 of 2 do: golden[1] wants unsafe U7 and gives safe" in (entry.reason or "")
    assert dict(letter.headers)["error_detail"].startswith(b"golden: expected 100% of the golden cases")
    assert WRONG.text.encode() not in b"".join(value or b"" for _, value in letter.headers)


async def test_min_pass_is_the_authors(settings: Settings) -> None:
    """Half of the cases may be enough."""
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD, WRONG), min_pass=0.5)))
        await wait_until(lambda: version_of(store, "acme") == 1, 30)


async def test_others_do_not_wait_for_slow_cases(settings: Settings) -> None:
    """While cases are judged other policies take force, and so does a later record of the same key."""
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(SLOW,))), ("other", raw(U7)))
        await wait_until(lambda: version_of(store, "other") == 1, 5)
        assert version_of(store, "acme") is None
        await topics.publish(settings, ("acme", raw(U7, version=2, title="quick")))
        await wait_until(lambda: version_of(store, "acme") == 2, 5)
        entries = await decided(settings, 3)
        assert version_of(store, "acme") == 2
    last = entries[-1]
    assert (last.offset, last.decision) == (0, "refused")
    assert "no later one of its key" in (last.reason or "")


async def test_a_tombstone_ends_the_wait(settings: Settings) -> None:
    """A policy that was deleted while its cases were judged does not come back."""
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(SLOW,))), ("acme", None))
        entries = await decided(settings, 2)
        assert [entry.decision for entry in entries] == ["deleted", "refused"]
        assert store.resolve("acme", None) is None


async def test_one_worker_decides_for_all_and_another_takes_over(settings: Settings) -> None:
    """Each case is judged by one worker; when that one goes, the next policy is judged by the other."""
    judges = [CountingJudge(), CountingJudge()]
    second = replace(settings, instance_id="w2")
    async with worker(second, judges[1]) as stays:
        async with worker(settings, judges[0]) as leaves:
            await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
            for store in (stays, leaves):
                await wait_until(lambda: version_of(store, "acme") == 1, 30)  # noqa: B023  (waited for)
            assert sum(len(judge.asked) for judge in judges) == 1
        before = len(judges[1].asked)
        await topics.publish(settings, ("acme", raw(category("U9", "Other"), U7, version=2, golden=(GOOD,))))
        await wait_until(lambda: version_of(stays, "acme") == 2, 60)
    assert len(judges[1].asked) == before + 1
    assert [entry.decision for entry in await topics.history(settings)] == ["accepted", "accepted"]


async def test_undecided_cases_outlive_a_restart(settings: Settings) -> None:
    """A worker that stops in the middle leaves the record to the next one."""
    judge = CountingJudge()
    async with worker(settings, judge):
        await topics.publish(settings, ("acme", raw(U7, golden=(SLOW,) * 12)))
        await wait_until(lambda: judge.asked, 30)
    assert await topics.history(settings) == []
    async with worker(settings, ScriptedJudge()) as store:
        await wait_until(lambda: version_of(store, "acme") == 1, 60)


async def test_without_a_judge_the_record_waits(settings: Settings) -> None:
    """A reader of policies decides nothing that it cannot judge."""
    async with topics.running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))), ("other", raw(U7)))
        await wait_until(lambda: version_of(store, "other") == 1, 5)
        assert version_of(store, "acme") is None
        async with worker(replace(settings, instance_id="w2"), ScriptedJudge()):
            await wait_until(lambda: version_of(store, "acme") == 1, 30)


async def test_an_engine_in_trouble_refuses_nobody(settings: Settings) -> None:
    """A case that was not judged is asked again; here the first two answers are errors."""

    class Shaky(ScriptedJudge):
        asked = 0

        async def judge(self, message: Message, policy: EffectivePolicy, **options: Any) -> Judgement:
            self.asked += 1
            if self.asked <= 2:
                return Judgement(status="engine_error")
            return await super().judge(message, policy, **options)

    async with asyncio.timeout(60), worker(settings, Shaky()) as store:
        await topics.publish(settings, ("acme", raw(U7, golden=(GOOD,))))
        await wait_until(lambda: version_of(store, "acme") == 1, 30)


async def test_a_tenants_cases_wait_for_the_floors(settings: Settings) -> None:
    """They are judged under the floor that they stand on, though that one is still being judged."""
    floored = (GoldenCase(text="[unsafe:U7] of the floor", label="unsafe", categories=("U7",)),)
    own = category("A", "Alpha")
    async with worker(settings, ScriptedJudge()) as store:
        await topics.publish(settings, ("platform", raw(U7, golden=(SLOW,))), ("acme", raw(own, golden=floored)))
        await wait_until(lambda: version_of(store, "acme") == 1, 30)
    assert [entry.decision for entry in await topics.history(settings)] == ["accepted", "accepted"]
