"""Policies under ``#shadow`` on a real broker: judged beside the live ones, compared, promoted or held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.conftest import KafkaAddress
from tests.support import policy_topics as topics
from tests.support.commands import rsafe, rsafe_json
from tests.support.dataplane import (
    committed,
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
from tests.support.policies import category, policy, raw
from tests.support.policy_topics import version_of
from tests.support.waiting import wait_until
from worker.audit.rehearsal.read import compare, promote
from worker.audit.rehearsal.rehearsal import Gates
from worker.config import Settings
from worker.errors import RecordError, UsageError
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy import lifecycle
from worker.policy.lifecycle import Compared
from worker.policy.model import EffectivePolicy, record_digest
from worker.policy.store import PolicyStore
from worker.records import Message, PolicyApplied, decode
from worker.stream.plane import DataPlane

pytestmark = pytest.mark.broker

#: How long a command waits for a worker's word.
DECIDED: Final = ("--wait", "60")
U7: Final = category("U7", "Threats", action="block")
U8: Final = category("U8", "Insults", action="hold")
LIVE: Final = policy(U7)
TRIED: Final = policy(U7, U8, title="Next")
TRIED_DIGEST: Final = record_digest(TRIED)


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings under which every message is rehearsed, their topics made."""
    made = settings_for(broker.bootstrap_servers, topic_prefix, shadow_share=1.0, instance_id="w1")
    await make_topics(made)
    return made


@asynccontextmanager
async def worker(
    settings: Settings, judge: ScriptedJudge | None = None
) -> AsyncIterator[tuple[DataPlane, PolicyStore]]:
    """Run the policies and the data plane of one worker."""
    store = PolicyStore(settings)
    async with topics.running(store), running(settings, judge, store) as plane:
        yield plane, store


async def put_both(settings: Settings, store: PolicyStore) -> None:
    """Publish a live policy and the next one under rehearsal, and wait until both are in force."""
    tried = raw(U7, U8, title="Next")
    await topics.publish(settings, ("acme", raw(U7)), ("acme#shadow", tried))
    await wait_until(lambda: version_of(store, "acme") == 1 and store.rehearsals("acme", None))


def texts(number: int) -> list[bytes]:
    """Return messages: every fourth is an insult, every eighth a threat too."""
    tags = ("", "", "", "[unsafe:U8]", "", "", "", "[unsafe:U7][unsafe:U8]")
    return [message(n, f"hello {tags[n % len(tags)]}") for n in range(number)]


async def until_rehearsed(settings: Settings, wanted: int) -> list[dict[str, Any]]:
    """Wait for so many outcomes of rehearsals, and return all."""

    async def there() -> bool:
        return await count(settings, "shadow-verdicts") >= wanted

    await wait_until(there, what=f"{wanted} shadow verdicts")
    return [verdict_of(record) for record in await read_all(settings, "shadow-verdicts")]


async def test_a_policy_is_rehearsed_beside_the_live_one(settings: Settings) -> None:
    """Live verdicts are complete and as ever; the others stand in topics of their own, and nowhere else."""
    async with worker(settings) as (plane, store):
        await put_both(settings, store)
        sent = await send(settings, texts(80))
        await until_verdicts(settings, 80)
        shadow = await until_rehearsed(settings, 80)
        await wait_until(lambda: plane.unready() == [])
        await wait_until(lambda: plane._state.metrics.shadow_judged._value.get() == 80, what="all of them counted")
    live = [verdict_of(record) for record in await read_all(settings, "verdicts")]
    places = {(one.partition, one.offset): 1 for one in sent}

    assert sources(await read_all(settings, "verdicts")) == places
    assert sources(await read_all(settings, "shadow-verdicts")) == places
    assert {(one["mode"], one["run_id"]) for one in live} == {("live", None)}
    assert {(one["mode"], one["run_id"]) for one in shadow} == {("shadow", TRIED_DIGEST)}
    assert sum(one["label"] == "unsafe" for one in live) == 10
    assert sum(one["label"] == "unsafe" for one in shadow) == 20
    assert {one["policy"]["parts"][0]["digest"] for one in live} == {record_digest(LIVE)}
    assert [
        r for r in await read_all(settings, "shadow-verdicts") if verdict_of(r)["source"]["partition"] != r.partition
    ] == []
    ids = {one["verdict_id"] for one in live}
    assert {verdict_of(record)["verdict_id"] for record in await read_all(settings, "traces")} == ids
    assert {verdict_of(r)["verdict_id"] for r in await read_all(settings, "shadow-traces")} == {
        one["verdict_id"] for one in shadow
    }


async def test_a_shadow_that_is_not_valid_is_refused(settings: Settings) -> None:
    """It is a dead letter like others, the rehearsal before it goes on, and live messages are judged."""
    async with worker(settings) as (_, store):
        await put_both(settings, store)
        loose = raw(category("U7", action="label"), version=2)
        await topics.publish(settings, ("platform", raw(U7)))
        await wait_until(lambda: store.resolve("nobody", None))
        await topics.publish(settings, ("acme#shadow", b"{}"), ("acme#shadow", loose))
        letters = await wait_until(lambda: two_letters(settings))
        assert [dict(letter.headers)["stage"] for letter in letters] == [b"policy"] * 2
        (rehearsal,) = store.rehearsals("acme", "lobby")
        assert (rehearsal.scope, rehearsal.digest) == ("acme", TRIED_DIGEST)
        assert store.rehearsals("nobody", None) == ()
        await send(settings, texts(8))
        await until_verdicts(settings, 8)
        assert {one["run_id"] for one in await until_rehearsed(settings, 8)} == {TRIED_DIGEST}


async def two_letters(settings: Settings) -> list[Any]:
    """Return the dead letters once there are two."""
    found = await read_all(settings, "dead-letters")
    return found if len(found) == 2 else []


async def test_a_judge_that_hangs_on_rehearsals_delays_nobody(settings: Settings) -> None:
    """Live verdicts are complete and committed while rehearsals hang; the end of the worker is bounded."""

    class Hanging(ScriptedJudge):
        async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
            if priority:
                await asyncio.Event().wait()
            return await super().judge(message, policy, priority=priority)

    few = replace(settings, shadow_queue_messages=10)
    async with worker(few, Hanging()) as (plane, store):
        await put_both(few, store)
        await send(few, texts(60))
        await until_verdicts(few, 60)
        dropped = plane._state.metrics.shadow_dropped.labels("queue")._value
        await wait_until(lambda: dropped.get() >= 60 - 10 - few.shadow_in_flight)
        async with asyncio.timeout(12):
            await plane.stop()
    assert sum((await committed(few)).values()) == 60
    assert await count(few, "shadow-verdicts") == 0


async def test_compare_and_promote(settings: Settings) -> None:
    """Flips are shown with ids; a gate holds the shadow back; when all gates hold, it becomes the next version."""
    async with worker(settings) as (_, store):
        await put_both(settings, store)
        await send(settings, texts(80))
        await until_verdicts(settings, 80)
        await until_rehearsed(settings, 80)
        report = await rsafe_json(settings, "policy", "compare", "acme")
        assert (report["sample"], report["judged"], report["without_live"], report["doubled"]) == (80, 80, 0, 0)
        assert (report["live"]["digest"], report["shadow"]["digest"]) == (record_digest(LIVE), TRIED_DIGEST)
        (change,) = report["categories"]
        assert (change["key"], change["newly_hit_count"], change["no_longer_hit_count"]) == ("acme:U8", 20, 0)
        assert {(cell["before"], cell["after"]): cell["count"] for cell in report["labels"]} == {
            ("safe", "safe"): 60,
            ("safe", "unsafe"): 10,
            ("unsafe", "unsafe"): 10,
        }
        assert report["flips"]["value"] == 0.125
        code, out, _ = await rsafe(settings, "policy", "compare", "acme")
        assert (code, "hello" in out) == (0, False)

        code, out, err = await rsafe(
            settings, "policy", "promote", "acme", "--min-sample", "50", "--max-disagreement", "0.1"
        )
        assert (code, err) == (1, "")
        assert "held: disagreement is 0.1250" in out
        code, out, _ = await rsafe(settings, "policy", "promote", "acme", "--min-sample", "50", "--dry-run")
        assert (code, "would be promoted" in out) == (0, True)
        assert (version_of(store, "acme"), len(store.rehearsals("acme", None))) == (1, 1)

        gates = ("--min-sample", "50", "--max-flag-rate", "0.4")
        done = await rsafe_json(settings, "policy", "promote", "acme", *gates, *DECIDED)
        assert (done["published"]["decision"], done["published"]["version"]) == ("accepted", 2)
        assert done["published"]["digest"] == TRIED_DIGEST
        assert done["withdrawn"]["decision"] == "deleted"
        await wait_until(lambda: version_of(store, "acme") == 2 and not store.rehearsals("acme", None))
        back = await rsafe_json(settings, "policy", "rollback", "acme", *DECIDED)
        assert (back["decision"], back["digest"]) == ("accepted", record_digest(LIVE))
    code, _, err = await rsafe(settings, "policy", "compare", "acme")
    assert (code, err.count("\n")) == (2, 1)
    assert "no policy under rehearsal; publish one with 'rsafe policy put acme#shadow FILE'" in err


async def test_the_commands_tell_a_rehearsal_from_a_live_policy(settings: Settings) -> None:
    """Put, list and delete say what a worker's word means for a shadow."""
    async with topics.running(PolicyStore(settings)):
        _, out, _ = await rsafe(settings, "policy", "put", "acme#shadow", "-", *DECIDED, stdin=raw(U8))
        assert out == "acme#shadow: version 1 at offset 0 is under rehearsal\n"
        (row,) = await rsafe_json(settings, "policy", "list")
        assert (row["scope"], row["applied"]) == ("acme#shadow", {"workers": 0, "members": 0, "after_s": None})
        code, _, err = await rsafe(settings, "policy", "promote", "acme", "--min-sample", "1", "--max-flag-rate", "1")
        assert (code, err) == (1, "")
        _, out, _ = await rsafe(settings, "policy", "delete", "acme#shadow", *DECIDED)
        assert out == "acme#shadow: tombstone at offset 1 is in force: there is no rehearsal any more\n"


async def test_watch_waits_for_the_sample(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ruling comes by itself once enough messages are compared."""
    monkeypatch.setattr("worker.audit.rehearsal.read._COUNT_AGAIN_S", 0.2)
    async with worker(settings) as (_, store):
        await put_both(settings, store)
        waiting = asyncio.create_task(promote(settings, "acme", Gates(min_sample=32), watch=True, wait_s=60))
        await send(settings, texts(16))
        await until_rehearsed(settings, 16)
        assert not waiting.done()
        await send(settings, texts(16))
        promotion = await asyncio.wait_for(waiting, 300)
        assert (promotion.report.sample, promotion.obstacles) == (32, ())
        await wait_until(lambda: version_of(store, "acme") == 2)


async def test_verdicts_under_another_live_policy_are_left_out(settings: Settings) -> None:
    """Only what differs in this one policy is compared; a platform's own rehearsal works the same way."""
    async with worker(settings) as (_, store):
        await topics.publish(settings, ("platform", raw(U7)), ("platform#shadow", raw(U7, U8)))
        await wait_until(lambda: store.rehearsals("acme", "lobby"))
        await send(settings, texts(8))
        await until_rehearsed(settings, 8)
        await until_verdicts(settings, 8)
        assert (await compare(settings, "platform")).sample == 8
        await topics.publish(settings, ("platform", raw(U7, version=2, default_action="block")))
        await wait_until(lambda: version_of(store, "acme") == 2)
        await send(settings, texts(8))
        await until_verdicts(settings, 16)
        await until_rehearsed(settings, 16)
        report = await compare(settings, "platform#shadow")
    assert (report.sample, report.other_policy, report.live.version) == (8, 8, 2)


async def test_a_sample_under_another_floor_promotes_nothing(settings: Settings) -> None:
    """What goes live is the policy under the floor in force, and under that one nothing was rehearsed."""
    async with worker(settings) as (_, store):
        await put_both(settings, store)
        await send(settings, texts(8))
        await until_verdicts(settings, 8)
        await until_rehearsed(settings, 8)
        assert (await compare(settings, "acme")).sample == 8
        await topics.publish(settings, ("platform", raw(category("U9", "Doxing", action="block"))))
        await wait_until(lambda: store.resolve("nobody", None))
        held = await promote(settings, "acme", Gates(min_sample=1))
    assert (held.report.sample, held.report.other_policy, held.published) == (0, 8, None)


async def test_neither_a_newer_live_policy_nor_a_newer_rehearsal_is_overwritten(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion is of the two records that were compared; what a colleague publishes meanwhile stands."""
    publish = lifecycle._publish

    async def beside_a_colleague(*given: Any) -> lifecycle.Published:
        await topics.publish(settings, ("acme#shadow", raw(U8, version=2, title="A colleague's")))
        return await publish(*given)

    async with topics.running(PolicyStore(settings)) as store:
        await put_both(settings, store)
        compared = Compared(shadow=TRIED_DIGEST, live=record_digest(LIVE))
        with pytest.raises(UsageError, match="acme itself was changed since"):
            await lifecycle.promote(settings, "acme", replace(compared, live=None), wait_s=60)
        monkeypatch.setattr(lifecycle, "_publish", beside_a_colleague)
        published, withdrawn = await lifecycle.promote(settings, "acme", compared, wait_s=60)
        assert (published.decision, published.version, withdrawn) == ("accepted", 2, None)
        await wait_until(lambda: version_of(store, "acme") == 2)
        assert [one.digest for one in store.rehearsals("acme", None)] == [
            record_digest(policy(U8, title="A colleague's"))
        ]


async def test_list_says_which_workers_hold_a_policy(settings: Settings) -> None:
    """Both workers are counted with the time of the later one; one that is gone is not; without any it says so."""
    second = replace(settings, instance_id="w2")
    async with worker(settings) as (one, store):
        async with worker(second) as (other, also):
            await wait_until(lambda: not one.unready() and not other.unready())
            began_s = time.time()
            await topics.publish(settings, ("acme", raw(U7)))
            await wait_until(lambda: version_of(store, "acme") and version_of(also, "acme"))
            await wait_until(lambda: said_by(settings, 2))
            took_s = time.time() - began_s
            (row,) = await rsafe_json(settings, "policy", "list")
            assert (row["applied"]["workers"], row["applied"]["members"]) == (2, 2)
            assert 0 <= row["applied"]["after_s"] < 2
            assert row["applied"]["after_s"] <= took_s
            code, out, _ = await rsafe(settings, "policy", "list")
            assert (code, "; live on 2 of 2 workers after " in out) == (0, True)
        await wait_until(lambda: members(settings, 1))
        async with worker(replace(settings, instance_id="w3")) as (third, _):
            await wait_until(lambda: not third.unready() and not one.unready())
            applied = await wait_until(lambda: members(settings, 2))
            assert (applied.workers, applied.after_s is not None) == (2, True)
    await wait_until(lambda: members(settings, 0))
    code, out, _ = await rsafe(settings, "policy", "list")
    assert (code, out.rstrip().endswith("newest: accepted; no worker runs")) == (0, True)


async def test_workers_say_again_what_they_hold(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The topic forgets after a month; what is said again, or at a start, says so and moves no time."""
    monkeypatch.setattr("worker.policy.store._SAY_AGAIN_S", 0.5)
    async with topics.running(PolicyStore(settings)):
        await topics.publish(settings, ("acme", raw(U7)))
        await wait_until(lambda: said_by(settings, 3))
    first, *more = [decode(one.value, PolicyApplied, RecordError) for one in await read_all(settings, "policy-applied")]
    assert (first.scope, first.version, first.repeated) == ("acme", 1, UNSET)
    assert {(one.scope, one.version, one.repeated) for one in more} == {("acme", 1, True)}
    before = await count(settings, "policy-applied")
    monkeypatch.undo()
    async with topics.running(PolicyStore(settings)):
        await wait_until(lambda: said_by(settings, before + 1))
    last = max(await read_all(settings, "policy-applied"), key=lambda one: one.offset)
    assert decode(last.value, PolicyApplied, RecordError).repeated is True


async def said_by(settings: Settings, wanted: int) -> bool:
    """Tell whether so many announcements are there."""
    return len(await read_all(settings, "policy-applied")) >= wanted


async def members(settings: Settings, wanted: int) -> Any:
    """Return who holds the one policy, once the group has so many members."""
    (row,) = await lifecycle.current(settings)
    return row.applied if row.applied is not None and row.applied.members == wanted else None
