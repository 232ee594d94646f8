"""The measurement as Markdown, and its place in a README. Pure but for reading and writing that file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from worker.attacks.measure import Rate, Report
from worker.errors import UsageError

_MARKS: Final = re.compile(r"(<!-- attacks -->\n).*?(<!-- /attacks -->)", re.DOTALL)
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


def write_into(page: Path, report: Report) -> None:
    """Put the table between the marks of a page.

    Raises:
        UsageError: the page cannot be read or has no marks.

    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        problem = f"{page.name} cannot be read ({error.strerror}); name a page with attacks marks"
        raise UsageError(problem) from None
    if not _MARKS.search(text):
        problem = f"{page.name} has no marks <!-- attacks --> and <!-- /attacks -->; add them where the table belongs"
        raise UsageError(problem)
    page.write_text(_MARKS.sub(lambda found: f"{found[1]}{markdown(report)}{found[2]}", text), encoding="utf-8")
