"""Workers as their users run them, ``rsafe run`` in processes of their own, and a supervisor that starts them again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import psutil

from tests.chaos.shifted import write_shift
from tests.support.outside import alive, engines_of, environment
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker.child import guarded

#: From the start of a worker to its line ``ready``.
_READY_S: Final = {"scripted": 90.0, "vllm": 600.0}
#: An engine dies with its worker; the kernel needs a moment to clear up.
_ENGINE_GONE_S: Final = 20.0


class Worker:
    """One life of one worker.

    Attributes:
        instance: its name in the records that it writes.
        slot: its place in the fleet, which has a network of its own.
        asked: whether somebody wanted its end.
        engines: the processes of its engine.

    """

    def __init__(self, slot: int, life: int, folder: Path, env: dict[str, str]) -> None:
        """Start the process."""
        self.slot = slot
        self.instance = f"w{slot}.{life}"
        self.asked = False
        self.engines: list[int] = []
        self.log = folder / f"{self.instance}.log"
        command = [sys.executable, "-m", "tests.chaos.shifted", str(clock_of(folder, slot)), "run"]
        with self.log.open("wb") as out, self.log.with_suffix(".err").open("wb") as err:
            self.process = subprocess.Popen(
                guarded(command, signal.SIGKILL),
                stdout=out,
                stderr=err,
                env=env | {"RSAFE_INSTANCE_ID": self.instance},
                cwd=ROOT,
                start_new_session=True,
            )

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it has said that it judges."""
        found = self.runs and "ready" in self.log.read_text(encoding="utf-8").splitlines()
        if found and not self.engines:
            self.engines = engines_of(self.process.pid)
        return found

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal, to the process or to its whole group."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    async def ended(self, timeout_s: float) -> int:
        """Wait for its end and return the exit status."""
        await wait_until(lambda: not self.runs, timeout_s, what=f"the end of {self.instance}")
        return int(self.process.returncode)

    def last_words(self) -> str:
        """Return the last line that it logged."""
        lines = self.log.with_suffix(".err").read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "nothing"


def clock_of(folder: Path, slot: int) -> Path:
    """Return the file that says by how much the clock of a slot is off."""
    return folder / f"clock-{slot}"


class Fleet:
    """The workers of one seed.

    Attributes:
        workers: one for each slot.
        trouble: ends that nobody asked for and ends that went wrong, one line each.
        stalled: workers that were out of reach for longer than their session, and the kind of fault that did it.

    """

    def __init__(self, folder: Path, addresses: Collection[str], prefix: str, settings: dict[str, Any]) -> None:
        """Start nothing yet; ``addresses`` has the broker's for each slot."""
        self._folder = folder
        self._envs = [environment(address, prefix, **settings) for address in addresses]
        self._ready_s = _READY_S[settings["engine"]]
        self._lives = [0] * len(self._envs)
        self.workers: list[Worker] = []
        self.trouble: list[str] = []
        self.stalled: dict[str, str] = {}

    async def start(self) -> None:
        """Start every worker and wait until all are ready."""
        for slot in range(len(self._envs)):
            write_shift(clock_of(self._folder, slot), 0.0)
            self.workers.append(self._new(slot))
        await self.until_ready()

    def pick(self, target: int) -> Worker:
        """Return the worker that a fault is meant for."""
        return self.workers[target % len(self.workers)]

    @property
    def all_ready(self) -> bool:
        """Whether every worker judges."""
        return all(worker.ready for worker in self.workers)

    async def until_ready(self) -> None:
        """Wait until every worker judges; one that ends meanwhile is started again."""

        def judging() -> bool:
            self.revive()
            return self.all_ready

        await wait_until(judging, self._ready_s, what="every worker is ready")

    def revive(self) -> None:
        """Start again what has ended, as a supervisor does, and note what nobody asked for."""
        for worker in [one for one in self.workers if not one.runs]:
            if not worker.asked:
                words = worker.last_words()
                self.trouble.append(f"{worker.instance} ended with {worker.process.returncode} unasked: {words}")
            self.workers[worker.slot] = self._new(worker.slot)

    async def kill(self, worker: Worker) -> None:
        """End a worker with SIGKILL; its engine has to go with it."""
        worker.asked = True
        worker.process.kill()
        await worker.ended(10)
        await self._engines_gone(worker)

    async def end(self, worker: Worker, number: signal.Signals, within_s: float, *, group: bool = False) -> None:
        """Ask a worker to end, and note it if it does not end well and in time."""
        worker.asked = True
        worker.signal(number, group=group)
        try:
            code = await worker.ended(within_s)
        except AssertionError:
            self.trouble.append(f"{worker.instance} did not end within {within_s:g} s of {number.name}")
            await self.kill(worker)
            return
        if code:
            self.trouble.append(f"{worker.instance} ended with {code} on {number.name}: {worker.last_words()}")
        await self._engines_gone(worker)

    async def stop(self, within_s: float) -> None:
        """Ask all to end."""
        await asyncio.gather(*(self.end(one, signal.SIGTERM, within_s) for one in self.workers if one.runs))

    def kill_all(self) -> None:
        """End whatever still runs, its engine included."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()

    def shift_clock(self, slot: int, seconds: float) -> None:
        """Let a worker's time of day be off by so much from now on."""
        write_shift(clock_of(self._folder, slot), seconds)

    async def _engines_gone(self, worker: Worker) -> None:
        try:
            await wait_until(lambda: not alive(worker.engines), _ENGINE_GONE_S, what="the engine's end")
        except AssertionError:
            self.trouble.append(f"{worker.instance} left processes behind: {alive(worker.engines)}")

    def _new(self, slot: int) -> Worker:
        self._lives[slot] += 1
        return Worker(slot, self._lives[slot], self._folder, self._envs[slot])


def processes_with(prefix: str) -> list[int]:
    """Return every process that was started with this topic prefix, whoever its parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RSAFE_TOPIC_PREFIX") == prefix and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
