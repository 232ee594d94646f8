"""``rsafe`` with a time of day that can jump while it runs: ``python -m tests.chaos.shifted FILE ARGUMENTS``.

``FILE`` holds a number of seconds (a float of eight bytes) that is added to ``time.time``; whoever writes into
it makes the clock jump. ``time.monotonic`` stays as it is, as the kernel promises.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

from aiokafka.producer.message_accumulator import BatchBuilder

_FORMAT: Final = struct.Struct("d")


def write_shift(path: Path, seconds: float) -> None:
    """Let the clock of the process that reads ``path`` be off by so many seconds."""
    if path.exists():
        with path.open("r+b") as file:
            file.write(_FORMAT.pack(seconds))
    else:
        path.write_bytes(_FORMAT.pack(seconds))


def install(path: Path) -> None:
    """Replace ``time.time`` of this process."""
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), _FORMAT.size, access=mmap.ACCESS_READ)
    true_time = time.time
    time.time = lambda: true_time() + float(_FORMAT.unpack_from(memory)[0])


def stamp_records() -> None:
    """Have aiokafka's producer stamp records by ``time.time``; its compiled part would ask the kernel."""
    append = BatchBuilder.append

    def stamped(self: BatchBuilder, *, timestamp: int | None, **fields: Any) -> Any:
        return append(self, timestamp=round(time.time() * 1000) if timestamp is None else timestamp, **fields)

    BatchBuilder.append = stamped


if __name__ == "__main__":
    install(Path(sys.argv.pop(1)))
    stamp_records()
    # After the clock is in place, so that whoever binds it by name gets this one.
    from worker.cli import main

    main()
