"""Results of a run of seeds: the lines that are printed, the file, and the table of the README.

``python -m tests.chaos.report FILE README`` writes the table.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tests.chaos.guarantees import GUARANTEES
from tests.chaos.plan import BEYOND_SESSION, MEANINGS
from tests.chaos.run import SeedResult
from worker.marked import insert

RESULTS: Final = Path(__file__).parent / "results" / "long.json"


class Results(Struct, frozen=True, kw_only=True):
    """The whole file: the day of its last seed, and what each gave."""

    date: dt.date
    seeds: tuple[SeedResult, ...] = ()


def lines(result: SeedResult) -> Iterator[str]:
    """Yield what a seed gave, and how to repeat it if something is broken."""
    apart = ", ".join(f"{count} doubled after {kind}" for kind, count in result.doubled_after.items())
    yield (
        f"seed {result.seed} ({result.engine}): {result.messages} messages, {len(result.faults)} faults, "
        f"{len(result.broken)} guarantees broken, {apart or 'none doubled'}, {result.took_s} s"
    )
    for name, found in result.broken.items():
        yield f"  {name}: {result.counts[name]}"
        yield from (f"    {line}" for line in found)
    if result.broken:
        yield f"  repeat: {result.repeat}"


def read(path: Path) -> Results:
    """Read the file."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def add(path: Path, result: SeedResult) -> None:
    """Write a seed's result into the file, in place of an earlier one of the same seed and engine."""
    before = read(path) if path.exists() else Results(date=dt.datetime.now(dt.UTC).date())
    others = [one for one in before.seeds if (one.seed, one.engine) != (result.seed, result.engine)]
    seeds = sorted([*others, result], key=lambda one: (one.engine, one.seed))
    after = replace(before, date=dt.datetime.now(dt.UTC).date(), seeds=tuple(seeds))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(after), indent=1) + b"\n")


def markdown(results: Results) -> str:
    """Return the tables: guarantees with how often each was broken, and faults with how often each came."""
    counts: Counter[str] = Counter()
    for one in results.seeds:
        counts.update(one.counts)
    rows = ["| guarantee | broken |", "|---|---|"]
    rows += [f"| {each.promise} | {counts[each.name]} |" for each in GUARANTEES]
    rows += [_apart_row(results, kind) for kind in sorted(BEYOND_SESSION)]
    rows += ["", "| fault | times | what is done | longest recovery, s |", "|---|---|---|---|"]
    rows += [_fault_row(results, kind) for kind in MEANINGS]
    return "\n".join([*rows, "", _summary(results), *_open(results)]) + "\n"


def _apart_row(results: Results, kind: str) -> str:
    count = sum(one.doubled_after.get(kind, 0) for one in results.seeds)
    times = sum(fault.kind == kind for one in results.seeds for fault in one.faults)
    return f"| counted apart: messages doubled by {times} times `{kind}` | {count} |"


def _fault_row(results: Results, kind: str) -> str:
    found = [fault for one in results.seeds for fault in one.faults if fault.kind == kind]
    times = [fault.recovered_s for fault in found if fault.recovered_s is not None]
    longest = f"{max(times):.0f}" if times else ""
    return f"| `{kind}` | {len(found)} | {MEANINGS[kind]} | {longest} |"


def _summary(results: Results) -> str:
    messages = sum(one.messages for one in results.seeds)
    faults = sum(len(one.faults) for one in results.seeds)
    minutes = sum(one.took_s for one in results.seeds) / 60
    seeds = "; ".join(f"{engine} engine {_seeds(results, engine)}" for engine in ("scripted", "real"))
    return (
        f"Seen on {results.date}: {messages} messages, {faults} faults, {len(results.seeds)} seeds ({seeds}), "
        f"{minutes:.0f} minutes."
    )


def _seeds(results: Results, engine: str) -> str:
    return ", ".join(str(one.seed) for one in results.seeds if one.engine == engine) or "none"


def _open(results: Results) -> Iterator[str]:
    """Name what failed, with the command that repeats it."""
    for one in results.seeds:
        if one.broken:
            what = ", ".join(f"{name} {count}" for name, count in one.counts.items())
            yield f"Open: seed {one.seed} ({what}): `{one.repeat}`."


def main(source: Path, target: Path) -> None:
    """Write the tables of a file into a page."""
    target.write_text(insert(target.read_text(encoding="utf-8"), markdown(read(source)), "chaos"), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
