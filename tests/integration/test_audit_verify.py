"""``rsafe audit verify`` on a real broker: what a worker leaves is whole, and whatever is planted is named."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.conftest import KafkaAddress
from tests.support.dataplane import (
    committed,
    make_topics,
    message,
    producer,
    read_all,
    running,
    send,
    settings_for,
    verdict_of,
)
from tests.support.log_files import hurt, rewritten
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker import content_digest
from worker.audit.span import Span
from worker.audit.verify.coverage import Fault
from worker.audit.verify.integrity import with_integrity
from worker.audit.verify.report import Report
from worker.audit.verify.seals import seal_outcomes
from worker.audit.verify.verify import verify
from worker.broker import Broker
from worker.config import Settings

pytestmark = pytest.mark.broker

PARTITIONS: Final = 3
EVERYTHING: Final = Span()
Place = tuple[str, int, int]


def mixed(count: int) -> list[bytes | None]:
    """Return messages, every tenth of them poison and every seventh null."""
    return [
        None if number % 7 == 6 else b"{" if number % 10 == 9 else message(number, tenant=f"t{number % 5}")
        for number in range(count)
    ]


async def judged(settings: Settings, values: Sequence[bytes | None], partitions: int = PARTITIONS) -> None:
    """Have a data plane judge values until all of them are committed."""
    await make_topics(settings, partitions)
    places = await send(settings, values)
    async with running(settings):
        await until_committed(settings, len(places))


async def until_committed(settings: Settings, wanted: int) -> None:
    """Wait until so many offsets are committed."""

    async def there() -> bool:
        return sum((await committed(settings)).values()) >= wanted

    await wait_until(there, what=f"{wanted} offsets committed")


async def commit(settings: Settings, offsets: dict[int, int]) -> None:
    """Move the group's commits, as an operator would."""
    client = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, group_id=settings.group_id)
    await client.start()
    try:
        places = {TopicPartition(settings.topic("messages"), number): at for number, at in offsets.items()}
        client.assign(list(places))
        await client.commit(places)
    finally:
        await client.stop()


async def verified(settings: Settings, span: Span = EVERYTHING) -> Report:
    """Audit without the command line."""
    return (await verify(settings, span))[0]


def places(lines: Sequence[Fault]) -> list[Place]:
    """Return where the lines of a list point to."""
    return [(line.topic, line.partition, line.offset) for line in lines]


async def rsafe(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Run ``rsafe audit`` and return exit code, standard output and standard error."""
    env = {
        "RSAFE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RSAFE_TOPIC_PREFIX": settings.topic_prefix,
        "RSAFE_GROUP_ID": settings.group_id,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "audit", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | env,
        cwd=ROOT,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_what_a_worker_leaves_is_whole_and_planted_faults_are_named(
    broker: KafkaAddress, topic_prefix: str
) -> None:
    """300 messages with poison and nulls: clean. Then a gap, a duplicate and a copy elsewhere, each found alone."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    values = mixed(300)
    await judged(settings, values)
    code, out, err = await rsafe(settings, "verify", "--integrity", "--json")
    clean = json.loads(out)

    assert code == 0, err
    assert (clean["checked"], clean["skipped"]) == (300, sum(value is None for value in values))
    assert [clean[name] for name in ("missing", "doubled", "misplaced", "altered", "pending")] == [[]] * 5
    assert "inputs/s" in err

    (gap, *_) = await send(settings, [message(1000)], partition=1)
    await commit(settings, {1: gap.offset + 1})
    verdicts = await read_all(settings, "verdicts")
    twice = next(record for record in verdicts if record.partition == 0)
    astray = next(record for record in verdicts if record.partition == 2)
    async with producer(settings) as client:
        for record, partition in ((twice, 0), (astray, 0)):
            planted = await client.send_and_wait(
                settings.topic("verdicts"), record.value, record.key, partition, headers=list(record.headers)
            )
    code, out, err = await rsafe(settings, "verify", "--json")
    found = json.loads(out)

    messages, source = settings.topic("messages"), verdict_of(twice)["source"]
    assert code == 1, err
    assert [place_in(line) for line in found["missing"]] == [(messages, 1, gap.offset)]
    assert [place_in(line) for line in found["misplaced"]] == [(settings.topic("verdicts"), 0, planted.offset)]
    assert {place_in(line) for line in found["doubled"]} == {
        (messages, 0, source["offset"]),
        (messages, 2, verdict_of(astray)["source"]["offset"]),
    }
    assert found["altered"] == []
    assert "1 missing, 2 doubled, 1 misplaced, 0 altered" in (await rsafe(settings, "verify"))[1]


def place_in(line: dict[str, Any]) -> Place:
    """Return where a line of the printed report points to."""
    return line["topic"], line["partition"], line["offset"]


async def test_what_is_in_flight_is_pending_and_without_a_worker_missing(
    broker: KafkaAddress, topic_prefix: str
) -> None:
    """A running worker will see to it; where none runs nobody does, and the line says so."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await judged(settings, [message(number) for number in range(30)])
    async with running(settings) as plane:
        # A worker that has not joined yet is nobody's member.
        await asyncio.wait_for(plane.joined.wait(), 120)
        sent = await send(settings, [message(number, "[sleep:600000]") for number in range(5)], partition=2)
        busy = await verified(settings)
    stopped = await verified(settings)

    assert busy.ok
    assert [(one.partition, one.offset, one.count) for one in busy.pending] == [(2, sent[0].offset, 5)]
    assert places(stopped.missing) == [(settings.topic("messages"), 2, one.offset) for one in sent]
    assert {line.reason for line in stopped.missing} == {"no outcome yet, and no worker of the group is running"}
    assert stopped.pending == ()


async def test_transaction_markers_and_aborted_messages_are_not_missing(
    broker: KafkaAddress, topic_prefix: str
) -> None:
    """They leave holes, at the end of the log as well; nobody reads them, so nobody owes them an outcome."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    async with producer(settings, transactional_id=f"{topic_prefix}sender") as client:
        for number in range(5):
            async with client.transaction():
                await client.send(settings.topic("messages"), message(number))
            await client.begin_transaction()
            await client.send(settings.topic("messages"), message(100 + number))
            await client.abort_transaction()
    async with running(settings):
        await until_committed(settings, 20)
    report = await verified(settings)

    assert report.ok
    assert (report.checked, report.pending) == (5, ())


async def test_what_retention_overtook_is_missing_and_says_why(broker: KafkaAddress, topic_prefix: str) -> None:
    """Ten messages were judged, ten more were deleted before anybody read them."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await judged(settings, [message(number) for number in range(10)], partitions=1)
    await send(settings, [message(number) for number in range(10, 30)])
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        twin = TopicPartition(settings.topic("messages"), 0)
        await admin.delete_records({twin: RecordsToDelete(before_offset=20)})
    finally:
        await admin.close()
    report = await verified(settings)

    gone_ones = [line for line in report.missing if "retention" in line.reason]
    assert places(gone_ones) == [(settings.topic("messages"), 0, offset) for offset in range(10, 20)]
    assert places(report.missing)[10:] == [(settings.topic("messages"), 0, offset) for offset in range(20, 30)]


async def test_a_topic_that_was_made_anew_uses_offsets_again(broker: KafkaAddress, topic_prefix: str) -> None:
    """Outcomes of the old messages prove nothing about the new ones, and accuse nobody."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await judged(settings, [message(number) for number in range(20)], partitions=1)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([settings.topic("messages")])
    finally:
        await admin.close()
    await wait_until(lambda: gone(settings), what="the topic is gone")
    await make_topics(settings, 1)
    await send(settings, [message(number) for number in range(20)])
    await commit(settings, {0: 20})
    report = await verified(settings)

    assert places(report.missing) == [(settings.topic("messages"), 0, offset) for offset in range(20)]
    assert (report.misplaced, report.doubled) == ((), ())


async def gone(settings: Settings) -> bool:
    """Tell whether there is no topic of messages any more."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        return settings.topic("messages") not in await admin.list_topics()
    finally:
        await admin.close()


async def test_a_range_is_a_time_or_offsets(broker: KafkaAddress, topic_prefix: str) -> None:
    """Only inputs of the range are checked; their outcomes are found however much later they stand."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await judged(settings, [message(number) for number in range(60)])
    middle = verdict_of((await read_all(settings, "verdicts"))[30])["source"]
    by_time = [
        await verified(settings, Span(to_ms=middle["timestamp"])),
        await verified(settings, Span(from_ms=middle["timestamp"])),
    ]
    by_offset = await verified(settings, Span(partition=1, from_offset=5, to_offset=12))
    code, out, err = await rsafe(settings, "verify", "--from", "-1h", "--to", "1970-01-01", "--json")

    assert sum(report.checked for report in by_time) == 60
    assert all(report.ok for report in by_time)
    assert (by_offset.ok, by_offset.checked) == (True, 7)
    assert (code, out) == (2, "")
    assert "exchange --from and --to" in err


async def test_a_changed_record_on_disk_is_named(own_broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    """By its digest; where that was made to fit, by the seal; and a trace by its own digest."""
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix, compression="none", linger_ms=0)
    await make_topics(settings, 1)
    async with running(settings):
        for number in range(12):
            await send(settings, [message(number, "[unsafe:U7]" if number == 4 else "hello")])
            await until_committed(settings, number + 1)
    seals = tmp_path / "seals.jsonl"
    sealed = await seal_outcomes(settings, seals)
    whole = await with_everything(settings, seals)

    assert (sealed.records, whole.sealed, whole.ok) == (12, 12, True)

    careless, careful = (await read_all(settings, "verdicts"))[4], (await read_all(settings, "verdicts"))[7]
    hurt(own_broker, f"{settings.topic('verdicts')}-0", 4, rewritten({b'"action":"block"': b'"action":"allow"'}))
    changes = {b'"name":"scripted"': b'"name":"rsafe-7b"'}
    other = careful.value.replace(*next(iter(changes.items())))
    digests = [content_digest.digest(careful.key, value).encode() for value in (careful.value, other)]
    hurt(own_broker, f"{settings.topic('verdicts')}-0", 7, rewritten(changes | {digests[0]: digests[1]}))
    hurt(own_broker, f"{settings.topic('traces')}-0", 2, rewritten({b'"raw":"No rule': b'"raw":"No fool'}))
    plain, full = await verified(settings), await with_everything(settings, seals)

    verdicts = settings.topic("verdicts")
    assert places(plain.altered) == [(verdicts, 0, careless.offset)]
    assert places(full.altered) == [
        (settings.topic("traces"), 0, 2),
        (verdicts, 0, careless.offset),
        (verdicts, 0, careful.offset),
    ]
    assert (plain.missing, plain.doubled, plain.misplaced) == ((), (), ())


async def with_everything(settings: Settings, seals: Path) -> Report:
    """Audit with traces and seals."""
    report, logs = await verify(settings, EVERYTHING)
    return await with_integrity(settings, report, logs, seals)


async def test_seals_go_on_where_they_ended(broker: KafkaAddress, topic_prefix: str, tmp_path: Path) -> None:
    """Only what is new is sealed; what was written since the last seal is not accused."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    seals = tmp_path / "seals.jsonl"
    await judged(settings, mixed(40))
    code, out, err = await rsafe(settings, "seal", str(seals), "--json")
    first = json.loads(out)
    again = await seal_outcomes(settings, seals)
    await send(settings, [message(number) for number in range(9)])
    async with running(settings):
        await until_committed(settings, 49)
    before = await with_everything(settings, seals)
    second = await seal_outcomes(settings, seals)
    after = await with_everything(settings, seals)

    assert (code, err) == (0, "")
    assert first["records"] == 40 - sum(value is None for value in mixed(40))
    assert (again.records, again.head, second.records) == (0, first["head"], 9)
    assert (before.ok, before.sealed, after.ok, after.sealed) == (True, first["records"], True, first["records"] + 9)
