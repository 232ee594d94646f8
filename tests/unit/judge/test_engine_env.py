"""The engine's environment: set for the start, and put back."""

from __future__ import annotations

import os

import pytest

from worker.config import Settings
from worker.judge.engine_env import environment, variables
from worker.judge.engine_guard import NAME, PARENT_VARIABLE


@pytest.mark.parametrize("cores, wanted, threads", [(1, 0, "1"), (2, 0, "1"), (16, 0, "15"), (2, 2, "2")])
def test_a_core_is_left_to_the_consumer(cores: int, wanted: int, threads: str) -> None:
    """Unless it is said otherwise, an engine on CPU takes all cores but one."""
    assert variables(Settings(cpu_threads=wanted), cores, on_cpu=True)["OMP_NUM_THREADS"] == threads


def test_beside_a_gpu_one_thread_is_enough() -> None:
    """There the cores only feed the device, and threads would get into each other's way."""
    assert variables(Settings(), 64, on_cpu=False)["OMP_NUM_THREADS"] == "1"
    assert variables(Settings(cpu_threads=4), 64, on_cpu=False)["OMP_NUM_THREADS"] == "4"


def test_libraries_are_quiet_unless_asked() -> None:
    """Only debugging lets the engine's library talk, and never on standard output."""
    quiet = variables(Settings(), 2, on_cpu=True)

    assert (quiet["VLLM_LOGGING_LEVEL"], quiet["VLLM_LOGGING_STREAM"]) == ("ERROR", "ext://sys.stderr")
    assert variables(Settings(log_level="debug"), 2, on_cpu=True)["VLLM_LOGGING_LEVEL"] == "DEBUG"


def test_everything_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set, and what a library sets meanwhile, does not reach processes that start later."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)

    with environment(Settings(kv_cache_gib=3)):
        os.environ["LD_PRELOAD"] = "libsomething.so"
        assert os.environ["VLLM_CPU_KVCACHE_SPACE"] == "3"
        assert os.environ[PARENT_VARIABLE] == str(os.getpid())

    assert dict(os.environ) == before


def test_an_operators_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thread binding and the like can be set from outside; our guard is added to a list of plugins."""
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-3")
    monkeypatch.setenv("VLLM_PLUGINS", "other")

    with environment(Settings()):
        assert os.environ["VLLM_CPU_OMP_THREADS_BIND"] == "0-3"
        assert os.environ["VLLM_PLUGINS"] == f"other,{NAME}"
