"""All rows of all data sets, without what must stay out, in their groups and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import orjson
from msgspec import Struct

from worker.errors import TrainError
from worker.train.data.clean import settle
from worker.train.data.papers import PAPERS, read_paper
from worker.train.data.readers import READERS
from worker.train.data.rows import Row, non_commercial
from worker.train.data.rows import commercial_only as without_non_commercial
from worker.train.data.splits import Split, join_groups, normalise, split_of

#: Beside the repository; the data is never part of it.
DEFAULT_DIR: Final = Path("..") / "shared" / "data"


class Loaded(Struct, frozen=True, kw_only=True):
    """What a run may use, and what was dropped on the way.

    Attributes:
        rows: each with its group.
        dropped: reason to source to rows: ``left out`` (kept for evaluation elsewhere), ``empty``, ``copy``,
            ``outvoted`` and ``tied`` (see ``clean.settle``), ``not commercial``, ``in another split`` (a row of
            the paper's sets whose text stands in a group of the folder that is).
        non_commercial: sources among the rows that forbid commercial use. If there are any, the export
            has to say so.
        own: rows that this project wrote; all of them train.

    """

    rows: tuple[Row, ...]
    dropped: dict[str, dict[str, int]]
    non_commercial: tuple[str, ...]
    own: tuple[Row, ...] = ()


def left_out(folder: Path) -> frozenset[str]:
    """Return the places (``<file>:<row>``) of rows that stay out of every use.

    Raises:
        TrainError: the list is not there; training without it would spoil later evaluation.

    """
    path = folder / "decontaminate.json"
    try:
        rows = orjson.loads(path.read_bytes())["rows"]
    except (OSError, ValueError, KeyError):
        text = f"{path} is not readable as the list of rows to leave out; point --data at the folder that has it"
        raise TrainError(text) from None
    return frozenset(f"{name}:{number}" for name, numbers in rows.items() for number in numbers)


def load_rows(
    folder: Path, *, commercial_only: bool = True, papers: Mapping[str, Path | None] | None = None
) -> list[Row]:
    """Return the rows of ``load``.

    Raises:
        TrainError: see ``load``.

    """
    return list(load(folder, only_commercial=commercial_only, papers=papers).rows)


def load(
    folder: Path,
    *,
    only_commercial: bool = True,
    papers: Mapping[str, Path | None] | None = None,
    with_folder: bool = True,
) -> Loaded:
    """Read every data set that trains.

    Rows of the left-out list are dropped, as are texts without any character; copies and contradictions
    are settled within each source. Groups are formed before that, so that a row which is dropped still
    ties others together. The folder's groups are the same whatever sets of the paper are read: each of these
    rows has one key, and its split is that of the key.

    Args:
        folder: the folder of data sets.
        only_commercial: leave out sets whose licence forbids commercial use.
        papers: sets of the paper to read too: name to a local file, or None for the hub.
        with_folder: read the folder at all.

    Raises:
        TrainError: a data set is not there, or may not be used for training.

    """
    barred = left_out(folder) if with_folder else frozenset[str]()
    read = _read(folder if with_folder else None, papers or {})
    usable = without_non_commercial(read) if only_commercial else read
    allowed = [row for row in usable if row.place.split("#")[0] not in barred]
    filled = [row for row in allowed if row.text]
    groups = join_groups([row.keys for row in filled])
    grouped = [msgspec.structs.replace(row, group=group) for row, group in zip(filled, groups, strict=True)]
    whole = [row for row in grouped if row.source not in PAPERS or split_of(row.group) == split_of(row.keys[0])]
    settled = settle(whole)
    dropped = {
        "not commercial": _lost(read, usable),
        "left out": _lost(usable, allowed),
        "empty": _lost(allowed, filled),
        "in another split": _lost(grouped, whole),
        "copy": settled.copies,
        "outvoted": settled.outvoted,
        "tied": settled.tied,
    }
    return Loaded(rows=settled.rows, dropped=dropped, non_commercial=non_commercial(settled.rows))


def _read(folder: Path | None, papers: Mapping[str, Path | None]) -> list[Row]:
    try:
        rows = [row for read in READERS for row in read(folder)] if folder else []
    except OSError as error:
        text = (
            f"data set file {error.filename} cannot be read ({error.strerror}); point --data at the folder of data sets"
        )
        raise TrainError(text) from None
    for name, path in papers.items():
        rows += read_paper(name, path, use="train")
    return rows


def _lost(before: Sequence[Row], after: Sequence[Row]) -> dict[str, int]:
    lost = Counter(row.source for row in before)
    lost.subtract(row.source for row in after)
    return {source: count for source, count in lost.items() if count}


def split_rows(rows: Iterable[Row]) -> dict[Split, list[Row]]:
    """Part rows by their groups."""
    parts: dict[Split, list[Row]] = {"train": [], "dev": [], "calib": [], "test": []}
    for row in rows:
        parts[split_of(row.group)].append(row)
    return parts


def unseen(measured: Iterable[Row], trained: Iterable[Row]) -> list[Row]:
    """Return the rows whose text stands nowhere in the training rows, neither judged nor as context.

    Groups keep what a user wrote in one split once it is judged, but the short messages of a chat (``yes``) also
    stand in the context of others; and DiaSafety's groups are of contexts, so an answer that was given to two of
    them may stand in two splits. Both ConvAbuse and DiaSafety are reported with and without such rows.
    """
    seen = {normalise(turn.text) for row in trained for turn in row.messages}
    return [row for row in measured if normalise(row.text) not in seen]
