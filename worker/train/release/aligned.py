"""What a model of ``train grpo`` says of the rows that it was trained on: NOTICE, mark, and the run's recipe."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import orjson

from worker.judge.papers import COMMERCIAL
from worker.train.data.card import JSON_FILE
from worker.train.data.load import Loaded
from worker.train.data.reads import KEY, Reads, joined, plain, reads_of
from worker.train.data.sources import FOLDER_SOURCES, OWN_SOURCES, SOURCES
from worker.train.model import checkpoint
from worker.train.release.attach import mark
from worker.train.release.card import notice

RECIPE_FILE: Final = "recipe.json"
_NOTICE: Final = "NOTICE"
_BEFORE: Final = "It was trained from a model that came with this notice:"


def mark_aligned(source: Path, out: Path, model: Path, loaded: Loaded, reads: Reads) -> None:
    """Write NOTICE and the commercial mark of an aligned model, and what both runs read into its recipe.

    Args:
        source: what it was trained from: a model folder, or a run of ``train sft``.
        out: the folder of the run.
        model: that of the trained model.
        loaded: the rows that the run read.
        reads: what it was told to read.

    """
    told = out / RECIPE_FILE
    if told.is_file():
        recipe = orjson.loads(told.read_bytes())
        both = plain(joined(reads_of(recipe), reads))
        told.write_bytes(orjson.dumps(recipe | {KEY: both}, option=orjson.OPT_INDENT_2))
    used = sorted({row.source for row in (*loaded.rows, *loaded.own)} | _earlier(source))
    barred = [name for name in used if not SOURCES[name].commercial]
    mark(model / "config.json", commercial=not barred and _mark_of(source) is not False)
    facts = {"name": model.parent.name, "learnt": {"sources": used, "non_commercial": barred}}
    (model / _NOTICE).write_text(_with_before(notice(facts), source), encoding="utf-8")


def _earlier(source: Path) -> set[str]:
    """Return the sets that a run of ``train sft`` learnt from; one without a data card read the folder's."""
    if not (source / checkpoint.FILE_NAME).is_file():
        return set()
    card, told = source / JSON_FILE, source / RECIPE_FILE
    names: Iterable[str] = (*FOLDER_SOURCES, *OWN_SOURCES)
    if card.is_file():
        names = orjson.loads(card.read_bytes())["sources"]
    read = reads_of(orjson.loads(told.read_bytes())) if told.is_file() else Reads()
    return {*names, *read.papers}


def _mark_of(source: Path) -> bool | None:
    config = source / "config.json"
    found: dict[str, Any] = orjson.loads(config.read_bytes()) if config.is_file() else {}
    return found.get(COMMERCIAL)


def _with_before(text: str, source: Path) -> str:
    before = source / _NOTICE
    return f"{text}\n{_BEFORE}\n\n{before.read_text(encoding='utf-8')}" if before.is_file() else text
