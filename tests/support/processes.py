"""Starting this program's commands as a user would, and looking for what they leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


@contextmanager
def started(*arguments: str, log: Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``rsafe`` with these arguments in a session of its own; what still runs at the end is killed.

    Standard output goes to ``log`` and standard error beside it, to ``<log>.err``.
    """
    with log.open("wb") as out, log.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker", *arguments],
            stdout=out,
            stderr=err,
            env=dict(os.environ if env is None else env),
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def line_with(log: Path, beginning: str, process: subprocess.Popen[bytes], timeout_s: float = 300.0) -> str:
    """Wait for a line of standard output that begins so; fails at once when the process has ended."""

    def found() -> str | None:
        lines = log.read_text(encoding="utf-8").splitlines()
        line = next((line for line in lines if line.startswith(beginning)), None)
        if line is None and process.poll() is not None:
            text = f"ended with {process.returncode}: {log.with_suffix('.err').read_text(encoding='utf-8')}"
            raise AssertionError(text)
        return line

    return str(await wait_until(found, timeout_s, what=f"a line {beginning!r} in {log}"))


def processes_about(text: str) -> list[int]:
    """Return the ids of all processes with this text in their command line, such as a data folder."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.pid != os.getpid() and any(text in part for part in process.info["cmdline"] or ())
    ]
