"""The guard inside the engine's processes, tried on plain processes; the real engine is in tests/engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

import psutil
import pytest

from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker.judge.engine_guard import NAME, PARENT_VARIABLE, install

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard is for Linux")

#: A parent that starts a guarded child as the engine's library does, and prints the child's id.
PARENT = """
import multiprocessing, os, sys, time

def child(connection):
    from worker.judge.engine_guard import install
    install()
    connection.send((os.getpid(), os.getsid(0)))
    print("written to standard output", flush=True)
    time.sleep(120)

if __name__ == "__main__":
    os.environ["RSAFE_ENGINE_PARENT"] = str(os.getpid())
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs,))
    process.start()
    print(*ours.recv(), flush=True)
    time.sleep(120)
"""


@contextmanager
def parent(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the parent from a file (spawned children import it again)."""
    process = subprocess.Popen(
        [sys.executable, path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_the_child_dies_with_its_parent(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SIGKILL for the parent leaves nothing; the child stands in a session of its own and prints nowhere."""
    script = tmp_path_factory.mktemp("guard") / "parent.py"
    script.write_text(PARENT, encoding="utf-8")

    with parent(str(script)) as process:
        assert process.stdout is not None
        pid, session = map(int, process.stdout.readline().split())
        assert session == pid
        assert psutil.pid_exists(pid)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()

    await wait_until(lambda: not _alive(pid), what="the child is gone")
    assert rest == b""


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_happens_in_the_worker_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library calls it in the worker's own process as well, which must keep its terminal and its output."""
    monkeypatch.setenv(PARENT_VARIABLE, str(os.getpid()))
    before = os.getsid(0), os.fstat(1).st_ino

    install()

    assert (os.getsid(0), os.fstat(1).st_ino) == before


def test_engines_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without our variable it is somebody else's engine in the same environment."""
    monkeypatch.delenv(PARENT_VARIABLE, raising=False)
    before = os.getsid(0)

    install()

    assert os.getsid(0) == before


def test_a_child_that_comes_too_late_ends_itself() -> None:
    """If the parent died before the tie was in place, the child sees that it has another parent by now."""
    code = (
        "import multiprocessing, types\n"
        "multiprocessing.parent_process = lambda: types.SimpleNamespace(pid=1)\n"
        "from worker.judge.engine_guard import install\n"
        "install()\n"
        "print('still here')"
    )
    environment = {**os.environ, PARENT_VARIABLE: "1"}

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False
    )

    assert (result.returncode, result.stdout) == (-signal.SIGKILL, b"")


def test_the_engine_will_find_it() -> None:
    """The entry point is installed under the name that we give to the engine, and leads to the guard."""
    (point,) = [point for point in entry_points(group="vllm.general_plugins") if point.name == NAME]

    assert point.load() is install
