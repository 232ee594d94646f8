"""A file that one process at a time may hold."""

from __future__ import annotations

import fcntl
from typing import IO, Any

from worker.errors import WorkerError


def hold(file: IO[Any], taken: WorkerError) -> None:
    """Lock an open file until it is closed; the kernel lets go of it even after a SIGKILL.

    Raises:
        WorkerError: ``taken``, if another process holds it; nothing is waited for.

    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise taken from None
