"""What an evaluation reads: rows of one split, rows to choose thresholds on, and what the baselines learn from."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from worker.train.data.labels import close, is_part
from worker.train.data.linear import Linear, fit_all
from worker.train.data.load import unseen
from worker.train.data.papers import PAPERS
from worker.train.data.rows import Row
from worker.train.data.splits import Split
from worker.train.evaluation.fairness import read_templates
from worker.train.evaluation.papers import Measured, read_parted

#: Thresholds of the report come from calib rows, those against the baseline from dev rows; the split
#: that is measured is never one of them.
CALIB_FOR: Final[dict[Split, Split]] = {"test": "calib", "dev": "calib", "calib": "dev"}
DEV_FOR: Final[dict[Split, Split]] = {"test": "dev", "dev": "calib", "calib": "dev"}
#: Reported once more on texts that stand nowhere in training.
CHATS: Final = ("convabuse", "diasafety")
_DATA_FILES: Final = ("*.csv", "*.jsonl", "*.json")


class Data(Struct, frozen=True, kw_only=True):
    """Rows in an order that makes the first n a fair sample.

    Attributes:
        split: that is measured.
        rows: its rows with their sets' own labels.
        wide: those of the data folder, with every label that follows by the reviewed relations. Labels that a
            model helped to make (``widen``) train, and judge nothing.
        calib, dev: rows to choose thresholds on.
        train: what the baselines learn from.
        models: a linear model for each concept and each part.
        unseen: places of rows of ``CHATS`` whose text stands nowhere in training.
        templates: (identity term, benign text).
        files: SHA-256 of each data file, by its path within the folder.
        rows_digest: SHA-256 of the places of ``rows``.
        papers: the sets of the paper among them.

    """

    split: Split
    rows: tuple[Row, ...]
    wide: tuple[Row, ...]
    calib: tuple[Row, ...]
    dev: tuple[Row, ...]
    train: tuple[Row, ...]
    models: dict[str, Linear]
    unseen: frozenset[str]
    templates: tuple[tuple[str, str], ...]
    files: dict[str, str]
    rows_digest: str
    papers: tuple[Measured, ...] = ()

    @property
    def violated(self) -> Counter[str]:
        """How often each concept is violated in training, by the rows of the data folder."""
        return Counter(key for row in _of_folder(self.train) for key, value in row.known.items() if value)


def load_data(folder: Path, split: Split, papers: Mapping[str, Path | None] | None = None) -> Data:
    """Read everything; ``papers``: see ``read_parted``.

    Raises:
        TrainError: a data set is not there.

    """
    read = read_parted(folder, split, papers or {})
    files = {str(path.relative_to(folder)): _digest(path) for path in _data_files(folder)}
    files |= {f"{name}={path.name}": _digest(path) for name, path in (papers or {}).items() if path}
    return structs.replace(make_data(read.parts, split, read_templates(folder), files), papers=read.papers)


def make_data(
    parts: dict[Split, list[Row]], split: Split, templates: Sequence[tuple[str, str]], files: dict[str, str]
) -> Data:
    """Prepare rows that are read: add the labels that follow, fit the linear models, and put them in order."""
    train = _of_folder(parts["train"])
    # Parts are told apart among rows that are in one: what excludes a part follows there, and no other row is asked.
    inside = [row for row in closed(train) if any(value and is_part(key) for key, value in row.known.items())]
    models = fit_all(_with_both(train, lambda key: not is_part(key))) | fit_all(_with_both(inside, is_part))
    rows = in_order(parts[split], split)
    chats = [row for row in rows if row.source in CHATS]
    return Data(
        split=split,
        rows=rows,
        wide=closed(_of_folder(rows)),
        calib=in_order(parts[CALIB_FOR[split]], CALIB_FOR[split]),
        dev=in_order(parts[DEV_FOR[split]], DEV_FOR[split]),
        train=tuple(parts["train"]),
        models=models,
        unseen=frozenset(row.place for row in unseen(chats, parts["train"])),
        templates=tuple(templates),
        files=files,
        rows_digest=hashlib.sha256("\n".join(sorted(row.place for row in rows)).encode()).hexdigest(),
    )


def _of_folder(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.source not in PAPERS]


def closed(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return rows with every label that follows from theirs by the reviewed relations."""
    return tuple(structs.replace(row, known=close(row.known)) for row in rows)


def _with_both(rows: Sequence[Row], wanted: Callable[[str], bool]) -> list[Row]:
    """Return rows with the wanted labels that occur both true and false: nothing else can be told apart."""
    counts = Counter((key, value) for row in rows for key, value in row.known.items() if wanted(key))
    both = {key for key, _ in counts if counts[key, True] and counts[key, False]}
    return [structs.replace(row, known={key: value for key, value in row.known.items() if key in both}) for row in rows]


def in_order(rows: Iterable[Row], name: str) -> tuple[Row, ...]:
    """Shuffle rows by a seed of their split's name, so that the first n are a fair sample."""
    ordered = sorted(rows, key=lambda row: row.place)
    random.Random(name).shuffle(ordered)
    return tuple(ordered)


def _data_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in _DATA_FILES for path in folder.rglob(pattern))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
