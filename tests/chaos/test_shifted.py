"""The clock that jumps."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.chaos.shifted import write_shift
from tests.support.processes import ROOT

#: Prints what a worker stamps on records, and what its producer stamps on them, before and after a jump.
WORKER: Final = """
import sys
from pathlib import Path
from aiokafka.producer.message_accumulator import BatchBuilder
from tests.chaos.shifted import install, stamp_records, write_shift
from worker import clock

path = Path(sys.argv[1])
install(path)
stamp_records()
for shift_s in (0.0, float(sys.argv[2])):
    write_shift(path, shift_s)
    batch = BatchBuilder(1000, 0, is_transactional=False)
    print(clock.utc_now().timestamp(), batch.append(timestamp=None, key=None, value=b"v").timestamp / 1000)
"""


def test_a_jump_is_seen_by_whoever_stamps_records(tmp_path: Path) -> None:
    """Both the worker's own stamps and the producer's follow the jump, while the process runs."""
    jump_s = -86_400.0 * 40
    write_shift(tmp_path / "clock", 0.0)
    command = [sys.executable, "-c", WORKER, str(tmp_path / "clock"), str(jump_s)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    before, after = ([float(number) for number in line.split()] for line in done.stdout.splitlines())

    assert all(abs(stamp - time.time()) < 60 for stamp in before)
    assert all(abs(stamp - jump_s - time.time()) < 60 for stamp in after)
