"""What a run of the fuzzer has seen, as JSON and as a table. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from msgspec import Struct, structs

from tests.fuzz.findings import Finding
from tests.fuzz.target import Target


class Outcome(Struct, frozen=True, kw_only=True):
    """One target: inputs run, kinds of crashes, hangs, and branches of instrumented code that were taken."""

    target: str
    inputs: int
    crashes: int
    hangs: int
    branches: int


class Results(Struct, frozen=True, kw_only=True):
    """A whole run."""

    date: dt.datetime
    seed: int
    hang_s: int
    outcomes: tuple[Outcome, ...]

    @property
    def inputs(self) -> int:
        """Inputs of all targets."""
        return sum(one.inputs for one in self.outcomes)

    @property
    def faults(self) -> int:
        """Crashes and hangs of all targets."""
        return sum(one.crashes + one.hangs for one in self.outcomes)


def merged(before: Results, after: Results) -> Results:
    """Return a run with the targets of a later one in their places, and those that it did not have at its end."""
    outcomes = {one.target: one for one in (*before.outcomes, *after.outcomes)}
    return structs.replace(before, date=after.date, outcomes=tuple(outcomes.values()))


def markdown(results: Results, targets: Mapping[str, Target]) -> str:
    """Return the table, with when and from what seed it was made."""
    crashes, hangs = (sum(getattr(one, name) for one in results.outcomes) for name in ("crashes", "hangs"))
    about = (
        f"Run on {results.date:%Y-%m-%d} with seed {results.seed}: {results.inputs:,} inputs, {crashes} crashes,"
        f" {hangs} hangs (above {results.hang_s} s for one input)."
    )
    lines = [
        about,
        "",
        "| target | what comes in | inputs | crashes | hangs | branches taken |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{one.target}` | {targets[one.target].about} | {one.inputs:,} | {one.crashes} | {one.hangs}"
        f" | {one.branches:,} |"
        for one in results.outcomes
    ]
    return "\n".join(lines) + "\n"


def told(finding: Finding) -> str:
    """Return what is printed of a finding: what, where, the input, and how to repeat it."""
    where = f" at {finding.place}" if finding.place else ""
    return f"{finding.kind} in {finding.target}{where}: {finding.error}\n  repeat: {finding.repeat}"
