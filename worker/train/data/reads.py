"""Which rows a run reads beside, or in place of, those of the data folder; kept in its ``recipe.json``."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from worker.errors import TrainError
from worker.train.data.load import Loaded, load
from worker.train.data.papers import PAPERS, allowed
from worker.train.data.rows import Row
from worker.train.data.sources import SOURCES
from worker.train.data.splits import split_of
from worker.train.data.taxonomy import UNSAFE

#: Key of ``recipe.json``; runs from before there were any have none.
KEY: Final = "reads"
#: From fewer rows of either label no linear model learns.
_MIN_EACH: Final = 10


class Reads(Struct, frozen=True, kw_only=True):
    """What a run was told to read.

    Attributes:
        papers: sets of the paper: name to a local file, or None for the hub.
        commercial_only: refuse sets whose licence forbids commercial use.
        papers_only: read nothing but ``papers``.
        paper_rows: training rows of each of them that are safe, and that are unsafe, at most (0: all).

    """

    papers: dict[str, Path | None] = {}
    commercial_only: bool = True
    papers_only: bool = False
    paper_rows: int = 0


def check(reads: Reads) -> None:
    """Check what a run is told before it touches anything.

    Raises:
        TrainError: a set is not known, is for evaluation only, or forbids commercial use.

    """
    for name, path in reads.papers.items():
        allowed(name, path, "train")
    check_commercial(reads.papers, commercial_only=reads.commercial_only)
    if reads.papers_only and not reads.papers:
        text = "--papers-only leaves no rows; name the sets to read, each with --paper"
        raise TrainError(text)


def load_reads(folder: Path, reads: Reads) -> Loaded:
    """Read what a run may learn from.

    Args:
        folder: of the data sets; not looked at where ``reads.papers_only``.
        reads: what else.

    Raises:
        TrainError: a set is not there, is for evaluation only, or forbids commercial use.

    """
    check(reads)
    loaded = load(folder, only_commercial=reads.commercial_only, papers=reads.papers, with_folder=not reads.papers_only)
    return _fewer(loaded, reads.paper_rows) if reads.paper_rows else loaded


def _fewer(loaded: Loaded, most: int) -> Loaded:
    """Keep so many training rows of each set of the paper and verdict: those whose places have the lowest hashes."""
    counted: dict[tuple[str, bool], list[str]] = {}
    for row in loaded.rows:
        if row.source in PAPERS and split_of(row.group) == "train":
            counted.setdefault((row.source, row.known.get(UNSAFE, False)), []).append(row.place)
    beyond = {(source, place) for (source, _), places in counted.items() for place in sorted(places, key=_hash)[most:]}
    lost = Counter(source for source, _ in beyond)
    rows = tuple(row for row in loaded.rows if (row.source, row.place) not in beyond)
    return msgspec.structs.replace(loaded, rows=rows, dropped=loaded.dropped | {"beyond --paper-rows": dict(lost)})


def _hash(place: str) -> bytes:
    return hashlib.sha256(place.encode()).digest()


def check_commercial(names: Iterable[str], *, commercial_only: bool) -> None:
    """Refuse sources that forbid commercial use, rather than drop what somebody asked for.

    Raises:
        TrainError: there is one, and only commercial ones are wanted.

    """
    barred = [name for name in names if not SOURCES[name].commercial]
    if barred and commercial_only:
        text = (
            f"{', '.join(barred)} forbid commercial use; leave them out, or give --non-commercial, "
            "which marks whatever is trained on them"
        )
        raise TrainError(text)


def reads_of(told: Mapping[str, Any]) -> Reads:
    """Return what the run of a ``recipe.json`` read; one from before there was a choice read the folder."""
    return msgspec.convert(told.get(KEY, {}), Reads, dec_hook=lambda kind, value: kind(value))


def plain(reads: Reads) -> dict[str, Any]:
    """Return it as JSON has it."""
    found: dict[str, Any] = msgspec.to_builtins(reads, enc_hook=str)
    return found


def again(told: Reads, given: Reads) -> Reads:
    """Return what a run read, its files where they are now if that is given.

    Raises:
        TrainError: a set is given that the run did not read.

    """
    others = sorted(given.papers.keys() - told.papers.keys())
    if others:
        text = f"the run did not read {', '.join(others)}; an export reads what its run did, so leave it out"
        raise TrainError(text)
    return msgspec.structs.replace(told, papers=told.papers | given.papers)


def resumed(told: Reads, given: Reads) -> Reads:
    """Return what a run reads that goes on: what it read before, and the sets that are given now, or where they are."""
    commercial_only = told.commercial_only and given.commercial_only
    return msgspec.structs.replace(told, papers=told.papers | given.papers, commercial_only=commercial_only)


def joined(first: Reads, second: Reads) -> Reads:
    """Return what two runs read, one of which went on from the other."""
    return Reads(
        papers=first.papers | second.papers,
        commercial_only=first.commercial_only and second.commercial_only,
        papers_only=first.papers_only and second.papers_only,
        paper_rows=second.paper_rows if first.paper_rows and second.paper_rows else 0,
    )


def without_paths(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``recipe.json`` for others to see: the sets by name, not where they lay on a machine."""
    if KEY not in told:
        return dict(told)
    return {**told, KEY: told[KEY] | {"papers": sorted(told[KEY]["papers"])}}


def with_both_labels(rows: Iterable[Row]) -> list[Row]:
    """Return rows with the labels that are both true and false often enough for a linear model.

    The verdict over the whole taxonomy is no category, and goes, too.
    """
    kept = list(rows)
    counts = Counter(label for row in kept for label in row.known.items())
    both = {key for key, value in counts if min(counts[key, value], counts[key, not value]) >= _MIN_EACH} - {UNSAFE}
    return [
        msgspec.structs.replace(row, known={key: value for key, value in row.known.items() if key in both})
        for row in kept
    ]
