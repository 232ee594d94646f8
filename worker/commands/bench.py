"""``rsafe bench``: throughput as ratios, measured in turns on this machine."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from worker import jars
from worker.bench import report
from worker.bench.run import BenchOptions
from worker.bench.run import bench as measure
from worker.config import Settings


def bench(settings: Settings, options: BenchOptions, *, out: Path, as_json: bool = False) -> None:
    """Measure, print a JSON line per ratio and, without ``as_json``, a table; write everything to ``out``.

    Raises:
        WorkerError: options that make no sense, a part that did not come up, or a void measurement.

    """
    # Every turn joins and leaves a group; what is worth knowing is said by the measurements.
    logging.getLogger("worker").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # Before the event loop, where Ctrl-C still ends a download at once.
    jars.fetch()
    found = asyncio.run(measure(settings, options, _say))
    report.save(found, out)
    for comparison in found.comparisons:
        print(report.line(comparison), flush=True)
    if not as_json:
        report.show(found)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
