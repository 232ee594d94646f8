"""The options of ``rsafe train`` and ``rsafe eval`` that say which sets of the paper are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.errors import UsageError

if TYPE_CHECKING:
    from worker.train.data.reads import Reads

Paper = Annotated[
    list[str] | None, typer.Option(help="Read a set of the paper too: NAME (from a hub) or NAME=FILE. Repeatable.")
]
CommercialOnly = Annotated[
    bool, typer.Option("--commercial-only/--non-commercial", help="Refuse sets that forbid commercial use.")
]
PapersOnly = Annotated[bool, typer.Option("--papers-only", help="Read the sets of --paper alone, no data folder.")]

PaperRows = Annotated[
    int, typer.Option(min=0, help="Training rows of each such set, safe and unsafe, at most (0: all; RSafe: 1000).")
]


def parse_papers(given: list[str]) -> dict[str, Path | None]:
    """Read ``NAME`` and ``NAME=FILE``.

    Raises:
        UsageError: a set is named twice.

    """
    papers: dict[str, Path | None] = {}
    for one in given:
        name, is_file, path = one.partition("=")
        if name in papers:
            text = f"--paper {name} is given twice; give it once, with one file"
            raise UsageError(text)
        papers[name] = Path(path) if is_file else None
    return papers


def reads_from(
    paper: list[str] | None, *, commercial_only: bool, papers_only: bool = False, paper_rows: int = 0
) -> Reads:
    """Return what a run is told to read.

    Raises:
        UsageError: a set is named twice.

    """
    from worker.train.data.reads import Reads  # noqa: PLC0415 - keep the start of other commands short

    return Reads(
        papers=parse_papers(paper or []),
        commercial_only=commercial_only,
        papers_only=papers_only,
        paper_rows=paper_rows,
    )
