"""The worker and its commands, run with a login of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import structs
from prometheus_client import CollectorRegistry

from tests.support import dataplane
from tests.support.planted import PASSWORD
from tests.support.processes import ROOT
from worker.config import Settings
from worker.errors import WorkerError
from worker.exceptions.store import ExceptionStore
from worker.judge.scripted import ScriptedJudge
from worker.metrics import Metrics
from worker.policy.store import PolicyStore
from worker.secret import Secret
from worker.stream.plane import DataPlane
from worker.stream.trier import JudgeTrier

FLOOR: Final = {"title": "Floor", "version": 1, "categories": [{"id": "U7", "name": "Threats", "action": "block"}]}
_CATEGORY: Final = {"id": "S1", "name": "Shouting", "action": "block"}
OWN: Final = {"title": "Own", "version": 1, "categories": [_CATEGORY]}
SEALING: Final[dict[str, Any]] = {"erasure": "on", "digest_key": Secret("not a real secret, but long enough")}
SHADOW: Final[dict[str, Any]] = {"shadow_sasl_username": "rsafe-shadow", "shadow_sasl_password": Secret(PASSWORD)}


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment of a process that uses these settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RSAFE_")}
    for name, value in structs.asdict(settings).items():
        env[f"RSAFE_{name.upper()}"] = value.reveal() if isinstance(value, Secret) else str(value)
    return env


async def rsafe(settings: Settings, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run a command with a login; return its exit code and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=variables(settings),
        cwd=ROOT,
    )
    out, _ = await process.communicate(stdin)
    return process.returncode or 0, out.decode()


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Callable[[], str]]:
    """Run policies and data plane; yields what says everything that is wrong up to now."""
    metrics, judge, wrong = Metrics(CollectorRegistry()), ScriptedJudge(), []
    policies = PolicyStore(settings, metrics, trier=JudgeTrier(settings, judge))
    exceptions = ExceptionStore(settings, policies, metrics)
    plane = DataPlane(settings, judge, policies, metrics, exceptions)

    async def live() -> None:
        try:
            await policies.start()
            await exceptions.start()
            await plane.start()
            await plane.wait_failed()
        except WorkerError as error:
            wrong.append(f"{type(error).__name__}: {error}")

    task = asyncio.create_task(live())
    try:
        yield lambda: "\n".join([*wrong, policies.trouble or "", exceptions.trouble or "", *plane.unready()])
    finally:
        task.cancel()
        await plane.stop()
        await exceptions.stop()
        await policies.stop()


async def at_least(settings: Settings, name: str, wanted: int) -> bool:
    """Tell whether a topic has as many records."""
    return await dataplane.count(settings, name) >= wanted
