"""The splits as hashes, kept in the repository, and what is wrong with the official ones.

The file holds no text and no row: for each source and split the number of rows, and a SHA-256 over the
sorted places and text hashes of its rows. Whoever has the data can tell that they have the same splits.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import orjson
from msgspec import Struct

from worker.train.data.load import split_rows
from worker.train.data.rows import Row
from worker.train.data.splits import normalise

SPLITS_FILE: Final = Path(__file__).parent / "splits.json"

#: Source to split to ``{"rows": n, "sha256": hex}``.
Record = dict[str, dict[str, dict[str, int | str]]]


def record(rows: Iterable[Row]) -> Record:
    """Return the splits of rows as counts and hashes, in a fixed order."""
    parts: dict[str, dict[str, list[Row]]] = {}
    for split, part in split_rows(rows).items():
        for row in part:
            parts.setdefault(row.source, {}).setdefault(split, []).append(row)
    return {
        source: {split: {"rows": len(part), "sha256": digest(part)} for split, part in sorted(splits.items())}
        for source, splits in sorted(parts.items())
    }


def digest(rows: Iterable[Row]) -> str:
    """Return the SHA-256 over the sorted ``<place> <SHA-256 of the normalised text>`` lines of rows."""
    lines = sorted(f"{row.place} {hashlib.sha256(normalise(row.text).encode()).hexdigest()}\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def freeze(rows: Iterable[Row], path: Path = SPLITS_FILE) -> None:
    """Write the splits' hashes."""
    path.write_bytes(orjson.dumps(record(rows), option=orjson.OPT_INDENT_2) + b"\n")


def frozen(path: Path = SPLITS_FILE) -> Record:
    """Return the splits' hashes as they were written."""
    made: Record = orjson.loads(path.read_bytes())
    return made


def differences(rows: Iterable[Row], path: Path = SPLITS_FILE) -> list[str]:
    """Return the ``<source>/<split>`` whose rows are not the frozen ones. Sources without rows do not count."""
    here, there = record(rows), frozen(path)
    return [
        f"{source}/{split}"
        for source, splits in here.items()
        for split in sorted(splits | there.get(source, {}))
        if splits.get(split) != there.get(source, {}).get(split)
    ]


class Leak(Struct, frozen=True, kw_only=True):
    """Rows of an official validation split that share something with its training split."""

    source: str
    shared: str
    leaking: int
    rows: int


def official_leaks(folder: Path) -> tuple[Leak, ...]:
    """Count how the official splits leak, in the files as they are."""
    found = []
    for source, shared, names, read, keys, others in _OFFICIAL:
        train, valid = (list(read(folder / source / name)) for name in names)
        known = {key for row in train for key in keys(row)}
        leaking = sum(bool(known & set(others(row))) for row in valid)
        found.append(Leak(source=source, shared=shared, leaking=leaking, rows=len(valid)))
    return tuple(found)


_Raw = dict[str, str]


def _csv(path: Path) -> Sequence[_Raw]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _lines(path: Path) -> Sequence[_Raw]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _conversation(row: _Raw) -> tuple[str, ...]:
    return (row["conv_id"],)


def _context(row: _Raw) -> tuple[str, ...]:
    return (row["context"],)


def _entry(row: _Raw) -> tuple[str, ...]:
    return (row["entry_id"],)


def _twin(row: _Raw) -> tuple[str, ...]:
    return (row["matched_id"],)


#: Source, what is shared, files, how they are read, a row's keys in train and in validation.
_OFFICIAL: Final[
    tuple[
        tuple[
            str,
            str,
            tuple[str, str],
            Callable[[Path], Sequence[_Raw]],
            Callable[[_Raw], tuple[str, ...]],
            Callable[[_Raw], tuple[str, ...]],
        ],
        ...,
    ]
] = (
    ("convabuse", "conversation", ("train.csv", "valid.csv"), _csv, _conversation, _conversation),
    ("diasafety", "context", ("train.jsonl", "val.jsonl"), _lines, _context, _context),
    (
        "hatemoji",
        "twin",
        ("hatemojibuild_train.csv", "hatemojibuild_validation.csv"),
        _csv,
        _entry,
        _twin,
    ),
)
