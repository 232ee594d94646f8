"""The sets of the paper in an evaluation: which rows are measured, and that none of them has trained.

A set that trains is read as in training: its rows are parted by the same hashes, and those of the split are
measured. ``NAME/test`` is its official test split, asked under the name ``NAME test``; a set that is for evaluation
only has no other rows. All of these are test rows, but for texts that stand in another split of what else is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from worker.errors import TrainError
from worker.train.data.clean import settle
from worker.train.data.load import load, split_rows
from worker.train.data.papers import allowed, read_paper
from worker.train.data.rows import Row
from worker.train.data.sources import SOURCES
from worker.train.data.splits import Split

#: After a set's name: its official test split, as it is given, and in the names of its questions.
TEST: Final = "/test"
OFFICIAL: Final = " test"
#: Before the places of its rows.
_LEAD: Final = "test/"


class Measured(Struct, frozen=True, kw_only=True):
    """One set of the paper in a report.

    Attributes:
        name: as it was given; ``title``, ``licence``, ``commercial``: of its source.
        rows: of the split that is measured.
        train_rows: what the baseline learns from; without any there is none.
        left_out: test rows whose text stands in another split.

    """

    name: str
    title: str
    licence: str
    commercial: bool
    rows: int
    train_rows: int = 0
    left_out: int = 0


class Parted(Struct, frozen=True, kw_only=True):
    """All rows by split, and what is to be said of the sets of the paper among them."""

    parts: dict[Split, list[Row]]
    papers: tuple[Measured, ...] = ()


def read_parted(folder: Path, split: Split, papers: Mapping[str, Path | None]) -> Parted:
    """Read the data folder and sets of the paper, for measuring: also those that forbid commercial use.

    Args:
        folder: of the data sets.
        split: that is measured.
        papers: set, or set and ``/test``, to a local file, or None for the hub.

    Raises:
        TrainError: a set is not there, or has only test rows while another split is measured.

    """
    tests = {name: path for name, path in papers.items() if name.endswith(TEST) or _only_measures(name)}
    others = {name: path for name, path in papers.items() if name not in tests}
    if tests and split != "test":
        text = f"{', '.join(tests)} has test rows only, not {split} rows; measure it with --split test"
        raise TrainError(text)
    parts = split_rows(load(folder, only_commercial=not others, papers=others).rows)
    told = [_parted(name, split, parts) for name in others]
    elsewhere = frozenset(key for name in parts if name != "test" for row in parts[name] for key in row.keys)
    for name, path in tests.items():
        rows = _test_rows(name, path)
        kept = [row for row in rows if elsewhere.isdisjoint(row.keys)]
        parts["test"] += kept
        told.append(_measured(name, len(kept), left_out=len(rows) - len(kept)))
    return Parted(parts=parts, papers=tuple(told))


def part_of(row: Row) -> str:
    """Return what the questions about a row are named after: its set, or that set's official test split."""
    return row.source + (OFFICIAL if row.place.startswith(_LEAD) else "")


def _only_measures(name: str) -> bool:
    return name in SOURCES and SOURCES[name].use == "evaluation"


def _test_rows(name: str, path: Path | None) -> tuple[Row, ...]:
    source = name.removesuffix(TEST)
    allowed(source, path, "evaluation")
    rows = read_paper(source, path, use="evaluation")
    lead = _LEAD if name.endswith(TEST) else ""
    return settle(structs.replace(row, group=row.keys[0], place=lead + row.place) for row in rows).rows


def _parted(name: str, split: Split, parts: Mapping[Split, Sequence[Row]]) -> Measured:
    rows, train = (sum(row.source == name for row in parts[one]) for one in (split, "train"))
    return _measured(name, rows, train_rows=train)


def _measured(name: str, rows: int, *, train_rows: int = 0, left_out: int = 0) -> Measured:
    source = SOURCES[name.removesuffix(TEST)]
    return Measured(
        name=name,
        title=source.title,
        licence=source.licence,
        commercial=source.commercial,
        rows=rows,
        train_rows=train_rows,
        left_out=left_out,
    )
