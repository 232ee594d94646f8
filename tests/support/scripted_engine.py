"""The scripted engine as a process of its own, which a message can kill for real; and a worker around it.

Run as ``python -m tests.support.scripted_engine engine`` it answers lines of ``ID MILLISECONDS`` with ``ID``; a line
``ID die`` makes it send itself SIGKILL. Run with settings as JSON instead, it is a small worker process: data plane,
one fixed policy and such an engine, until SIGTERM, or until the engine's death ends it with exit 1.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from typing import Final
from unittest.mock import patch

import msgspec

from tests.support.dataplane import FixedPolicies, running
from tests.support.processes import ROOT
from worker.config import Settings
from worker.errors import EngineDead
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.logs import configure
from worker.policy.model import EffectivePolicy
from worker.records import Message

POISON: Final = "[poison]"
COST_MS: Final = 30
GONE: Final = "the engine process is gone; start the worker again"


class ProcessJudge(ScriptedJudge):
    """Judges by rule once its engine process has answered."""

    def __init__(self) -> None:
        """Start nothing yet."""
        super().__init__()
        self._process: asyncio.subprocess.Process | None = None
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self.is_dead = False

    async def start(self) -> None:
        """Start the engine."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.scripted_engine", "engine"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read())

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Ask the engine, then judge by rule."""
        self.check()
        assert self._process is not None
        assert self._process.stdin is not None
        name = str(id(message))
        self._asked[name] = asyncio.get_running_loop().create_future()
        task = "die" if POISON in message.text else str(COST_MS)
        self._process.stdin.write(f"{name} {task}\n".encode())
        await self._asked[name]
        return await super().judge(message, policy, priority=priority)

    def check(self) -> None:
        """Raise once the engine is gone."""
        if self.is_dead:
            raise EngineDead(GONE)

    async def stop(self) -> None:
        """End the engine."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._asked.pop(line.decode().strip()).set_result(None)
        self.is_dead = True
        for waiting in self._asked.values():
            waiting.set_exception(EngineDead(GONE))


async def engine() -> None:
    """Answer standard input until it ends, many lines at once."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, task = line.split()
        if task == "die":
            loop.call_later(COST_MS / 2000, os.kill, os.getpid(), signal.SIGKILL)
        else:
            loop.call_later(int(task) / 1000, functools.partial(print, name, flush=True))


async def _work(settings: Settings, judge: ProcessJudge, asked: asyncio.Event) -> None:
    async with running(settings, judge, FixedPolicies()) as plane:
        ends = [asyncio.create_task(plane.wait_failed()), asyncio.create_task(asked.wait())]
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def worker(settings: Settings) -> None:
    """Work until SIGTERM; whatever ends the data plane ends the process with exit 1.

    Its last commit may take as long as Kafka does here: a death that is not remembered costs the engine another life.
    """
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    judge = ProcessJudge()
    await judge.start()
    try:
        with patch("worker.stream.plane._COMMIT_S", 60.0):
            await _work(settings, judge, asked)
    finally:
        await judge.stop()


if __name__ == "__main__":
    configure("info")
    asyncio.run(engine() if sys.argv[1] == "engine" else worker(msgspec.json.decode(sys.argv[1], type=Settings)))
