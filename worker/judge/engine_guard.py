"""Runs inside each process of the engine: away from the terminal, and dead when its parent is.

vLLM calls ``install`` through its entry point ``vllm.general_plugins``, in the worker's own process
too, where it must do nothing. An engine that this program did not start is left alone as well.
Linux only; elsewhere the processes end by the engine's own means.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from typing import Final

#: The entry point's name, for ``VLLM_PLUGINS``.
NAME: Final = "rsafe_engine_guard"
#: Set by the worker to its own process id, before it starts the engine.
PARENT_VARIABLE: Final = "RSAFE_ENGINE_PARENT"
_PR_SET_PDEATHSIG: Final = 1
_STDOUT, _STDERR = 1, 2


def install() -> None:
    """Tie this process to the one that started it, if it belongs to the engine of a worker."""
    owner = os.environ.get(PARENT_VARIABLE)
    if owner is None or owner == str(os.getpid()) or sys.platform != "linux":
        return
    _leave_terminal()
    _die_with_parent()
    # Native libraries print where they like; standard output belongs to the command's own data.
    os.dup2(_STDERR, _STDOUT)


def _leave_terminal() -> None:
    """Get out of reach of Ctrl-C and of signals to the worker's process group."""
    if os.getpgid(0) != os.getpid():
        os.setsid()


def _die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends.

    The parent may have died before the request was in place; then the process has another parent now.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        text = f"the engine cannot be tied to its worker: {os.strerror(ctypes.get_errno())}"
        raise OSError(text)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        os.kill(os.getpid(), signal.SIGKILL)
