"""Records of a data set, from a local file or by name from a hub. The one place that knows their libraries."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from worker.errors import TrainError

Record = Mapping[str, Any]


def from_file(path: Path) -> Iterator[Record]:
    """Read JSON Lines, a JSON array, CSV or Parquet; CSV values are text.

    Raises:
        TrainError: the file cannot be read, or is of another kind.

    """
    readers = {".jsonl": _lines, ".json": _array, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        text = f"{path} is not one of {', '.join(readers)}; unpack or convert it"
        raise TrainError(text)
    try:
        yield from reader(path)
    except (OSError, TypeError, ValueError, csv.Error) as error:
        kinds = f"point to a whole file of the set, or convert it to another of {', '.join(readers)}"
        text = f"{path} cannot be read as {path.suffix}: {error}; {kinds}"
        raise TrainError(text) from error


def from_hub(name: str, config: str | None, split: str) -> Iterator[Record]:
    """Read a split by name through ``datasets``, which keeps a copy in its own cache.

    Raises:
        TrainError: the hub cannot be reached or does not give the set.

    """
    from datasets import load_dataset  # noqa: PLC0415 - takes a second to import, and only hub readers need it

    try:
        yield from load_dataset(name, config, split=split)
    except Exception as error:  # the library raises errors of many kinds when a hub is away
        cause = str(error).partition("\n")[0]
        text = f"data set {name} cannot be read from the hub ({cause}); give a local file of it instead"
        raise TrainError(text) from error


def _lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        yield from (orjson.loads(line) for line in file if line.strip())


def _array(path: Path) -> Iterator[Record]:
    records = orjson.loads(path.read_bytes())
    if not isinstance(records, list):
        text = "it holds no array"
        raise TypeError(text)
    yield from records


def _csv(path: Path) -> Iterator[Record]:
    # Spreadsheets write a byte order mark, which else is part of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _parquet(path: Path) -> Iterator[Record]:
    from pyarrow import parquet  # noqa: PLC0415 - heavy, and only this reader needs it

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()
