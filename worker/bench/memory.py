"""Peak memory of the data plane, each time in a process of its own: a peak never comes down again.

``python -m worker.bench.memory N`` reads its settings from ``RSAFE_*``, judges N messages that lie in
Kafka already with the scripted judge, and prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil
from msgspec.structs import replace

from worker.bench.contestants import Work, judge_what_is_there
from worker.bench.policies import FixedPolicies
from worker.bench.results import Peak
from worker.bench.rig import put
from worker.child_environment import without_secrets
from worker.config import Settings
from worker.config_load import load
from worker.demo.child import variables
from worker.errors import WorkerError
from worker.judge.scripted import ScriptedJudge
from worker.records import Message

#: ``Options.memory_messages`` lies past them.
BOUNDS: Final = {"deferred_messages": 50_000, "tenant_deferred_messages": 25_000}
_MIB: Final = 1024 * 1024
_KIB: Final = 1024


async def peak(settings: Settings, messages: Sequence[Message]) -> Peak:
    """Write messages, judge them in a fresh process, and return its peak.

    The bounds on deferred messages are ``BOUNDS`` and not the usual ones, so that fewer messages fill them.

    Raises:
        StreamError: Kafka is away.
        WorkerError: the process failed; its words are in the message.

    """
    await put(settings, messages)
    settings = replace(settings, **BOUNDS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker.bench.memory", str(len(messages))),
        env={**without_secrets(os.environ), **variables(settings)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        text = f"measuring memory failed: {errors.decode(errors='replace').strip()[-500:]}"
        raise WorkerError(text)
    return msgspec.json.decode(out.splitlines()[-1], type=Peak)


async def _measure(count: int) -> Peak:
    settings = load()
    work = Work(judge=ScriptedJudge(), policies=FixedPolicies())
    idle = peak_rss_mib()
    await judge_what_is_there(settings, work, count)
    return Peak(messages=count, idle_mib=idle, peak_mib=peak_rss_mib())


def peak_rss_mib() -> float:
    """Return the peak resident memory of this process, in MiB.

    From ``/proc``, since ``getrusage`` counts what the parent had when it started this process.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return float(psutil.Process().memory_info().rss) / _MIB
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / _KIB


def engine_rss_mib() -> float:
    """Return the resident memory of all processes below this one that run Python: the engine's, in MiB."""
    children = psutil.Process().children(recursive=True)
    return sum(child.memory_info().rss for child in children if "java" not in child.name()) / _MIB


if __name__ == "__main__":
    print(json.dumps(msgspec.to_builtins(asyncio.run(_measure(int(sys.argv[1]))))))
