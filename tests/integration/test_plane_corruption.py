"""A batch in the broker's log that cannot be read, and one that only looks so.

The first stops its partition where it lies, and nothing is skipped; the second stops nobody.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import pytest

from tests.support.dataplane import (
    committed,
    count,
    make_topics,
    message,
    producer,
    read_all,
    running,
    send,
    settings_for,
    until_verdicts,
    verdict_of,
)
from tests.support.judges import HeldJudge
from tests.support.log_files import ATTRIBUTES, RECORDS, Harm, hurt, sign
from tests.support.waiting import wait_until
from worker import dead_letter
from worker.broker import Broker

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def bad_checksum(batch: bytearray) -> None:
    """Change one byte of the text and leave the checksum."""
    batch[-5] ^= 1


def unknown_codec(batch: bytearray) -> None:
    """Name a codec that no Kafka has, under a checksum that is right."""
    batch[ATTRIBUTES] |= 7
    sign(batch)


def garbled_records(batch: bytearray) -> None:
    """Put zeros in place of the compressed records, under a checksum that is right."""
    batch[RECORDS:] = bytes(len(batch) - RECORDS)
    sign(batch)


@pytest.mark.parametrize("harm, compression", [(bad_checksum, None), (unknown_codec, None), (garbled_records, "zstd")])
async def test_an_unreadable_batch_stops_its_partition(
    own_broker: Broker, topic_prefix: str, harm: Harm, compression: Literal["zstd"] | None
) -> None:
    """What stands before the batch is judged, the batch is never skipped, the other partitions go on."""
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 2)
    async with producer(settings, compression_type=compression) as client:
        for number in range(30):
            await client.send_and_wait(
                settings.topic("messages"), message(number, f"text number {number:03}"), partition=0
            )
    hurt(own_broker, f"{settings.topic('messages')}-0", 20, harm)
    await send(settings, [message(number) for number in range(10)], partition=1)
    async with running(settings) as plane:
        await until_verdicts(settings, 30)
        await wait_until(lambda: any("partition 0 is halted" in reason for reason in plane.unready()))
    verdicts = [verdict_of(record)["source"] for record in await read_all(settings, "verdicts")]

    assert {one["offset"] for one in verdicts if one["partition"] == 0} == set(range(20))
    assert len(verdicts) == 30
    assert (await committed(settings))[0] == 20


async def test_a_batch_that_decays_before_it_is_read_again_stops_its_partition(
    own_broker: Broker, topic_prefix: str
) -> None:
    """Deferred messages before it and those of other partitions are judged, and nothing is skipped."""
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix, tenant_queue_messages=5, window=2)
    await make_topics(settings, 2)
    async with producer(settings) as client:
        for number, partition in product(range(50), (0, 1)):
            raw = message(number, tenant=f"t{partition}")
            await client.send_and_wait(settings.topic("messages"), raw, partition=partition)
    judge = HeldJudge()
    async with running(settings, judge) as plane:
        await wait_until(lambda: len(plane._state.deferred) >= 80, what="most are deferred")
        hurt(own_broker, f"{settings.topic('messages')}-0", 30, bad_checksum)
        judge.released.set()
        await wait_until(lambda: any("partition 0 is halted" in reason for reason in plane.unready()), 30)
        await until_verdicts(settings, 80, 30)
        await wait_until(lambda: len(plane._state.deferred) == 0)
    verdicts = [verdict_of(record)["source"] for record in await read_all(settings, "verdicts")]

    assert {one["offset"] for one in verdicts if one["partition"] == 0} == set(range(30))
    assert len(verdicts) == 80
    assert await committed(settings) == {0: 30, 1: 50}


async def test_a_header_name_that_is_no_text_stops_nobody(own_broker: Broker, topic_prefix: str) -> None:
    """Its message is judged like any other; a dead letter of it keeps the name's bytes."""
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    async with producer(settings) as client:
        for value in (message(0), message(1), b"no message", message(2)):
            await client.send_and_wait(
                settings.topic("messages"), value, partition=0, headers=[("name", b"1"), ("HOSTILE", b"2")]
            )
    for number in range(4):
        hurt(own_broker, f"{settings.topic('messages')}-0", number, hostile_name)
    async with running(settings):
        await until_verdicts(settings, 3)
        await wait_until(lambda: count(settings, "dead-letters"))
    (dead,) = await read_all(settings, "dead-letters")

    assert {verdict_of(one)["source"]["offset"] for one in await read_all(settings, "verdicts")} == {0, 1, 3}
    assert dead.headers[:3] == (("name", b"1"), ("\\xff\\xfeSTILE", b"2"), ("raw_header_name", b"\xff\xfeSTILE"))


async def test_a_header_name_that_grows_when_it_is_escaped_stops_nobody(own_broker: Broker, topic_prefix: str) -> None:
    """1.2 MB of a name that is no text would make a dead letter of 6 MB, above the limit: it goes without headers."""
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    async with producer(settings) as client:
        await client.send_and_wait(
            settings.topic("messages"), b"no message", partition=0, headers=[("HOSTILE" * 180_000, b"")]
        )
    await send(settings, [message(1)])
    hurt(own_broker, f"{settings.topic('messages')}-0", 0, lambda batch: hostile_names(batch, 180_000))
    async with running(settings):
        await until_verdicts(settings, 1)
        await wait_until(lambda: count(settings, "dead-letters"))
    (dead,) = await read_all(settings, "dead-letters")
    headers = dict(dead.headers)

    assert (dead.value, headers["stage"], len(dead.headers)) == (b"no message", b"decode", len(dead_letter.OURS) - 1)
    assert (headers["error_detail"] or b"").endswith(b"its headers are left out: escaped they would be above the limit")
    assert await committed(settings) == {0: 2}


def hostile_names(batch: bytearray, count: int) -> None:
    """Make a long name bytes that are not UTF-8, all of them."""
    start, size = batch.index(b"HOSTILE"), count * len(b"HOSTILE")
    batch[start : start + size] = b"\xff" * size
    sign(batch)


def hostile_name(batch: bytearray) -> None:
    """Make a header's name bytes that are not UTF-8; no client of Kafka's own would, the protocol lets it."""
    start = batch.index(b"HOSTILE")
    batch[start : start + 2] = b"\xff\xfe"
    sign(batch)
