"""The measurement as Markdown, and its place in a README. Pure but for reading and writing that file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from worker.attacks.floor import FloorReport
from worker.attacks.measure import Rate, Report
from worker.errors import UsageError

_HEAD: Final = (
    "| attack | cases | violating, then safe | 95 % interval | benign, then unsafe | 95 % interval | not judged |\n"
    "|---|---|---|---|---|---|---|"
)


def markdown(report: Report) -> str:
    """Return what was measured, how, and the table."""
    right = report.carriers_right
    about = (
        f"Measured {report.date:%Y-%m-%d} on {report.model}, seed {report.seed}: {report.cases} cases,"
        f" {report.escapes} structural escapes. The carrier alone was judged rightly in {right.count} of {right.of}"
        " cases; only those count for a change."
    )
    lines = [about, "", _HEAD]
    lines += [
        f"| {row.family} | {row.cases} | {_share(row.to_safe)} | {_interval(row.to_safe)}"
        f" | {_share(row.to_unsafe)} | {_interval(row.to_unsafe)} | {row.not_judged} |"
        for row in report.families
    ]
    return "\n".join(lines) + "\n"


def _share(rate: Rate) -> str:
    return f"{rate.count} of {rate.of}"


def _interval(rate: Rate) -> str:
    return f"{rate.interval.low:.0%} to {rate.interval.high:.0%}" if rate.of else ""


def floor_markdown(report: FloorReport) -> str:
    """Return what hostile tenants did to floors, and how it was measured, as a table."""
    found = report.change
    judged = found.judged - found.not_judged
    span = f"{found.interval.low:.1%} to {found.interval.high:.1%}"
    return (
        f"Measured {report.date:%Y-%m-%d} on {report.model}.\n\n"
        "| messages under floors alone | unsafe, judged again | hostile policies | judgements | not judged"
        " | of these weakened | loosened | 95 % interval |\n|---|---|---|---|---|---|---|---|\n"
        f"| {found.messages} | {found.unsafe} | {found.policies} | {found.judged} | {found.not_judged}"
        f" | {found.weakened} | {found.loosened} of {judged} | {span} |\n"
    )


def table(report: Report | FloorReport) -> str:
    """Return what belongs on a page."""
    return markdown(report) if isinstance(report, Report) else floor_markdown(report)


def write_into(page: Path, report: Report | FloorReport) -> None:
    """Put the table between its marks on a page: ``attacks`` or ``floors``.

    Raises:
        UsageError: the page cannot be read or has no marks.

    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        problem = f"{page.name} cannot be read ({error.strerror}); name a page with attacks marks"
        raise UsageError(problem) from None
    name = "attacks" if isinstance(report, Report) else "floors"
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(text):
        problem = f"{page.name} has no marks <!-- {name} --> and <!-- /{name} -->; add them where the table belongs"
        raise UsageError(problem)
    page.write_text(marks.sub(lambda found: f"{found[1]}{table(report)}{found[2]}", text), encoding="utf-8")
