"""``python -m worker.supply`` writes bills of materials and the list of licences; ``… check`` looks for trouble.

``check`` fails for a licence that is not allowed and for a known vulnerability that nobody has accepted.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from worker import __version__
from worker.errors import ConfigError
from worker.jars import pinned_jars
from worker.supply import licences, vulnerabilities
from worker.supply.lock import BOOTSTRAP, LOCKS, Pin, pins
from worker.supply.sbom import sbom

#: The generated list of licences, and what was reviewed.
PAGE: Final = Path("deploy") / "licences.md"
REVIEW: Final = Path("deploy") / "licences.toml"
EXCEPTIONS: Final = Path("deploy") / "vulnerabilities.toml"


def files(root: Path) -> dict[Path, str]:
    """Return what stands in each generated file, by its path below ``root``."""
    locked = {name: _pins(root / path) for name, path in LOCKS.items()}
    made = {bill(name): sbom(name, __version__, lock, pinned_jars()) for name, lock in locked.items()}
    every = [pin for lock in locked.values() for pin in lock]
    before = licences.read_page((root / PAGE).read_text("utf-8")) if (root / PAGE).exists() else {}
    return made | {PAGE: licences.page(licences.licences(every, review(root), before))}


def bill(name: str) -> Path:
    """Return where the bill of materials of a lock stands."""
    return Path("deploy") / f"sbom-{name}.cdx.json"


def review(root: Path) -> licences.Review:
    """Return the reviewed licences."""
    return licences.read_review((root / REVIEW).read_text("utf-8"))


def problems(root: Path) -> Iterator[str]:
    """Yield whatever should keep a change out; says on standard output what could not be looked at."""
    rows = licences.read_page((root / PAGE).read_text("utf-8"))
    yield from filter(None, (licences.trouble(row, review(root)) for row in rows.values()))
    accepted = vulnerabilities.read_exceptions((root / EXCEPTIONS).read_text("utf-8"))
    # The smallest one first: where nobody answers that is soon known.
    for path in (BOOTSTRAP, *LOCKS.values()):
        report = vulnerabilities.audit(root / path)
        if report is None:
            print(f"{path}: the database of vulnerabilities is not reachable, not checked")
            return
        print(f"{path}: {len(report.dependencies)} distributions looked up")
        yield from vulnerabilities.open_ones(report, accepted, dt.datetime.now(dt.UTC).date())


def _pins(path: Path) -> tuple[Pin, ...]:
    return tuple(pins(path.read_text("utf-8")))


def main() -> None:
    """Generate, or check and exit with 1 if anything is wrong."""
    root = Path(__file__).parents[2]
    if sys.argv[1:] != ["check"]:
        for path, text in files(root).items():
            (root / path).write_text(text, "utf-8")
        return
    try:
        found = list(problems(root))
    except ConfigError as error:
        found = [str(error)]
    print("\n".join(found) if found else "supply: nothing found", file=sys.stderr if found else sys.stdout)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
