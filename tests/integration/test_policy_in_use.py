"""Policies changed while messages are judged: what is refused pauses nothing, what is rolled back is back at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from tests.conftest import KafkaAddress
from tests.support import policy_topics as topics
from tests.support.dataplane import make_topics, message, read_all, running, send, settings_for, verdict_of
from tests.support.judges import HeldJudge, cases_held
from tests.support.policies import category, raw
from tests.support.policy_topics import version_of
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.policy import lifecycle
from worker.policy.store import PolicyStore
from worker.records import GoldenCase, HistoryEntry
from worker.stream.plane import DataPlane
from worker.stream.trier import JudgeTrier

pytestmark = pytest.mark.broker

FLOOR: Final = category("U7", "Hate", action="block")
OWN: Final = category("OWN", "Own", action="hold")
WRONG: Final = GoldenCase(text="case: a good one", label="unsafe", categories=("OWN",))
RIGHT: Final = GoldenCase(text="case: [unsafe:OWN]", label="unsafe", categories=("OWN",))
#: By name: the record, the field that is named, and what the refusal says of the cure.
BAD: Final[dict[str, tuple[bytes, str, str]]] = {
    "loosens the floor": (
        raw(OWN, category("U7", action="allow"), version=2),
        "categories[1].action",
        "not milder than the floor",
    ),
    "fails its golden cases": (raw(OWN, version=3, golden=(WRONG,)), "golden", "100% of the golden cases"),
    "no JSON": (b"title: a policy", "", "a JSON object"),
    "one megabyte": (raw(OWN, version=4, text="x" * 1_000_000), "", "at most 256 KiB"),
}


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings of a fast test, with all topics there."""
    chosen = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(chosen)
    return chosen


@asynccontextmanager
async def worker(settings: Settings, judge: HeldJudge) -> AsyncIterator[tuple[PolicyStore, DataPlane]]:
    """Run policies, golden cases and data plane, as one worker has them."""
    store = PolicyStore(settings, trier=JudgeTrier(settings, judge))
    async with topics.running(store), running(settings, judge, store) as plane:
        yield store, plane


async def judged(settings: Settings, numbers: range) -> list[dict[str, Any]]:
    """Send messages and return their verdicts, once all are there."""
    await send(settings, [message(number, "hello [unsafe:OWN]") for number in numbers])
    names = {f"m{number}" for number in numbers}

    async def theirs() -> list[dict[str, Any]] | None:
        found = [verdict_of(record) for record in await read_all(settings, "verdicts")]
        mine = [one for one in found if one["message_id"] in names]
        return mine if len(mine) == len(names) else None

    return await wait_until(theirs, what="verdicts of what was just sent") or []


async def refused(settings: Settings, offset: int) -> HistoryEntry | None:
    """Return the decision about a record, if there is one."""
    return next((entry for entry in await topics.history(settings) if entry.offset == offset), None)


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_policy_is_refused_and_verdicts_go_on(settings: Settings, name: str) -> None:
    """The refusal names field and cure; messages before and after are judged by the last good policy, unpaused."""
    record, field, cure = BAD[name]
    judge = cases_held()
    async with worker(settings, judge) as (store, plane):
        await topics.publish(settings, ("platform", raw(FLOOR)), ("acme", raw(OWN)))
        await wait_until(lambda: version_of(store, "acme") == 1)
        before = await judged(settings, range(20))
        async with topics.producer(settings) as client:
            sent = await client.send_and_wait(settings.topic("policies"), record, key=b"acme")
        # Cases are held back all the while: whatever waits for them, these do not.
        after = await judged(settings, range(20, 60))
        await wait_until(lambda: plane.unready() == [])
        judge.released.set()
        entry = await wait_until(lambda: refused(settings, sent.offset), what="the refusal")
        assert version_of(store, "acme") == 1
        await wait_until(lambda: read_all(settings, "dead-letters"), what="the dead letter")

    assert entry is not None
    assert (entry.decision, entry.field) == ("refused", field)
    assert cure in (entry.reason or "")
    (letter,) = await read_all(settings, "dead-letters")
    assert letter.value == record
    assert cure in dict(letter.headers)["error_detail"].decode()
    assert {one["status"] for one in before + after} == {"judged"}
    assert {part["version"] for one in before + after for part in one["policy"]["parts"]} == {1}
    assert {one["action"] for one in before + after} == {"hold"}


async def test_a_rollback_is_in_force_within_two_seconds(settings: Settings) -> None:
    """From the call to the first judgement under the old content; golden cases that passed are not asked again."""
    judge = cases_held()
    judge.released.set()
    milder = category("OWN", "Own", action="label")
    async with worker(settings, judge) as (store, _):
        await topics.publish(settings, ("platform", raw(FLOOR)), ("acme", raw(OWN, golden=(RIGHT,))))
        await wait_until(lambda: version_of(store, "acme") == 1)
        await topics.publish(settings, ("acme", raw(milder, version=2)))
        await wait_until(lambda: version_of(store, "acme") == 2)
        cases = judge.held
        judge.released.clear()

        began_s = time.monotonic()
        published = await lifecycle.rollback(settings, "acme", wait_s=60)
        await wait_until(lambda: version_of(store, "acme") == 3, interval_s=0.005)
        took_s = time.monotonic() - began_s
        (verdict,) = await judged(settings, range(1))

    assert published.version == 3
    assert took_s < 2, took_s
    assert judge.held == cases
    assert verdict["action"] == "hold"
