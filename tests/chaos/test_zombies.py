"""The measurement of stalls: its table is the committed file's, and what it writes can be told apart."""

from __future__ import annotations

from typing import Final

import pytest

from tests.chaos import zombies
from tests.chaos.zombies import Round, Speed, Zombies
from tests.support.processes import ROOT
from worker.marked import insert

PAGE: Final = ROOT / "worker" / "README.md"


def _round(choice: zombies.Choice, *, doubled: int, lost: int) -> Round:
    return Round(choice=choice, stopped_after_s=1.0, written_before=9, doubled=doubled, lost=lost)


def test_the_table_counts_each_choice_by_itself() -> None:
    """Doubles, stops with any, losses, and the median of the ratios with both ends."""
    found = Zombies(
        date="2026-01-02",
        seed=7,
        session_s=3.0,
        rounds=[
            _round("guarded", doubled=3, lost=0),
            _round("guarded", doubled=0, lost=0),
            _round("transactional", doubled=0, lost=1),
        ],
        speeds=[Speed(guarded=100, transactional=rate) for rate in (10, 30, 20)],
    )

    table = zombies.markdown(found)

    assert "| guarded | 2 | 3 | 1 | 0 | 1 |" in table
    assert "| transactional | 1 | 0 | 0 | 1 | 0.20 (0.10 to 0.30) |" in table
    assert "2026-01-02, seed 7" in table


def test_the_table_of_the_page_is_that_of_the_file() -> None:
    """The decision in the README stands on what was measured."""
    if not zombies.RESULTS.is_file():
        pytest.fail("run python -m tests.chaos.zombies --out tests/chaos/results/zombies.json --page worker/README.md")
    found = zombies.read_results(zombies.RESULTS)
    text = PAGE.read_text(encoding="utf-8")

    assert insert(text, zombies.markdown(found), "zombies") == text
    assert {choice: sum(one.choice == choice for one in found.rounds) >= 20 for choice in zombies.CHOICES} == {
        "guarded": True,
        "transactional": True,
    }


def test_rows_can_be_told_apart() -> None:
    """A row's key is its number, so that a second one of it is seen."""
    assert [row.key for row in zombies.rows_of(range(3))] == [b"0", b"1", b"2"]
