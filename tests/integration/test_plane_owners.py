"""Owners come and go: planned rebalances, SIGKILL, a new group. Nothing is missing or doubled, counted raw."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import count, make_topics, message, read_all, running, send, settings_for, sources
from tests.support.judges import HeldJudge
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker.config import Settings

pytestmark = [pytest.mark.broker, pytest.mark.slow]

#: Some of these texts take time, so that a change of owner finds messages in flight.
TEXTS = ("hello", "[sleep:150]", "hello", "[sleep:300] [unsafe:U7]", "hello")


def values(messages: int) -> Iterator[bytes]:
    """Return messages of several tenants, one in a hundred of which is poison."""
    for number in range(messages):
        poison = number % 100 == 99
        yield b"poison" if poison else message(number, TEXTS[number % len(TEXTS)], tenant=f"t{number % 7}")


async def outcomes(settings: Settings) -> int:
    """Return how many outcomes there are."""
    return await count(settings, "verdicts") + await count(settings, "dead-letters")


async def at_least(settings: Settings, wanted: int, timeout_s: float = 240.0) -> None:
    """Wait until there are so many outcomes."""

    async def there() -> bool:
        return await outcomes(settings) >= wanted

    await wait_until(there, timeout_s, what=f"{wanted} outcomes", interval_s=0.1)


async def check_exactly_once(settings: Settings, sent: int) -> None:
    """Each message has one outcome record; the topics hold nothing else."""
    verdicts = sources(await read_all(settings, "verdicts"))
    letters = [dict(record.headers) for record in await read_all(settings, "dead-letters")]
    dead = [(int(one["source_partition"]), int(one["source_offset"])) for one in letters]
    messages = {(record.partition, record.offset) for record in await read_all(settings, "messages")}

    assert len(messages) == sent
    assert [place for place, number in verdicts.items() if number > 1] == []
    assert len(dead) == len(set(dead))
    assert verdicts.keys() | set(dead) == messages
    assert not verdicts.keys() & set(dead)


async def test_a_member_that_comes_and_goes(broker: KafkaAddress, topic_prefix: str) -> None:
    """With two planes on 8 partitions, stopping and starting one in the middle loses and doubles nothing.

    The last few messages are held back, so that it is the middle on any machine; a drain waits for them in vain, and
    the others must wait for the drain.
    """
    settings = settings_for(broker.bootstrap_servers, topic_prefix, rebalance_timeout_s=30.0)
    judge = HeldJudge(lambda message: int(message.message_id[1:]) >= 5990)
    await make_topics(settings, 8)
    await send(settings, values(6000))
    async with running(settings, judge) as first:
        for turn in range(1, 4):
            async with running(settings, judge) as second:
                await wait_until(second.joined.is_set)
                await at_least(settings, 1500 * turn)
                await wait_until(lambda: len(second._state.ledger) == 4, what="each owns its half")

            await wait_until(lambda: len(first._state.ledger) == 8, what="the first owns everything again")

        assert await outcomes(settings) < 6000
        assert first._state.metrics.rebalances._value.get() >= 6

        judge.released.set()
        await at_least(settings, 6000)

    await check_exactly_once(settings, 6000)


async def test_a_new_group_judges_nothing_again(broker: KafkaAddress, topic_prefix: str) -> None:
    """Without a commit the outcomes are read back from the log's start."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 2)
    await send(settings, values(400))
    async with running(settings):
        await at_least(settings, 400)
    await send(settings, values(100))
    async with running(msgspec.structs.replace(settings, group_id="another")) as plane:
        await at_least(settings, 500)

        assert plane._state.metrics.read_back._value.get() == 400

    await check_exactly_once(settings, 500)


@contextmanager
def process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker process; it is killed hard at the end."""
    command = [sys.executable, "-m", "tests.support.plane_process", msgspec.json.encode(settings).decode()]
    with log.open("ab") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT, start_new_session=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.chaos
async def test_sigkill_loses_and_doubles_nothing(broker: KafkaAddress, topic_prefix: str, tmp_path: Path) -> None:
    """A worker killed three times in the middle and started again leaves one outcome for each message."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, session_timeout_s=6.0)
    await make_topics(settings, 8)
    await send(settings, values(6000))
    log = tmp_path / "workers.log"
    for life in range(3):
        with process(settings, log):
            await at_least(settings, 1000 * (life + 1))
    with process(settings, log) as last:
        await at_least(settings, 6000)
        last.terminate()

        assert await asyncio.to_thread(last.wait, 20) == 0

    await check_exactly_once(settings, 6000)


@pytest.mark.chaos
async def test_a_process_that_stood_still_doubles_nothing(
    broker: KafkaAddress, topic_prefix: str, tmp_path: Path
) -> None:
    """A worker stopped for longer than its session wakes up, drops what it had, and joins anew.

    Without the stall guard the same run, with a window three times as wide, ended with 288 to 2,357 doubles in three
    runs of four. The window is what leaves time for the stop and for both owners to work.
    """
    settings = settings_for(broker.bootstrap_servers, topic_prefix, session_timeout_s=6.0, window=16)
    await make_topics(settings, 4)
    await send(settings, (message(number, "[sleep:40]") for number in range(6000)))
    log = tmp_path / "worker.log"
    with process(settings, log) as sleeper:
        await at_least(settings, 300)
        os.kill(sleeper.pid, signal.SIGSTOP)
        async with running(settings) as other:
            await wait_until(lambda: len(other._state.ledger) == 4, what="the other owns everything")
            await at_least(settings, min(6000, await outcomes(settings) + 300))
            os.kill(sleeper.pid, signal.SIGCONT)
            await wait_until(lambda: "stood still" in log.read_text(encoding="utf-8"))
            await wait_until(lambda: len(other._state.ledger) == 2, what="the sleeper is a member again")
            await at_least(settings, 6000)

    await check_exactly_once(settings, 6000)
