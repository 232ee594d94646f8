"""Every record of ``messages`` ends as exactly one verdict, dead letter or skip: the data plane between real topics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from tests.conftest import KafkaAddress
from tests.support.dataplane import (
    FixedPolicies,
    committed,
    count,
    make_topics,
    message,
    producer,
    read_all,
    running,
    send,
    settings_for,
    sources,
    status_counts,
    verdict_of,
)
from tests.support.waiting import wait_until
from worker.config import Settings

pytestmark = pytest.mark.broker

POISON = (
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"{}",
    b'{"tenant_id":"platform","message_id":"m","text":"t"}',
    b'{"tenant_id":"a b","message_id":"m","text":"t"}',
    b'{"tenant_id":"a","message_id":"m","text":null}',
    b'{"tenant_id":"a","message_id":"m","text":"t","revision":"1"}',
)


async def until_committed(settings: Settings, **outcomes: int) -> None:
    """Wait until the topics hold so many outcomes and everything is committed."""

    async def done() -> bool:
        held = {name: await count(settings, name.replace("_", "-")) for name in outcomes}
        return held == outcomes and sum((await committed(settings)).values()) == await count(settings, "messages")

    await wait_until(done, what=f"{outcomes} published and committed")


async def test_thousands_of_messages_get_one_verdict_each(broker: KafkaAddress, topic_prefix: str) -> None:
    """Each offset has exactly one verdict and one trace, in the partition of its message and with its key."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings)
    sent = await send(settings, (message(number) for number in range(5000)))
    async with running(settings) as plane:
        await until_committed(settings, verdicts=5000, traces=5000, dead_letters=0)

        await wait_until(lambda: plane.unready() == [], what="nothing is wrong")

    verdicts = await read_all(settings, "verdicts")
    keys = {(record.partition, record.offset): record.key for record in await read_all(settings, "messages")}
    assert sources(verdicts) == {(one.partition, one.offset): 1 for one in sent}
    assert [record for record in verdicts if verdict_of(record)["source"]["partition"] != record.partition] == []
    assert [record for record in verdicts if keys[source_of(record)] != record.key] == []
    assert status_counts(verdicts) == {"judged": 5000}


def source_of(record: ConsumerRecord) -> tuple[int, int]:
    """Return partition and offset of a verdict's message."""
    return next(iter(sources([record])))


def headers_of(record: ConsumerRecord) -> dict[str, bytes | None]:
    """Return a record's headers; the last of a name counts."""
    return dict(record.headers)


async def test_a_verdict_says_where_it_comes_from(broker: KafkaAddress, topic_prefix: str) -> None:
    """Source, policy, model and both records' envelopes are there; ``traceparent`` is passed through."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with producer(settings) as client:
        sent = await client.send_and_wait(
            settings.topic("messages"),
            message(1, "kill them [unsafe:U7]"),
            key=b"k",
            headers=[("traceparent", traceparent)],
        )
    async with running(settings):
        await until_committed(settings, verdicts=1, traces=1)
    (record,), (trace,) = await read_all(settings, "verdicts"), await read_all(settings, "traces")
    verdict = verdict_of(record)

    source = {"topic": settings.topic("messages"), "partition": 0, "offset": 0, "timestamp": sent.timestamp}
    assert verdict["source"] == source
    assert (verdict["label"], verdict["action"], verdict["score"]) == ("unsafe", "block", 1.0)
    assert [(item["id"], item["hit"]) for item in verdict["categories"]] == [("U7", True)]
    assert verdict["trace_id"] == json.loads(trace.value)["trace_id"]
    for one, kind, event_id in ((record, "verdict", verdict["verdict_id"]), (trace, "trace", verdict["trace_id"])):
        headers = headers_of(one)
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_type"] == f"rsafe.{kind}".encode()
        assert headers["ce_id"] == event_id.encode()
        assert headers["traceparent"] == traceparent
        assert {"ce_source", "ce_time"} <= headers.keys()


async def test_poison_goes_to_dead_letters_byte_for_byte(broker: KafkaAddress, topic_prefix: str) -> None:
    """What is no message keeps key, value and headers, says why, and stops nobody."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    theirs = [("stage", b"mine"), ("empty", b""), ("none", None), ("bytes", b"\xff\x00")]
    async with producer(settings) as client:
        for value in POISON:
            await client.send_and_wait(settings.topic("messages"), value, key=b"\x00k", headers=theirs)
        await client.send_and_wait(settings.topic("messages"), message(1))
    async with running(settings):
        await until_committed(settings, verdicts=1, dead_letters=len(POISON))
    letters = await read_all(settings, "dead-letters")

    assert [(letter.key, letter.value) for letter in letters] == [(b"\x00k", value) for value in POISON]
    for offset, letter in enumerate(letters):
        assert list(letter.headers[: len(theirs)]) == theirs
        headers = headers_of(letter)
        assert (headers["stage"], headers["error"]) == (b"decode", b"DecodeError")
        assert headers["source_topic"] == settings.topic("messages").encode()
        assert (headers["source_partition"], headers["source_offset"]) == (b"0", str(offset).encode())
        assert not [name for name in headers if name.startswith("ce_")]
    assert b"tenant_id" in (headers_of(letters[6])["error_detail"] or b"")


async def test_a_null_value_is_a_skip(broker: KafkaAddress, topic_prefix: str) -> None:
    """A tombstone on ``messages`` has no outcome record, is counted, and does not hold the watermark."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1), None, message(2), None], partition=0)
    async with running(settings) as plane:
        await until_committed(settings, verdicts=2, dead_letters=0)

        assert plane._state.metrics.skips._value.get() == 2


@pytest.mark.parametrize(
    "policies, fields, status, action",
    [
        (FixedPolicies(known=False), {}, "policy_missing", "review"),
        (FixedPolicies(languages=("en", "de")), {"language": "fr"}, "language_unsupported", "review"),
        (FixedPolicies(languages=("en", "de")), {"language": "EN-gb"}, "judged", "allow"),
        (FixedPolicies(languages=("en", "de")), {}, "judged", "allow"),
        (FixedPolicies(), {"text": "[fail:truncated]"}, "truncated", "review"),
        (FixedPolicies(), {"text": "lone \ud800 surrogate"}, "judged", "allow"),
    ],
    ids=["no policy", "other language", "same language", "language unknown", "truncated", "surrogate"],
)
async def test_what_is_not_judged_says_why(
    broker: KafkaAddress, topic_prefix: str, policies: FixedPolicies, fields: dict[str, Any], status: str, action: str
) -> None:
    """No failure is called safe: status and action follow from the policy."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1, **fields)])
    async with running(settings, policies=policies):
        await until_committed(settings, verdicts=1)
    verdict = verdict_of((await read_all(settings, "verdicts"))[0])

    assert (verdict["status"], verdict["action"]) == (status, action)
    assert verdict["label"] == ("safe" if status == "judged" else None)


@pytest.mark.parametrize("level, held", [("none", 0), ("redacted", 1)])
async def test_the_policy_says_what_a_trace_holds(
    broker: KafkaAddress, topic_prefix: str, level: str, held: int
) -> None:
    """No trace, or one without prose, where the policy wants it so."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    await send(settings, [message(1)])
    async with running(settings, policies=FixedPolicies(trace=level)):
        await until_committed(settings, verdicts=1, traces=held)
    traces = [json.loads(record.value) for record in await read_all(settings, "traces")]

    assert [trace["reasoning"] for trace in traces] == [None] * held
    assert all(trace["reasoning_digest"] for trace in traces)


async def test_transactional_messages_are_read_and_their_markers_passed(
    broker: KafkaAddress, topic_prefix: str
) -> None:
    """Aborted messages are never judged, and transaction markers do not hold the watermark."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    async with producer(settings, transactional_id=f"{topic_prefix}sender") as client:
        async with client.transaction():
            await client.send(settings.topic("messages"), message(1))
        await client.begin_transaction()
        await client.send(settings.topic("messages"), message(2))
        await client.abort_transaction()
    async with running(settings):
        await until_committed(settings, verdicts=1)
    verdicts = await read_all(settings, "verdicts")

    assert [verdict_of(record)["message_id"] for record in verdicts] == ["m1"]
