"""``rsafe dlq`` on a real broker: dead letters are found, mended, sent again once, and judged."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any, NamedTuple

import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import (
    count,
    make_topics,
    message,
    producer,
    read_all,
    running,
    settings_for,
    until_verdicts,
    verdict_of,
)
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker.config import Settings

pytestmark = pytest.mark.broker


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


async def dlq(settings: Settings, *arguments: str) -> Ended:
    """Run ``rsafe dlq``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "dlq", *arguments),
        env={
            **os.environ,
            "RSAFE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "RSAFE_TOPIC_PREFIX": settings.topic_prefix,
        },
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def test_a_dead_letter_is_mended_and_judged(broker: KafkaAddress, topic_prefix: str) -> None:
    """List, show, dry run, redrive, and a second redrive that is refused; the old letter stays."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    broken = json.dumps({"tenant_id": "acme", "message_id": "lost", "text": 7}).encode()
    async with producer(settings) as client:
        for value in (message(0), broken, b"\xff not json"):
            await client.send_and_wait(settings.topic("messages"), value, key=b"k", headers=[("trace", b"1")])
    async with running(settings):
        await wait_until(lambda: _holds(settings, "dead-letters", 2), 30)
        listed = await dlq(settings, "list", "--json")
        chosen = ("redrive", "--tenant", "acme", "--field", 'text="mended"', "--json")
        dry = await dlq(settings, *chosen, "--dry-run")
        before = await count(settings, "messages")
        sent = await dlq(settings, *chosen)
        await until_verdicts(settings, 2)
        second = await dlq(settings, *chosen)
    shown = await dlq(settings, "show", "0/0", "--json")
    unsent = await dlq(settings, "list", "--unsent", "--json")
    (record,) = [one for one in await read_all(settings, "messages") if one.offset == 3]

    assert (listed.code, [row["tenant_id"] for row in listed.rows]) == (0, ["acme", None]), listed.err
    assert (dry.code, dry.rows[0]["sent_to"], before) == (0, None, 3)
    assert sent.rows[0]["sent_to"] == f"{settings.topic('messages')}/0/3", sent.err
    assert second.code == 1
    assert "sent again already" in second.rows[0]["refused"]
    assert record.key == b"k"
    assert record.headers == (("trace", b"1"), ("redrive_of", f"{settings.topic('messages')}/0/1".encode()))
    assert shown.rows[0]["value"] == broken.decode()
    assert shown.rows[0]["superseded_by"] == "0/3"
    assert [row["place"] for row in unsent.rows] == ["0/1"]
    verdicts = [verdict_of(one) for one in await read_all(settings, "verdicts")]
    assert [one["source"]["offset"] for one in verdicts if one["message_id"] == "lost"] == [3]
    assert await count(settings, "dead-letters") == 2


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("redrive",), "which dead letters?"),
        (("redrive", "3"), "no place"),
        (("redrive", "--stage", "decode", "--field", "text"), "NAME=JSON"),
        (("show", "0/99"), "no dead letter at 0/99"),
    ],
)
async def test_wrong_use_is_one_line(
    broker: KafkaAddress, topic_prefix: str, arguments: tuple[str, ...], says: str
) -> None:
    """Exit code 2 and what to do about it."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    ended = await dlq(settings, *arguments)
    assert (ended.code, says in ended.err, len(ended.err.splitlines())) == (2, True, 1), ended.err


async def _holds(settings: Settings, topic: str, wanted: int) -> bool:
    return await count(settings, topic) >= wanted
