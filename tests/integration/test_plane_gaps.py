"""Messages that retention takes before they are judged: declared once, durable, and told by the audit for good."""

from __future__ import annotations

from typing import Final

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.conftest import KafkaAddress
from tests.support.commands import rsafe, rsafe_json
from tests.support.dataplane import (
    committed,
    make_topics,
    message,
    read_all,
    running,
    send,
    settings_for,
    sources,
)
from tests.support.judges import HeldJudge
from tests.support.waiting import wait_until
from worker.audit.span import Span
from worker.audit.verify.verify import verify
from worker.config import Settings
from worker.dead_letter import Run, lost_run

pytestmark = pytest.mark.broker
_REASON: Final = "retention took it before it was judged, as its worker declared"


async def delete_before(settings: Settings, offset: int) -> None:
    """Delete the start of the messages of partition 0, as retention would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        twin = TopicPartition(settings.topic("messages"), 0)
        await admin.delete_records({twin: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


async def until_committed(settings: Settings, offset: int) -> None:
    """Wait until partition 0 is committed up to there."""

    async def there() -> bool:
        return (await committed(settings)).get(0, 0) >= offset

    await wait_until(there, what=f"a commit at {offset}")


async def set_back(settings: Settings, offset: int) -> None:
    """Commit as a worker that died before its next commit would have left it."""
    client = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, group_id=settings.group_id)
    await client.start()
    try:
        twin = TopicPartition(settings.topic("messages"), 0)
        client.assign([twin])
        await client.commit({twin: offset})
    finally:
        await client.stop()


async def declared(settings: Settings) -> list[Run]:
    """Return what is declared as lost, in order."""
    runs = [lost_run(record.headers) for record in await read_all(settings, "dead-letters")]
    return [run for run in runs if run is not None]


async def test_a_gap_is_declared_once_and_told_for_good(broker: KafkaAddress, topic_prefix: str) -> None:
    """20 of 50 messages vanish: one dead letter, also after a crash before its commit; the audit lists each of them."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    messages = settings.topic("messages")
    await make_topics(settings, 1)
    await send(settings, [message(number) for number in range(10)])
    async with running(settings):
        await until_committed(settings, 10)
    await send(settings, [message(number) for number in range(10, 50)])
    await delete_before(settings, 30)
    async with running(settings):
        await until_committed(settings, 50)
    await set_back(settings, 10)
    await send(settings, [message(50)])
    async with running(settings):
        await until_committed(settings, 51)

    assert await declared(settings) == [(messages, 0, 10, 30)]
    assert set(sources(await read_all(settings, "verdicts")).values()) == {1}

    report = (await verify(settings, Span()))[0]
    assert [(line.offset, line.reason) for line in report.missing] == [(offset, _REASON) for offset in range(10, 30)]
    assert {line.outcomes[0].topic for line in report.missing} == {settings.topic("dead-letters")}
    assert (report.checked, report.doubled, report.misplaced, report.altered) == (41, (), (), ())

    part = (await verify(settings, Span(partition=0, from_offset=15, to_offset=20)))[0]
    assert [line.offset for line in part.missing] == [*range(15, 20)]
    assert (await verify(settings, Span(partition=0, from_offset=30)))[0].ok

    # What is left of the log goes as well: the loss is still known.
    await delete_before(settings, 51)
    assert len((await verify(settings, Span()))[0].missing) == 20


async def test_a_loss_cannot_be_sent_again(broker: KafkaAddress, topic_prefix: str) -> None:
    """``dlq`` shows it with its stage and refuses to redrive it; a null value would be a skip."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(number) for number in range(10)])
    async with running(settings):
        await until_committed(settings, 10)
    await send(settings, [message(number) for number in range(10, 20)])
    await delete_before(settings, 15)
    async with running(settings):
        await until_committed(settings, 20)

    only = await rsafe_json(settings, "dlq", "list")
    assert (only["stage"], only["error"]) == ("retention", "OffsetGone")
    assert "offsets 10 to 14 are gone" in only["detail"]
    code, out, err = await rsafe(settings, "dlq", "redrive", "--stage", "retention")
    assert code == 1
    assert "retention took it" in out + err
    assert len(await read_all(settings, "messages")) == 5


async def test_a_deferred_message_that_is_gone_is_declared(broker: KafkaAddress, topic_prefix: str) -> None:
    """Past its tenant's queue only an offset was kept; its message vanished before its turn."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, tenant_queue_messages=5, window=1)
    await make_topics(settings, 1)
    # While the first is in the judge no queue has room, so nothing is read a second time before it is gone.
    await send(settings, [message(number, "") for number in range(30)])
    judge = HeldJudge(lambda message: message.message_id == "m0")
    async with running(settings, judge) as plane:
        await wait_until(lambda: len(plane._state.deferred) >= 20)
        await delete_before(settings, 28)
        judge.released.set()
        await until_committed(settings, 30)

    judged = {offset for _, offset in sources(await read_all(settings, "verdicts"))}
    lost = {offset for run in await declared(settings) for offset in range(run.start, run.end)}
    report = (await verify(settings, Span()))[0]

    assert lost
    assert judged | lost == set(range(30))
    assert not judged & lost
    assert {line.offset for line in report.missing} == lost
    assert (report.doubled, report.misplaced, report.altered) == ((), (), ())
