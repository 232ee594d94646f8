"""A message that kills the engine is found and set aside, over the lives of real processes; others are judged."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import (
    FixedPolicies,
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
)
from tests.support.processes import ROOT
from tests.support.scripted_engine import POISON, ProcessJudge
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.errors import EngineDead

pytestmark = [pytest.mark.broker, pytest.mark.chaos]

COUNT = 40
KILLER = 17


async def life(settings: Settings, log: Path) -> asyncio.subprocess.Process:
    """Start a worker process with an engine process of its own."""
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.scripted_engine", msgspec.json.encode(settings).decode()),
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )


async def supervised(settings: Settings, log: Path, wanted: int) -> list[int]:
    """Start a worker again each time that it ends, until there are so many outcomes; return how each life ended."""
    ends: list[int] = []
    process = await life(settings, log)
    try:
        for _ in range(10):

            async def over() -> bool:
                done = await count(settings, "verdicts") + await count(settings, "dead-letters") == wanted
                return done or process.returncode is not None  # noqa: B023  (awaited within this round)

            await wait_until(over, what="a death or the end")
            if process.returncode is None:
                process.terminate()
                return [*ends, await process.wait()]
            ends.append(process.returncode)
            process = await life(settings, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return ends


@pytest.mark.slow
async def test_a_message_that_kills_the_engine_goes_to_dead_letters(
    broker: KafkaAddress, topic_prefix: str, tmp_path: Path
) -> None:
    """One death among others, two alone, and then it is set aside; the count outlives each of the processes."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, window=8)
    await make_topics(settings, 2)
    poison = message(KILLER, POISON)
    await send(settings, [poison if number == KILLER else message(number) for number in range(COUNT)])

    ends = await supervised(settings, tmp_path / "log", COUNT)

    (letter,) = await read_all(settings, "dead-letters")
    headers = dict(letter.headers)
    verdicts = await read_all(settings, "verdicts")
    assert ends == [1, 1, 1, 0]
    assert letter.value == poison
    assert (headers["stage"], headers["error"], headers["attempts"]) == (b"engine", b"FatalMessage", b"2")
    assert status_counts(verdicts) == {"judged": COUNT - 1}
    assert set(sources(verdicts).values()) == {1}
    assert await committed(settings) == {0: COUNT // 2, 1: COUNT // 2}


async def test_while_the_engine_is_dead_nothing_is_read(broker: KafkaAddress, topic_prefix: str) -> None:
    """Between the death and the end of the process intake waits, readiness says why, and the message is named."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings, 1)
    judge = ProcessJudge()
    await judge.start()
    async with running(settings, judge, FixedPolicies()) as plane:
        await send(settings, [message(1, POISON)])
        with pytest.raises(EngineDead):
            async with asyncio.timeout(120):
                await plane.wait_failed()
        # A poll that was under way may still take a record; afterwards intake waits, and clears this each time.
        plane._state.buffer.changed.set()
        await wait_until(lambda: not plane._state.buffer.changed.is_set(), what="intake waits")
        await send(settings, [message(2)])

        assert any("the engine process is gone" in reason for reason in plane.unready())
        assert [ledger.suspects for ledger in plane._state.ledger] == [1]
        assert plane._state.buffer.messages == 1
    await judge.stop()

    assert await committed(settings) == {0: 0}
    assert await count(settings, "verdicts") == 0
