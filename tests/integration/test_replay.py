"""Replays on a real broker with the scripted engine: what comes out again, what flips, what never happens."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiokafka.admin import NewTopic
from msgspec import structs

from tests.conftest import KafkaAddress
from tests.support import policy_topics
from tests.support.dataplane import count, make_topics, read_all, send, settings_for, sources, verdict_of
from tests.support.replaying import (
    AS_JUDGED,
    NOW,
    U7,
    U8,
    judged_live,
    message,
    originals,
    outcomes,
    policy,
    replayed,
    text_of,
)
from tests.support.waiting import wait_until
from worker import content_digest, kafka
from worker.audit.explain.explain import explain
from worker.audit.replay import run as replay
from worker.audit.replay.originals import control_id
from worker.audit.replay.plan import ReplayPlan, find_run, read_runs
from worker.audit.replay.report import make_report
from worker.broker import Broker
from worker.config import Settings
from worker.errors import AuditError, PolicyInvalid, PublishFailed, UsageError
from worker.judge.scripted import ScriptedJudge
from worker.kafka_fence import fence
from worker.records import ModelRef
from worker.replay_records import ReplayFilter, ReplayPolicies

pytestmark = pytest.mark.broker
_COUNT = 120


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings of a fast test, with all topics there."""
    chosen = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(chosen)
    return chosen


@pytest.mark.slow
async def test_as_judged_gives_the_same_labels(settings: Settings) -> None:
    """Each message is judged under the policy of its own verdict, whatever came later; verdicts stay as they are."""
    first = [("platform", policy(U7)), ("acme", policy(U8))]
    half = 1000
    # Their live verdicts do not stand in the order of the messages.
    values = [message(n, f"{text_of(n)} [sleep:{n % 7 * 10}]") for n in range(2 * half)]
    await judged_live(settings, first, values[:half])
    total = await judged_live(settings, [("acme", policy(U7 | {"id": "U9"}, version=2))], values[half:])
    before = await originals(settings)
    policies_before = {one["policy"]["digest"] for one in before.values()}

    run, report = await replayed(settings, control_share=0.1)

    after = await outcomes(settings, run)
    assert len(after) == total == 2 * half
    assert await count(settings, "verdicts") == total
    assert len(policies_before) == 3
    for one in after:
        original = before[one["source"]["partition"], one["source"]["offset"]]
        assert (one["mode"], one["run_id"]) == ("replay", run.run_id)
        for name in ("label", "status", "action", "score", "categories", "policy", "message_id", "source", "model"):
            assert one[name] == original[name], name
        assert one["verdict_id"] != original["verdict_id"]
    assert report.comparison.total.flips == 0
    assert report.comparison.total.messages == total
    assert report.comparison.control.pairs > 0
    assert report.comparison.control.flips == 0
    assert report.comparison.explained is True
    assert report.doubled == 0
    assert run.counts is not None
    assert (run.counts.judged, run.counts.unresolved) == (total, 0)


async def test_as_judged_repeats_what_was_left_out(settings: Settings) -> None:
    """Each message at the rung of its own verdict, a hold included; as of now everything is judged in full."""
    ladder = {"overload_short_s": 0.1, "overload_label_s": 0.2, "overload_hold_s": 0.4, "overload_settle_s": 0.05}
    busy = structs.replace(settings, window=1, **ladder)
    await judged_live(busy, [("platform", policy(U7))], (message(n, "hello [sleep:10]") for n in range(_COUNT)))
    before = await originals(settings)

    again, same = await replayed(settings)
    now, whole = await replayed(settings, NOW)

    left_out = sum("degraded" in one for one in before.values())
    assert (same.comparison.other_rung.messages, whole.comparison.other_rung.messages) == (0, left_out)
    repeated = await outcomes(settings, again)
    assert len(repeated) == len(before) == _COUNT
    for one in repeated:
        original = before[one["source"]["partition"], one["source"]["offset"]]
        assert [one.get(name) for name in ("degraded", "status", "label")] == [
            original.get(name) for name in ("degraded", "status", "label")
        ]
    assert {one.get("degraded") for one in repeated} == {None, "short_reasoning", "label_only", "hold"}
    assert {(one.get("degraded"), one["status"]) for one in await outcomes(settings, now)} == {(None, "judged")}


async def test_without_a_category_exactly_its_verdicts_flip(settings: Settings) -> None:
    """What if acme had no U8: what hit U8 alone becomes safe, nothing else changes, other tenants are left alone."""
    policies = [("platform", policy(U7)), ("acme", policy(U8)), ("bazaar", policy(U8))]
    await judged_live(settings, policies, (message(n) for n in range(_COUNT)))
    before = await originals(settings)
    trial = ReplayPolicies(mode="file", history_end=0, scope="acme", policy=policy(version=2).decode())

    run, report = await replayed(settings, trial)

    flipped = {one["message_id"] for one in await outcomes(settings, run) if one["label"] == "safe"}
    was_safe = {one["message_id"] for one in before.values() if one["label"] == "safe"}
    should = {
        one["message_id"]
        for one in before.values()
        if one["tenant_id"] == "acme" and [item["id"] for item in one["categories"]] == ["U8"]
    }
    assert flipped - was_safe == should
    assert len(should) == _COUNT // 10
    total = report.comparison.total
    assert (total.to_safe, total.to_unsafe, total.messages) == (len(should), 0, _COUNT)
    by_key = {group.key: group for group in report.comparison.categories}
    assert (by_key["acme:U8"].lost, by_key["acme:U8"].after) == (2 * len(should), 0)
    assert by_key["bazaar:U8"].lost == by_key["platform:U7"].lost == 0
    assert {group.key: group.flips for group in report.comparison.tenants} == {"acme": len(should), "bazaar": 0}
    assert {example.message_id for example in total.examples} <= should
    assert report.comparison.same_policy.messages == _COUNT // 2


async def test_now_means_when_the_run_was_planned(settings: Settings) -> None:
    """A run under today's policies keeps them, whatever is published while it waits."""
    await judged_live(settings, [("platform", policy(U7))], (message(n) for n in range(20)))
    await judged_live(settings, [("platform", policy(U8, version=2))], [])
    judge = ScriptedJudge()
    plan = ReplayPlan(offsets={}, filter=ReplayFilter(), policies=NOW, control_share=0.0)
    run = await replay.start_run(settings, plan, judge)
    await judged_live(settings, [("platform", policy(version=3))], [])

    last = await replay.work(settings, run, judge)

    hits = {item["id"] for one in await outcomes(settings, last) for item in one["categories"]}
    assert hits == {"U8"}
    assert {one["policy"]["parts"][0]["version"] for one in await outcomes(settings, last)} == {2}


async def test_filters_choose(settings: Settings) -> None:
    """Tenant, label, category, time and offsets each leave the rest out; what is left out is counted."""
    await judged_live(settings, [("platform", policy(U7, U8))], (message(n) for n in range(20)))
    border = 1 + max(one["source"]["timestamp"] for one in (await originals(settings)).values())
    await judged_live(settings, [], [*(message(n) for n in range(20, 40)), b"no message", None], expected=20)
    before = await originals(settings)

    run, _ = await replayed(settings, wanted=ReplayFilter(tenants=("acme",), categories=("U8",), labels=("unsafe",)))

    wanted = {
        one["message_id"]
        for one in before.values()
        if one["tenant_id"] == "acme" and "U8" in {item["id"] for item in one["categories"]}
    }
    assert {one["message_id"] for one in await outcomes(settings, run)} == wanted
    assert run.counts is not None
    assert (run.counts.judged, run.counts.filtered, run.counts.skipped) == (len(wanted), 40 - len(wanted), 2)

    for name, numbers in (("to_ms", range(20)), ("from_ms", range(20, 40))):
        half, _ = await replayed(settings, wanted=ReplayFilter(**{name: border}))

        assert {one["message_id"] for one in await outcomes(settings, half)} == {f"m{n}" for n in numbers}

    few, _ = await replayed(settings, offsets={1: (2, 5), 3: (0, 1)})

    places = {(one["source"]["partition"], one["source"]["offset"]) for one in await outcomes(settings, few)}
    assert places == {(1, 2), (1, 3), (1, 4), (3, 0)}


async def test_outcomes_stand_with_their_source(settings: Settings) -> None:
    """Key and partition number are the message's, each has its trace, and the control has a run id of its own."""
    await judged_live(settings, [("platform", policy(U7))], (message(n) for n in range(12)))

    run, _ = await replayed(settings, control_share=1.0)

    sources = {(record.partition, record.offset): record for record in await read_all(settings, "messages")}
    verdicts = await read_all(settings, "replay-verdicts")
    for record in verdicts:
        found = verdict_of(record)
        source = sources[found["source"]["partition"], found["source"]["offset"]]
        assert (record.partition, record.key) == (source.partition, source.key)
        assert dict(record.headers)["ce_id"].decode() == found["verdict_id"]
        assert content_digest.agrees(record.key, record.value, record.headers) is True
    traces = {json.loads(record.value)["verdict_id"] for record in await read_all(settings, "replay-traces")}
    assert traces == {verdict_of(record)["verdict_id"] for record in verdicts}
    ids = [verdict_of(record)["run_id"] for record in verdicts]
    assert (ids.count(run.run_id), ids.count(control_id(run.run_id))) == (12, 12)
    for name in ("verdicts", "traces"):
        assert await count(settings, name) == 12
    assert await count(settings, "dead-letters") == 0


async def test_after_compaction_as_judged_still_resolves(broker: KafkaAddress, topic_prefix: str) -> None:
    """Records that compaction has removed from ``policies`` are taken from the history, to replay and to explain."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    eager = policy_topics.EAGER | {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
    async with policy_topics.admin(settings) as client:
        await client.create_topics([NewTopic(settings.topic("policies"), 1, 1, topic_configs=eager)])
    await make_topics(settings)
    for version, categories in enumerate(((U7,), (U8,), (U7, U8)), 1):
        numbers = range(20 * version, 20 * version + 20)
        await judged_live(settings, [("platform", policy(*categories, version=version))], map(message, numbers))

    async def compacted() -> bool:
        # A segment is rolled, and so cleaned, only when something is appended.
        await policy_topics.publish(settings, ("other#draft", policy()))
        left = [record for record in await policy_topics.read_all(settings, "policies") if record.key == b"platform"]
        return len(left) == 1

    await wait_until(compacted, 180, what="compaction of policies", interval_s=0.5)

    run, report = await replayed(settings, AS_JUDGED)

    assert run.counts is not None
    assert (run.counts.judged, run.counts.unresolved) == (60, 0)
    assert report.comparison.total.flips == 0
    assert report.comparison.same_policy.messages == 60
    assert {one["policy"]["parts"][0]["version"] for one in await outcomes(settings, run)} == {1, 2, 3}
    # One verdict of each policy that ever judged: all of them are explained, too.
    by_digest = {one["policy"]["digest"]: one for one in (await originals(settings)).values()}
    assert len(by_digest) == 3
    for digest, one in by_digest.items():
        found = await explain(settings, one["verdict_id"])
        assert found.policy.effective is not None
        assert (found.policy.digest, found.policy.note) == (digest, None)


async def test_a_run_ends_where_the_log_ended_at_its_start(settings: Settings) -> None:
    """What is judged live afterwards is no part of it; its record says where it ends, and that it has ended."""
    await judged_live(settings, [("platform", policy(U7))], (message(n) for n in range(20)))
    judge = ScriptedJudge()
    plan = ReplayPlan(offsets={}, filter=ReplayFilter(), policies=AS_JUDGED, control_share=0.0)
    run = await replay.start_run(settings, plan, judge)
    await judged_live(settings, [], (message(n) for n in range(20, 40)))

    await replay.work(settings, run, judge)

    assert {one["message_id"] for one in await outcomes(settings, run)} == {f"m{n}" for n in range(20)}
    assert [one.state for one in await read_runs(settings)] == ["started", "finished"]
    ended = await find_run(settings, run.run_id)
    assert (ended.ranges, ended.started_at) == (run.ranges, run.started_at)
    again = await replay.join_run(settings, run.run_id, judge)
    assert (await replay.work(settings, again, judge)) == ended
    assert len(await outcomes(settings, run)) == 20


async def test_what_cannot_be_replayed_is_refused(settings: Settings) -> None:
    """An empty range, a partition that is not there, a policy that loosens the floor, another model, no such run."""
    judge = ScriptedJudge()

    def plan(
        policies: ReplayPolicies = AS_JUDGED, offsets: dict[int, tuple[int, int | None]] | None = None
    ) -> ReplayPlan:
        return ReplayPlan(offsets=offsets or {}, filter=ReplayFilter(), policies=policies, control_share=0.0)

    with pytest.raises(AuditError, match="no message in this range"):
        await replay.start_run(settings, plan(), judge)
    await judged_live(settings, [("platform", policy(U7))], (message(n) for n in range(8)))
    with pytest.raises(UsageError, match="no partition 9"):
        await replay.start_run(settings, plan(offsets={9: (0, None)}), judge)
    with pytest.raises(UsageError, match="holds 0 to"):
        await replay.start_run(settings, plan(offsets={1: (500, None)}), judge)
    milder = policy({"id": "U7", "action": "allow"}, version=2).decode()
    loosened = ReplayPolicies(mode="file", history_end=0, scope="acme", policy=milder)
    with pytest.raises(PolicyInvalid, match="action"):
        await replay.start_run(settings, plan(loosened), judge)
    with pytest.raises(AuditError, match="no replay 'r1'"):
        await find_run(settings, "r1")
    assert await read_runs(settings) == []

    run = await replay.start_run(settings, plan(), judge)
    other = ScriptedJudge()
    other._model = ModelRef(fingerprint="0" * 64, name="another")
    with pytest.raises(AuditError, match="another model"):
        await replay.join_run(settings, run.run_id, other)


async def test_messages_without_a_verdict_are_said(settings: Settings) -> None:
    """As judged they are left out and counted; under today's policies they are judged and not compared."""
    await judged_live(settings, [("platform", policy(U7))], (message(n) for n in range(8)))
    await send(settings, [message(n) for n in range(8, 12)])

    run, _ = await replayed(settings)
    other, report = await replayed(settings, NOW)

    assert run.counts is not None
    assert (run.counts.judged, run.counts.without_original) == (8, 4)
    assert len(await outcomes(settings, other)) == 12
    assert report.comparison.without_original == 4
    assert (await make_report(settings, other)).comparison == report.comparison


@pytest.mark.slow
@pytest.mark.long
async def test_it_waits_for_a_broker_that_went_away(own_broker: Broker, topic_prefix: str) -> None:
    """A broker that is killed in the middle and comes back: the run goes on by itself, each offset once."""
    # Its first membership may end without a word, so the second has to wait for the session's end.
    settings = settings_for(
        own_broker.bootstrap_servers, topic_prefix, window=200, kafka_timeout_s=5.0, session_timeout_s=6.0
    )
    await make_topics(settings)
    values = [message(n, f"{text_of(n)} [sleep:40]") for n in range(400)]
    await judged_live(settings, [("platform", policy(U7))], values)
    judge = ScriptedJudge()
    plan = ReplayPlan(offsets={}, filter=ReplayFilter(), policies=AS_JUDGED, control_share=0.0)
    run = await replay.start_run(settings, plan, judge)
    working = asyncio.create_task(replay.work(settings, run, judge))

    async def half() -> bool:
        return await count(settings, "replay-verdicts") > 100

    await wait_until(half, what="a part of the outcomes")
    own_broker.kill()
    await own_broker.start()
    last = await asyncio.wait_for(working, 600)

    found = sources(await read_all(settings, "replay-verdicts"))
    assert last.state == "finished"
    assert len(found) == 400
    assert set(found.values()) == {1}


async def test_a_fence_holds_a_real_producer(settings: Settings) -> None:
    """What is handed to a fenced producer stays there, and goes out once the fence opens."""
    closed = [True]
    producer = kafka.make_producer(settings)
    await kafka.start(producer, settings)
    try:
        # Without the topic's metadata the deadline below would strike before anything is handed over.
        await producer.partitions_for(settings.topic("replay-verdicts"))
        fence(producer, lambda: closed[0])
        with pytest.raises(PublishFailed):
            await kafka.send(producer, settings.topic("replay-verdicts"), b"x", key=None, timeout_s=1.0)
        assert await count(settings, "replay-verdicts") == 0
        closed[0] = False

        async def arrived() -> bool:
            return await count(settings, "replay-verdicts") == 1

        assert await wait_until(arrived, what="the record")
    finally:
        await kafka.close(producer)
