"""A child process that ends with this one, whatever ends it: an exit, an exception, SIGKILL.

Linux tells a child of its parent's end (PR_SET_PDEATHSIG in prctl(2)). That notice is bound to the thread
that forked and not to its process: a child of a pool's thread would be killed as soon as the pool let that
thread go. So each child has a thread of its own here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from worker.child_environment import without_secrets

_WATCH_INTERVAL_S: Final = 0.1

#: Becomes the command: asks the kernel for a signal at its parent's end, then replaces itself. A ``preexec_fn``
#: would run Python between fork and exec, which is not safe in a process with threads.
_GUARDED_EXEC: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]))
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[3], sys.argv[3:])
"""


def guarded(command: Iterable[str], number: signal.Signals) -> list[str]:
    """Return a command line that runs ``command`` and gets signal ``number`` when this process ends."""
    return [sys.executable, "-I", "-S", "-c", _GUARDED_EXEC, str(os.getpid()), str(int(number)), *command]


class Child:
    """One process in a process group of its own, started by a thread that lives as long as it does."""

    def __init__(self, command: list[str], log_path: Path, claim: int) -> None:
        """Start; returns when the process is there.

        Args:
            command: what to run.
            log_path: what the process writes is appended here.
            claim: a file descriptor that the process holds as long as it lives.

        """
        self._claim = claim
        self._log_path = log_path
        self._log_start = log_path.stat().st_size
        self._command = guarded(command, signal.SIGKILL)
        self._began: Future[subprocess.Popen[bytes]] = Future()
        threading.Thread(target=self._live, name="child", daemon=True).start()
        self._process = self._began.result()

    def _live(self) -> None:
        try:
            with self._log_path.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603  (a fixed command line)
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                    env=without_secrets(os.environ),
                    pass_fds=(self._claim,),
                )
        except BaseException as error:  # noqa: BLE001  (goes to the thread that waits for the start)
            self._began.set_exception(error)
            return
        self._began.set_result(process)
        process.wait()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._process.poll()

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def ended(self) -> None:
        """Return when the process has ended; may be cancelled."""
        while self.is_alive():  # noqa: ASYNC110  (the process is waited for in a thread; no loop has an event for it)
            await asyncio.sleep(_WATCH_INTERVAL_S)

    def output(self) -> str:
        """What this process wrote."""
        with self._log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def stop(self, timeout_s: float) -> None:
        """Ask the process to end; kill it after ``timeout_s`` seconds."""
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process with SIGKILL; returns when it is gone."""
        self._process.kill()
        self._process.wait()
