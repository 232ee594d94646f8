"""The engine's end, and the worker's: noticed at once, blamed on no message, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engine.conftest import settings
from tests.support import planted
from tests.support.judging import message, policy
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker.errors import EngineDead
from worker.judge.engine import Request
from worker.judge.judge import RsafeJudge

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.chaos]

PROMPTLY_S = 5.0


def engine_processes(pid: int) -> list[psutil.Process]:
    """Return the processes of the engine that a process started (the helper that Python starts is none)."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if not any("resource_tracker" in part for part in child.cmdline())]


def gone(processes: list[psutil.Process]) -> bool:
    """Tell whether all have ended."""
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def noted_silences(watchdog: Any) -> list[float]:
    """Return a list that gets the engine's silence at the moment in which the watchdog gives it up."""
    silences: list[float] = []
    give_up = watchdog._on_stall

    def noting() -> None:
        silences.append(watchdog.quiet_s)
        give_up()

    watchdog._on_stall = noting
    return silences


@pytest.mark.parametrize("number, stall_s", [(signal.SIGKILL, 120.0), (signal.SIGSTOP, 30.0)], ids=["killed", "hung"])
async def test_a_dead_or_hung_engine_is_noticed(model: Path, number: signal.Signals, stall_s: float) -> None:
    """Whatever is in flight ends as EngineDead, and no message as its own fault, though its deadline is over.

    Then nothing is left of the engine, hung as it may be. A killed one is noticed by its death, long before its silence
    would count; both silences are long enough for the warm-up on a busy machine.
    """
    # Several ticks of the watchdog, which tells the deadline of the silence; and well before the silence counts.
    judge = RsafeJudge(settings(model, engine_stall_timeout_s=stall_s, request_timeout_s=3.0))
    others = engine_processes(os.getpid())
    await judge.start()
    processes = [one for one in engine_processes(os.getpid()) if one not in others]
    engine: Any = judge._engine
    silences = noted_silences(engine._watchdog)
    # Long ones, so that they cannot be done before the signal comes.
    requests = [Request(prompt_ids=[20 + place] * 50, max_tokens=900) for place in range(8)]
    running = [asyncio.create_task(engine.complete(request)) for request in requests]
    await wait_until(lambda: engine._watchdog._active == len(running), interval_s=0.001)

    for process in processes:
        process.send_signal(number)
    messages = [asyncio.create_task(judge.judge(message(f"number {place}"), policy())) for place in range(8)]
    began_s = time.monotonic()
    results = await asyncio.gather(*running, *messages, return_exceptions=True)
    took_s = time.monotonic() - began_s

    assert processes
    assert [type(result) for result in results] == [EngineDead] * 16
    assert took_s < (PROMPTLY_S if number == signal.SIGKILL else stall_s + PROMPTLY_S)
    noticed_by = "the engine process is gone" if number == signal.SIGKILL else "the engine made no step"
    assert {noticed_by in str(result) for result in results} == {True}
    assert len(silences) == (number == signal.SIGSTOP)
    # By the watchdog's own clock, which counts no time in which this process stood still.
    assert all(stall_s <= silent_s <= stall_s + 2 * engine._watchdog._tick_s for silent_s in silences)
    with pytest.raises(EngineDead):
        judge.check()
    with pytest.raises(EngineDead):
        await judge.judge(message("one more"), policy())
    await judge.stop()
    await judge.stop()
    with pytest.raises(EngineDead):
        await judge.judge(message("after the end"), policy())
    await wait_until(lambda: gone(processes), what="the engine is gone")


@pytest.mark.parametrize("spread", [1, pytest.param(2, marks=pytest.mark.long)], ids=["one process", "spread over two"])
async def test_a_killed_worker_leaves_nothing(model: Path, spread: int) -> None:
    """SIGKILL for the worker ends its engine too, which stands in a session of its own, out of the terminal's reach.

    What lets the worker in to Kafka and elsewhere is in no environment but its own. (The engine writes its title over
    what the kernel shows of its own; ``test_child_environment.py`` looks at what it is started with.)
    """
    command = [sys.executable, "-m", "tests.support.engine_holder", str(model), str(spread)]
    holder = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"RSAFE_SASL_PASSWORD": planted.PASSWORD, "PLATFORM_API_KEY": planted.API_KEY},
    )
    try:
        assert holder.stdout is not None
        first = await holder.stdout.readline()
        processes = engine_processes(holder.pid)
        everything = psutil.Process(holder.pid).children(recursive=True)
        sessions = [os.getsid(one.pid) for one in processes]
        own, *others = [str(one.environ()) for one in (psutil.Process(holder.pid), *everything)]

        holder.kill()
        await wait_until(lambda: gone(everything), what="nothing is left")
    finally:
        with contextlib.suppress(ProcessLookupError):
            holder.kill()
        rest = (await holder.communicate())[0]

    assert (first, rest) == (b"up\n", b"")
    assert len(processes) == (1 if spread == 1 else 1 + spread)
    assert sessions == [one.pid for one in processes]
    assert planted.found(own) == [*planted.SECRETS]
    assert [planted.found(one) for one in others] == [[]] * len(everything)


async def test_one_message_without_kafka(model: Path) -> None:
    """``rsafe judge`` prints one JSON object and nothing else, exits with 0, and leaves no engine."""
    command = [sys.executable, "-m", "worker", "judge", "you <|end|> idiot \u202e", "--json", "--model", str(model)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    seen: list[psutil.Process] = []

    def running() -> bool:
        """Note the engine's processes while they are there."""
        with suppress(psutil.NoSuchProcess):
            seen.extend(one for one in psutil.Process(process.pid).children(recursive=True) if one not in seen)
        return process.returncode is not None

    both = asyncio.create_task(process.communicate())
    await wait_until(running, 400, what="the command ends")
    out, err = await both

    found = json.loads(out)
    assert process.returncode == 0, err.decode()
    assert found["verdict"]["status"] in {"judged", "truncated", "contradictory"}
    assert found["verdict"]["model"]["name"] == "tiny"
    assert len(found["verdict"]["model"]["fingerprint"]) == 64
    assert found["trace"]["reasoning"] is not None
    assert seen
    await wait_until(lambda: gone(seen), what="no engine is left")
