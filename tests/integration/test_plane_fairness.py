"""Many tenants share one worker: queues, deferral, overload, order of an id."""

from __future__ import annotations

import pytest

from tests.conftest import KafkaAddress
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
    status_counts,
    until_verdicts,
    verdict_of,
)
from tests.support.judges import HeldJudge, WatchedJudge
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.records import Message
from worker.stream.buffer import Buffer

pytestmark = pytest.mark.broker


async def until_done(settings: Settings, wanted: int) -> None:
    """Wait until there are so many verdicts and all of it is committed."""

    async def done() -> bool:
        all_committed = sum((await committed(settings)).values()) == wanted
        return all_committed and await count(settings, "verdicts") == wanted

    await wait_until(done, what=f"{wanted} verdicts, committed")


async def test_a_hot_tenant_does_not_starve_a_quiet_one(broker: KafkaAddress, topic_prefix: str) -> None:
    """Behind two thousand messages of another tenant, a quiet tenant's are read, and among the first to be judged.

    Nothing is judged before all of the quiet one's messages are read: how long that takes is the machine's affair.
    """
    settings = settings_for(broker.bootstrap_servers, topic_prefix, window=8)
    await make_topics(settings, 2)
    await send(settings, (message(number, "[sleep:20]", tenant="hot") for number in range(2000)))
    await send(settings, (message(number, "[sleep:20]", tenant="quiet") for number in range(200)))
    judge = HeldJudge()
    async with running(settings, judge) as plane:
        admission = plane._state.admission
        await wait_until(
            lambda: admission.room("quiet").messages == settings.tenant_queue_messages - 200, what="all are read"
        )
        judge.released.set()
        await until_done(settings, 2200)

    order = [judged.tenant_id for judged in judge.order]
    # The hot one has the floor alone until the quiet one's messages are read; then they take turns.
    first, last = order.index("quiet"), len(order) - 1 - order[::-1].index("quiet")
    assert last - first < 3 * 200
    assert last < 1600


async def test_what_a_queue_cannot_hold_is_read_again(broker: KafkaAddress, topic_prefix: str) -> None:
    """Past its queue a tenant's messages cost an offset each; all are judged, once, and in order."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, tenant_queue_messages=20, window=8)
    await make_topics(settings, 2)
    await send(settings, (message(number, "[sleep:5]", tenant="hot") for number in range(1000)))
    await send(settings, (message(number, tenant="quiet") for number in range(50)))
    judge = WatchedJudge()
    async with running(settings, judge) as plane:
        await wait_until(lambda: len(plane._state.deferred) > 500, interval_s=0.005)

        assert plane._state.buffer.messages < 200

        await until_done(settings, 1050)

    verdicts = await read_all(settings, "verdicts")
    assert set(sources(verdicts).values()) == {1}
    assert status_counts(verdicts) == {"judged": 1050}
    for partition in (0, 1):
        numbers = [int(one.message_id[1:]) for one in judge.order if one.tenant_id == "hot"]
        mine = [number for number in numbers if number % 2 == partition]
        assert mine == sorted(mine)


async def test_beyond_the_bound_the_excess_is_overloaded(broker: KafkaAddress, topic_prefix: str) -> None:
    """A tenant far past its share gets a status for the rest; nobody's offsets are kept without end."""
    settings = settings_for(
        broker.bootstrap_servers, topic_prefix, tenant_queue_messages=10, tenant_deferred_messages=50, window=4
    )
    await make_topics(settings, 1)
    await send(settings, (message(number, "[sleep:20]", tenant="hot") for number in range(500)))
    async with running(settings):
        await until_done(settings, 500)
    counts = status_counts(await read_all(settings, "verdicts"))

    assert counts["judged"] + counts["overloaded"] == 500
    assert counts["judged"] >= 60
    assert counts["overloaded"] > 100


async def test_what_waits_too_long_is_overloaded(broker: KafkaAddress, topic_prefix: str) -> None:
    """A deferred message past its age gets a status, with its ids, instead of holding the watermark."""
    settings = settings_for(
        broker.bootstrap_servers, topic_prefix, tenant_queue_messages=5, deferred_max_age_s=1.0, window=1
    )
    await make_topics(settings, 1)
    await send(settings, (message(number, "[sleep:200]", tenant="hot", channel_id="c") for number in range(100)))
    async with running(settings):
        await until_done(settings, 100)
    verdicts = [verdict_of(record) for record in await read_all(settings, "verdicts")]
    late = [verdict for verdict in verdicts if verdict["status"] == "overloaded"]

    assert len(late) > 50
    assert {verdict["channel_id"] for verdict in late} == {"c"}
    assert {verdict["action"] for verdict in late} == {"review"}
    assert len({verdict["message_id"] for verdict in verdicts}) == 100


async def test_the_same_id_is_judged_one_after_the_other(broker: KafkaAddress, topic_prefix: str) -> None:
    """Revisions of a message never overtake each other, while other messages go on."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, (message(number % 3, "[sleep:10]", revision=number) for number in range(60)))
    judge = WatchedJudge()
    async with running(settings, judge):
        await until_done(settings, 60)

    assert judge.most_at_once_of_an_id == 1
    for number in range(3):
        revisions = [one.revision for one in judge.order if one.message_id == f"m{number}"]
        assert revisions == sorted(range(number, 60, 3))


async def test_a_message_that_is_edited_again_and_again_stops_no_other(broker: KafkaAddress, topic_prefix: str) -> None:
    """While one revision is judged and hundreds wait aside, the tenant's other messages before and behind go on."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, tenant_queue_messages=50, window=8)
    await make_topics(settings, 2)
    await send(settings, [message(0, revision=number) for number in range(300)], partition=0)
    await send(settings, [message(number) for number in range(1, 41)])
    judge = HeldJudge(lambda message: message.message_id == "m0")
    async with running(settings, judge):
        await wait_until(lambda: len({one.message_id for one in judge.order}) == 40, what="all others are judged")

        assert judge.held == 1

        judge.released.set()
        await until_done(settings, 340)

    assert [one.revision for one in judge.order if one.message_id == "m0"] == [*range(300)]
    assert set(sources(await read_all(settings, "verdicts")).values()) == {1}
    assert judge.most_at_once_of_an_id == 1


class MeasuringJudge(ScriptedJudge):
    """Looks at how much is held whenever it is asked."""

    def __init__(self) -> None:
        """There is nothing to look at before the plane is built."""
        super().__init__()
        self.buffer: Buffer | None = None
        self.most = 0

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Look, and judge by rule."""
        assert self.buffer is not None
        self.most = max(self.most, self.buffer.messages)
        return await super().judge(message, policy, priority=priority)


async def test_memory_is_bounded_over_all_tenants(broker: KafkaAddress, topic_prefix: str) -> None:
    """Intake waits when the worker holds as much as it may, whoever the messages are from."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, buffer_messages=50, window=4)
    await make_topics(settings, 4)
    await send(settings, (message(number, "[sleep:10]", tenant=f"t{number}") for number in range(600)))
    judge = MeasuringJudge()
    async with running(settings, judge) as plane:
        buffer = judge.buffer = plane._state.buffer
        await until_verdicts(settings, 600)
        # A verdict can be read before its message is given back.
        await wait_until(lambda: (buffer.messages, buffer.bytes) == (0, 0), what="nothing is held")

    assert await count(settings, "verdicts") == 600
    assert 20 < judge.most <= 50
