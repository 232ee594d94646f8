"""All rows of all data sets, without what must stay out, in their groups and splits."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import orjson

from worker.errors import TrainError
from worker.train.data.readers import READERS
from worker.train.data.rows import Row
from worker.train.data.splits import Split, join_groups, split_of

#: Beside the repository; the data is never part of it.
DEFAULT_DIR: Final = Path("..") / "shared" / "data"


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


def load_rows(folder: Path) -> list[Row]:
    """Read every data set that trains.

    Rows of the left-out list are dropped, as are texts without any character. The same text with
    the same context is kept once per source.

    Raises:
        TrainError: a data set is not there.

    """
    barred = left_out(folder)
    try:
        rows = [row for read in READERS for row in read(folder)]
    except OSError as error:
        text = (
            f"data set file {error.filename} cannot be read ({error.strerror}); point --data at the folder of data sets"
        )
        raise TrainError(text) from None
    kept = _unique(row for row in rows if row.place.split("#")[0] not in barred and row.text)
    groups = join_groups([row.keys for row in kept])
    return [msgspec.structs.replace(row, group=group) for row, group in zip(kept, groups, strict=True)]


def _unique(rows: Iterable[Row]) -> list[Row]:
    seen: dict[tuple[object, ...], Row] = {}
    for row in rows:
        seen.setdefault((row.source, row.role, row.text.casefold(), row.context, tuple(row.known)), row)
    return list(seen.values())


def split_rows(rows: Iterable[Row]) -> dict[Split, list[Row]]:
    """Part rows by their groups."""
    parts: dict[Split, list[Row]] = {"train": [], "dev": [], "calib": [], "test": []}
    for row in rows:
        parts[split_of(row.group)].append(row)
    return parts
