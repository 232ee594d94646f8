"""What a soak has seen: one sample at rest after each round, and how much each figure grew. Pure.

Growth is the median of the last quarter of the samples over the median of the second one: the first
quarter fills caches and pools, and says nothing about what comes after.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from worker.bench.results import Machine

_QUARTERS: Final = 4
_MIB: Final = 1024 * 1024


class Sample(Struct, frozen=True, kw_only=True):
    """A worker at rest: after so many messages, with everything published."""

    messages: int
    rss_bytes: float
    heap_blocks: float
    open_fds: float
    tasks: float


class Growth(Struct, frozen=True, kw_only=True):
    """One figure: its medians in the second and in the last quarter, and the second over the first."""

    name: str
    early: float
    late: float
    ratio: float


class Audit(Struct, frozen=True, kw_only=True):
    """What ``rsafe audit verify`` counted."""

    checked: int
    skipped: int
    missing: int
    doubled: int
    misplaced: int
    altered: int

    @property
    def faults(self) -> int:
        """Everything that it found."""
        return self.missing + self.doubled + self.misplaced + self.altered


class SoakReport(Struct, frozen=True, kw_only=True):
    """The whole file; ``policies`` are the records that were put on ``policies``."""

    date: dt.datetime
    seed: int
    messages: int
    policies: int
    duration_s: float
    machine: Machine
    versions: dict[str, str]
    samples: tuple[Sample, ...]
    growth: tuple[Growth, ...]
    audit: Audit


#: What is looked at, in the words of the table.
FIGURES: Final[dict[str, Callable[[Sample], float]]] = {
    "resident memory, MiB": lambda sample: sample.rss_bytes / _MIB,
    "heap blocks": lambda sample: sample.heap_blocks,
    "open file descriptors": lambda sample: sample.open_fds,
    "tasks": lambda sample: sample.tasks,
}


def growth(samples: Sequence[Sample]) -> tuple[Growth, ...]:
    """Compare the last quarter of the samples with the second one.

    Raises:
        ValueError: fewer than four samples.

    """
    if len(samples) < _QUARTERS:
        text = f"{len(samples)} samples say nothing about growth; take {_QUARTERS} at least"
        raise ValueError(text)
    part = len(samples) // _QUARTERS
    early, late = samples[part : 2 * part], samples[-part:]
    found = []
    for name, of in FIGURES.items():
        before, after = median(map(of, early)), median(map(of, late))
        found.append(Growth(name=name, early=round(before, 2), late=round(after, 2), ratio=round(after / before, 3)))
    return tuple(found)


def blocks_per_message(samples: Sequence[Sample]) -> float:
    """Return how many heap blocks each message left behind, from the second quarter to the last one."""
    part = len(samples) // _QUARTERS
    early, late = samples[part : 2 * part], samples[-part:]
    blocks = median(one.heap_blocks for one in late) - median(one.heap_blocks for one in early)
    return blocks / (median(one.messages for one in late) - median(one.messages for one in early))


def markdown(report: SoakReport) -> str:
    """Return the growth as a Markdown table, with what was run."""
    audit = report.audit
    lost = f"{audit.missing} lost, {audit.doubled} doubled, {audit.misplaced} misplaced, {audit.altered} altered"
    about = (
        f"Soaked on {report.date:%Y-%m-%d} with seed {report.seed}: {report.messages:,} messages through one worker"
        f" with the scripted engine and {report.policies:,} changes of policies, in {report.duration_s / 60:.0f}"
        f" minutes on {report.machine.cores} cores of {report.machine.processor}; {lost}."
    )
    lines = [about, "", "| at rest | second quarter | last quarter | ratio |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.early:,.0f} | {one.late:,.0f} | {one.ratio:.3f} |" for one in report.growth]
    lines += ["", f"Left behind on the heap by each message: {blocks_per_message(report.samples):.3f} blocks."]
    return "\n".join(lines) + "\n"
