"""The overload ladder on a real broker: rungs in order and back, nothing lost, nothing called safe unjudged."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import (
    count,
    make_topics,
    message,
    read_all,
    running,
    send,
    settings_for,
    sources,
    until_verdicts,
    verdict_of,
)
from tests.support.waiting import wait_until
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.records import Message, Rung

pytestmark = pytest.mark.broker

#: One message after the other, so that the queue is all that they wait for.
LADDER: Final = {
    "window": 1,
    "overload_short_s": 0.3,
    "overload_label_s": 0.6,
    "overload_hold_s": 1.2,
    "overload_settle_s": 0.2,
}
COST_S: Final[dict[Rung | None, float]] = {None: 0.04, "short_reasoning": 0.02, "label_only": 0.01}
RUNGS: Final = [None, "short_reasoning", "label_only", "hold"]


class SlowJudge(ScriptedJudge):
    """Answers by rule, after a time that is shorter where less is asked of it."""

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Take the rung's time."""
        await asyncio.sleep(COST_S[policy.rung])
        return await super().judge(message, policy, priority=priority)


@pytest.mark.long  # its rungs are waits, so nothing else may run beside it
async def test_up_the_ladder_and_back(broker: KafkaAddress, topic_prefix: str) -> None:
    """A tenant that sends too much loses reasoning, then judgements, and gets both back; another loses nothing."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, **LADDER)
    await make_topics(settings, 1)
    sent = 0

    async def one_by_one(tenant: str) -> dict[str, Any]:
        nonlocal sent
        sent += 1
        await send(settings, [message(sent, tenant=tenant)])

        async def mine() -> list[dict[str, Any]]:
            found = [verdict_of(record) for record in await read_all(settings, "verdicts")]
            return [one for one in found if one["message_id"] == f"m{sent}"]

        (found,) = await wait_until(mine)
        return dict(found)

    async with running(settings, SlowJudge()) as plane:
        said = asyncio.create_task(wait_until(lambda: any(plane.overload().values()), what="the worker says so"))
        await send(settings, (message(number, tenant="loud") for number in range(1000, 1400)))
        calm = [await one_by_one("calm") for _ in range(4)]
        await until_verdicts(settings, 400 + sent)
        await said
        after = [await one_by_one("loud")]
        while "degraded" in after[-1]:
            after.append(await one_by_one("loud"))
        await wait_until(lambda: not any(plane.overload().values()), what="the worker says so")
        counted = {rung: plane._state.metrics.degraded.labels(rung)._value.get() for rung in RUNGS[1:]}

        await wait_until(lambda: plane.unready() == [], what="nothing is wrong")

    records = await read_all(settings, "verdicts")
    verdicts = sorted((verdict_of(record) for record in records), key=lambda one: one["source"]["offset"])
    loud = [one for one in verdicts if one["tenant_id"] == "loud"]
    assert set(sources(records).values()) == {1}
    assert len(records) == await count(settings, "messages") == 400 + sent
    assert list(dict.fromkeys(one.get("degraded") for one in loud)) == RUNGS
    assert RUNGS.index(after[0].get("degraded")) >= RUNGS.index(after[-1].get("degraded")) == 0
    assert {one.get("degraded") for one in calm} == {None}
    for one in verdicts:
        assert (one["status"] == "overloaded") == (one.get("degraded") == "hold")
        assert (one["label"] is None) == (one["status"] != "judged")
        assert one["action"] == ("allow" if one["label"] == "safe" else "review")
    assert Counter(one.get("degraded") for one in verdicts if "degraded" in one) == counted
