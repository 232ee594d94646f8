"""Results: the lines, the file, the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tests.chaos import report
from tests.chaos.run import Injected, SeedResult
from tests.support.processes import ROOT
from worker.marked import insert

ONE: Final = SeedResult(
    seed=4,
    engine="scripted",
    repeat="python -m tests.chaos --seed 4",
    messages=10,
    outcomes=10,
    faults=(Injected(kind="worker_stall", outcomes=3, lasted_s=7.0, recovered_s=2.0),),
    doubled_after={"worker_stall": 2},
    broken={},
    counts={},
    took_s=60.0,
)
BROKEN: Final[dict[str, Any]] = {"broken": {"lost": ["messages/0/1 has no outcome"]}, "counts": {"lost": 1}}


def test_a_failure_names_the_command_that_repeats_it() -> None:
    """What is broken stands line by line, and the last line repeats it; without a failure there is one line."""
    told = list(report.lines(replace(ONE, **BROKEN)))

    assert len(list(report.lines(ONE))) == 1
    assert told[1:] == ["  lost: 1", "    messages/0/1 has no outcome", "  repeat: python -m tests.chaos --seed 4"]


def test_a_seed_that_ran_again_replaces_itself(tmp_path: Path) -> None:
    """The file holds each seed of each engine once."""
    path = tmp_path / "results" / "long.json"
    for result in (ONE, replace(ONE, engine="real"), replace(ONE, messages=20)):
        report.add(path, result)

    assert [(one.engine, one.messages) for one in report.read(path).seeds] == [("real", 10), ("scripted", 20)]


def test_the_table_tells_good_and_bad(tmp_path: Path) -> None:
    """Broken guarantees are counted and their seeds named; doubles after stalls stand in a row of their own."""
    path = tmp_path / "long.json"
    report.add(path, replace(ONE, **BROKEN))
    table = report.markdown(report.read(path))

    assert "| each message has an outcome | 1 |" in table
    assert "doubled by 1 times `worker_stall` | 2 |" in table
    assert "Open: seed 4 (lost 1): `python -m tests.chaos --seed 4`." in table


@pytest.mark.parametrize("page", ["README.md"])
def test_the_table_of_the_page_is_that_of_the_file(page: str) -> None:
    """The README shows what the committed results say."""
    text = (ROOT / page).read_text(encoding="utf-8")

    assert insert(text, report.markdown(report.read(report.RESULTS)), "chaos") == text
