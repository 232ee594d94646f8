"""``rsafe run`` as a child process that never outlives this one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec
import psutil

from worker.child import guarded
from worker.child_environment import without_secrets
from worker.config import ENV_PREFIX, Settings
from worker.errors import WorkerError

#: Longest wait for the engine; on two slow cores with a cold disk it takes over a minute.
READY_TIMEOUT_S: Final = 300.0
#: What ``rsafe run`` may take to end beyond its drain.
_STOP_MARGIN_S: Final = 12.0
_PIPE_BYTES: Final = 65536
#: Marks of a log line that says why the worker ended.
_TELLING: Final = ("rsafe: ", " CRITICAL ", " ERROR ", "Error: ")


class WorkerProcess:
    """A worker in a session of its own, so that the terminal's Ctrl-C does not reach it out of order."""

    def __init__(self, settings: Settings, log: Path) -> None:
        """Take the worker's settings and the file that its output goes to."""
        self._settings = settings
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Start the process; ``ready`` waits until it judges."""
        command = (sys.executable, "-m", "worker", "run")
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *guarded(command, signal.SIGTERM),
                env={**_without_settings(os.environ), **variables(self._settings)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Keep the pipe empty and look for the line that says ``ready``."""
        assert self._process is not None
        assert self._process.stdout is not None
        rest = b""
        with self._log.open("ab", buffering=0) as log:
            while chunk := await self._process.stdout.read(_PIPE_BYTES):
                log.write(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                if b"ready" in lines:
                    self._ready.set()

    async def ready(self) -> None:
        """Wait until the worker is joined, with policies read and the engine warm.

        Raises:
            WorkerError: it ended, or was not ready in time.

        """
        assert self._process is not None
        waits = {asyncio.create_task(self._ready.wait()), asyncio.create_task(self._process.wait())}
        await asyncio.wait(waits, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if not self._ready.is_set():
            raise self.why()

    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process is not None and self._process.returncode is None

    def failed(self) -> bool:
        """Tell whether the process has ended by itself."""
        return self._process is not None and self._process.returncode is not None

    def why(self) -> WorkerError:
        """Return an error that says how the worker ended, with its last telling words."""
        code = self._process.returncode if self._process else None
        lines = self.log_lines()
        telling = [line for line in lines if any(mark in line for mark in _TELLING)] or lines or ["it said nothing"]
        ended = f"was not ready after {READY_TIMEOUT_S:.0f} s" if code is None else f"ended with exit code {code}"
        return WorkerError(f"the worker {ended}: {telling[-1].strip()}")

    def log_lines(self) -> list[str]:
        """Return what the worker wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()

    async def stop(self) -> None:
        """End the worker and whatever it started; what does not end in time is killed. Never raises."""
        if self._process is None:
            return
        family = _descendants(self._process.pid)
        if self.alive():
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain_timeout_s + _STOP_MARGIN_S):
                    await self._process.wait()
        if self.alive():
            self._signal(signal.SIGKILL)
            await self._process.wait()
        await asyncio.to_thread(_end, family)
        if self._reader is not None:
            # Whoever still holds the pipe's other end must not hold us too.
            await asyncio.wait({self._reader}, timeout=1)
            self._reader.cancel()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


def variables(settings: Settings) -> dict[str, str]:
    """Return all settings as the variables that ``config_load.load`` reads."""
    return {ENV_PREFIX + name.upper(): str(value) for name, value in msgspec.structs.asdict(settings).items()}


def _without_settings(environ: os._Environ[str]) -> dict[str, str]:
    return {key: value for key, value in without_secrets(environ).items() if not key.startswith(ENV_PREFIX)}


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end(processes: list[psutil.Process]) -> None:
    """Wait a little for each process, then kill it; psutil never takes a reused id for the same process."""
    _, left = psutil.wait_procs(processes, timeout=5)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)
