"""``rsafe demo`` with the scripted engine: all of it but the model, quickly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from tests.support.processes import line_with, started
from tests.support.waiting import wait_until
from worker.demo.samples import BROKEN, CHANGING, load

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SCRIPTED = ("demo", "--engine", "scripted")


async def ended(
    process: subprocess.Popen[bytes], folder: Path, family: Iterable[psutil.Process] = (), timeout_s: float = 120
) -> int:
    """Wait for the end and return the exit code; nothing that the process had started is left.

    Args:
        process: the demonstration.
        folder: where it has its temporary files.
        family: processes that it is known to have started.
        timeout_s: longest wait.

    """
    family = {*family, *descendants(process.pid)}

    def gone() -> bool:
        family.update(descendants(process.pid))
        return process.poll() is not None

    await wait_until(gone, timeout_s, what="the end of the demonstration")
    assert family, "nothing was ever started"
    assert [member for member in family if member.is_running()] == []
    assert [name for name in os.listdir(folder) if name.startswith("rsafe-demo-")] == []  # noqa: PTH208  (async: no Path)
    return int(process.wait())


def descendants(pid: int) -> set[psutil.Process]:
    """Return everything below a process, whatever session it lives in."""
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary files go to a folder of the test's own, so that what is left of them can be told apart."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


async def test_it_ends_well_and_leaves_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each message has its outcome, the policy change shows in the digests, and no process or file stays."""
    log = tmp_path / "demo.log"
    with started(*SCRIPTED, "--json", log=log, env=environment) as process:
        assert await ended(process, tmp_path) == 0, log.with_suffix(".err").read_text()
    summary = json.loads(log.read_text())
    samples = load()
    again = sum(sample.message.tenant_id == CHANGING for sample in samples)
    assert (summary["lost"], summary["doubled"]) == (0, 0)
    assert summary["messages"] == len(samples) + again + len(BROKEN)
    assert summary["dead_letters"] == len(BROKEN)
    assert summary["verdicts"] == len(samples) + again
    assert summary["change"]["compared"] == again
    assert summary["change"]["digest_after"] not in {None, summary["change"]["digest_before"]}
    assert summary["change"]["in_force_s"] < 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
async def test_a_signal_in_the_middle_ends_everything(
    number: signal.Signals, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Broker and worker end with it, whatever they were doing."""
    log = tmp_path / "demo.log"
    with started(*SCRIPTED, log=log, env=environment) as process:
        await wait_until(lambda: len(descendants(process.pid)) > 1, what="broker and worker")
        family = descendants(process.pid)
        process.send_signal(number)
        assert await ended(process, tmp_path, family) == 130


async def test_kept_it_runs_until_ctrl_c(tmp_path: Path, environment: dict[str, str]) -> None:
    """With --keep it says where everything is, and Ctrl-C is the ordinary end; each step was a line."""
    log = tmp_path / "demo.log"
    with started(*SCRIPTED, "--keep", log=log, env=environment) as process:
        line = await line_with(log, "Still running", process)
        assert "Kafka on 127.0.0.1:" in line
        process.send_signal(signal.SIGINT)
        assert await ended(process, tmp_path) == 0
    text = log.read_text()
    for part in ("Kafka answers on", "worker: ready", "dead letter (decode)", "The policy of", "Summary", "try next"):
        assert part in text
    assert "\nlost " in text


async def test_a_worker_that_does_not_come_up_ends_it(tmp_path: Path, environment: dict[str, str]) -> None:
    """The error says how the worker ended, and the broker is not left behind."""
    log = tmp_path / "demo.log"
    with started("demo", "--model", str(tmp_path / "no-model"), log=log, env=environment) as process:
        assert await ended(process, tmp_path) == 1
    assert "the worker ended with exit code 1" in log.with_suffix(".err").read_text()
