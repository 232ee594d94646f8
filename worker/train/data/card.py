"""The data card of a run: what is known by source and category, licences, origin, what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from worker.errors import TrainError
from worker.train.data.freeze import Leak
from worker.train.data.load import Loaded, split_rows
from worker.train.data.rows import Row
from worker.train.data.sources import SOURCES
from worker.train.data.splits import Split

JSON_FILE: Final = "data.json"
MARKDOWN_FILE: Final = "data.md"
SPLITS: Final[tuple[Split, ...]] = get_args(Split)


class Cell(Struct, frozen=True, kw_only=True):
    """How many rows of a source and split have a label."""

    source: str
    key: str
    split: Split
    true: int
    false: int
    unknown: int


def cells(parts: Mapping[Split, Sequence[Row]]) -> tuple[Cell, ...]:
    """Count the labels of rows by source, key and split; keys that a source never has are not listed."""
    counts: Counter[tuple[str, str, Split, bool]] = Counter()
    rows: Counter[tuple[str, Split]] = Counter()
    for split, part in parts.items():
        for row in part:
            rows[row.source, split] += 1
            counts.update((row.source, key, split, value) for key, value in row.known.items())
    return tuple(
        _cell(counts, rows, source, key, split)
        for source, key in sorted({(source, key) for source, key, _, _ in counts})
        for split in SPLITS
    )


def _cell(
    counts: Counter[tuple[str, str, Split, bool]], rows: Counter[tuple[str, Split]], source: str, key: str, split: Split
) -> Cell:
    true, false = counts[source, key, split, True], counts[source, key, split, False]
    return Cell(source=source, key=key, split=split, true=true, false=false, unknown=rows[source, split] - true - false)


def facts(loaded: Loaded, leaks: Iterable[Leak] = ()) -> dict[str, Any]:
    """Return the card as data: rows, labels, sources, what was dropped, how official splits leak."""
    parts = split_rows(loaded.rows)
    parts["train"] += loaded.own
    counts = Counter((row.source, split) for split, part in parts.items() for row in part)
    names = sorted({row.source for part in parts.values() for row in part})
    return {
        "rows": {name: {split: counts[name, split] for split in SPLITS} for name in names},
        "sources": {name: SOURCES[name] for name in names},
        "labels": cells(parts),
        "dropped": {reason: lost for reason, lost in loaded.dropped.items() if lost},
        "non_commercial": list(loaded.non_commercial),
        "official_leaks": list(leaks),
    }


def render(loaded: Loaded, leaks: Iterable[Leak] = ()) -> str:
    """Return the card as Markdown."""
    told = facts(loaded, leaks)
    parts = ["# Data", _use(loaded), _sources(told), _dropped(told), _labels(told["labels"]), _leaks(told)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(folder: Path, loaded: Loaded, before: str = "") -> None:
    """Write the card of a run as ``data.md`` and ``data.json`` into its folder; ``before``: of their names.

    Raises:
        TrainError: they cannot be written.

    """
    encoded = msgspec.json.format(msgspec.json.encode(facts(loaded)), indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{before}{MARKDOWN_FILE}").write_text(render(loaded), encoding="utf-8")
        (folder / f"{before}{JSON_FILE}").write_bytes(encoded + b"\n")
    except OSError as error:
        text = f"the data card cannot be written into {folder} ({error.strerror}); choose another --out"
        raise TrainError(text) from None


def _use(loaded: Loaded) -> str:
    if not loaded.non_commercial:
        return "Every set's licence allows commercial use. Terms of the platforms that texts come from are named below."
    names = ", ".join(SOURCES[name].title for name in loaded.non_commercial)
    return f"**Not for commercial use**: {names} forbid it, and so a model trained on these rows must say so."


def _sources(told: Mapping[str, Any]) -> str:
    lines = []
    for name, splits in told["rows"].items():
        source = told["sources"][name]
        commercial = f"{'yes' if source.commercial else 'no'}: {source.why}"
        counts = [str(splits[split]) for split in SPLITS]
        lines.append([name, source.title, source.licence, commercial, source.terms, source.origin, *counts])
    head = ["source", "set", "licence", "commercial", "other terms", "origin", *SPLITS]
    return "## Sources and rows\n\n" + _table(head, lines)


def _dropped(told: Mapping[str, Any]) -> str:
    lines = [
        [reason, name, str(count)] for reason, lost in told["dropped"].items() for name, count in sorted(lost.items())
    ]
    return "## Rows that were dropped\n\n" + _table(["reason", "source", "rows"], lines) if lines else ""


def _labels(counted: Sequence[Cell]) -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for cell in counted:
        found.setdefault((cell.source, cell.key), []).append(f"{cell.true} / {cell.false} / {cell.unknown}")
    lines = [[source, key, *columns] for (source, key), columns in found.items()]
    return "## Labels: true / false / unknown\n\n" + _table(["source", "label", *SPLITS], lines)


def _leaks(told: Mapping[str, Any]) -> str:
    lines = [[leak.source, leak.shared, f"{leak.leaking} of {leak.rows}"] for leak in told["official_leaks"]]
    if not lines:
        return ""
    text = "Rows of the official validation splits that share something with their training splits; they are not used."
    return f"## Official splits\n\n{text}\n\n" + _table(["source", "shared", "rows"], lines)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
