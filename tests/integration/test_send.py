"""``rsafe send`` on a real broker: what is sent stands in Kafka as it was, and outcomes come back."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import make_topics, read_all, running, settings_for
from tests.support.processes import ROOT
from worker.config import Settings

pytestmark = pytest.mark.broker

GOOD = [
    {"tenant_id": "acme", "message_id": "1", "text": "first", "conversation_id": "c", "colour": "unknown fields stay"},
    {"tenant_id": "acme", "message_id": "2", "text": "[unsafe:U7] second", "conversation_id": "c"},
    {"tenant_id": "other", "message_id": "3", "text": "third"},
]
LINES = [json.dumps(row).encode() for row in GOOD]


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Topics of their own for one test."""
    made = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(made)
    return made


async def send(settings: Settings, *arguments: str, given: bytes = b"") -> Ended:
    """Run ``rsafe send`` with something on standard input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "send", *arguments),
        env={
            **os.environ,
            "RSAFE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "RSAFE_TOPIC_PREFIX": settings.topic_prefix,
        },
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(given)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def test_lines_are_sent_byte_for_byte_and_keyed_by_conversation(settings: Settings, tmp_path: Path) -> None:
    """Unknown fields stay, blank lines are skipped, and a conversation stands in one partition in its order."""
    file = tmp_path / "messages.jsonl"
    file.write_bytes(b"\n".join([LINES[0], b"", LINES[1], b"  ", LINES[2]]))
    ended = await send(settings, str(file))
    assert (ended.code, ended.out) == (0, "sent 3 messages\n"), ended.err
    records = await read_all(settings, "messages")
    assert sorted(record.value for record in records) == sorted(LINES)
    talk = [record for record in records if record.key == b"acme/c"]
    assert [record.value for record in talk] == LINES[:2]
    assert len({record.partition for record in talk}) == 1
    assert {record.key for record in records} == {b"acme/c", b"other/3"}


async def test_standard_input_is_read_too(settings: Settings) -> None:
    """Without a file, and with a dash, lines come from standard input."""
    ended = await send(settings, "--json", given=b"\n".join(LINES))
    assert (ended.code, json.loads(ended.out)) == (0, {"sent": 3}), ended.err
    assert (await send(settings, "-", given=LINES[0])).code == 0
    assert len(await read_all(settings, "messages")) == 4


async def test_a_line_that_is_no_message_is_refused_by_its_number(settings: Settings) -> None:
    """One line on standard error names line, field and cure, and never the text."""
    ended = await send(settings, given=LINES[0] + b'\n{"tenant_id": "acme", "text": "hush"}\n' + LINES[1])
    assert ended.code == 1
    (said,) = ended.err.strip().splitlines()
    assert "line 2: message_id" in said
    assert "--raw" in said
    assert "hush" not in said
    assert [record.value for record in await read_all(settings, "messages")] == [LINES[0]]


async def test_raw_sends_what_is_no_message(settings: Settings) -> None:
    """Dead letters can be provoked: such a line goes out as it is, without a key."""
    ended = await send(settings, "--raw", given=b"not JSON\n" + LINES[0])
    assert ended.code == 0, ended.err
    records = {record.value: record.key for record in await read_all(settings, "messages")}
    assert records == {b"not JSON": None, LINES[0]: b"acme/c"}


async def test_outcomes_come_back(settings: Settings) -> None:
    """With --wait every message's verdict or dead letter is printed, older ones are not."""
    async with running(settings) as plane:
        await asyncio.wait_for(plane.joined.wait(), 30)
        assert (await send(settings, "--wait", given=LINES[2])).code == 0
        ended = await send(settings, "--wait", "--raw", "--json", given=b"not JSON\n" + b"\n".join(LINES[:2]))
    assert ended.code == 0, ended.err
    first, *rest = map(json.loads, ended.out.splitlines())
    assert first == {"sent": 3}
    verdicts = {row["message_id"]: row["label"] for row in rest if "message_id" in row}
    assert verdicts == {"1": "safe", "2": "unsafe"}
    (letter,) = [row for row in rest if "message_id" not in row]
    assert letter["stage"] == "decode"


async def test_waiting_ends_when_nobody_judges(settings: Settings) -> None:
    """Without a worker the command gives up and says what to look at."""
    ended = await send(settings, "--wait", "--timeout-s", "1", given=LINES[0])
    assert ended.code == 1
    assert "is 'rsafe run' ready?" in ended.err


async def test_a_file_that_is_not_there_is_wrong_use(settings: Settings) -> None:
    """Exit code 2, and one line that names the file."""
    ended = await send(settings, "no-such-file.jsonl")
    assert ended.code == 2
    assert "no-such-file.jsonl" in ended.err
