"""Made-up rows that a small network can learn within seconds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from worker.train.data.labels import CIVILITY, HATE
from worker.train.data.rows import Row
from worker.train.examples.corpus import corpus
from worker.train.examples.sample import Sample
from worker.train.examples.tokenizer import train_tokenizer
from worker.train.policies.draw import balanced_sets
from worker.train.recipe import Ready, Recipe, load_demo_template

_PLACES = ("lobby", "market", "river", "tower", "garden", "harbour")


def some_rows(count: int = 240) -> list[Row]:
    """Return rows of three kinds, as Davidson's classes: a hateful word, a rude word, neither."""
    kinds = (
        ("all gorps are vermin in the", {HATE: True, CIVILITY: True}),
        ("that darn boss of the", {HATE: False, CIVILITY: True}),
        ("see you soon at the", {HATE: False, CIVILITY: False}),
    )
    rows = []
    for number in range(count):
        words, known = kinds[number % len(kinds)]
        text = f"{words} {_PLACES[number // len(kinds) % len(_PLACES)]} {number}"
        rows.append(Row(source="davidson", place=f"made:{number}", text=text, known=known, group=f"g{number}"))
    return rows


def some_samples(count: int = 240) -> list[Sample]:
    """Return those rows with quotes that stand in them."""
    quotes: dict[str, tuple[str, ...]] = {HATE: ("vermin",)}
    return [
        Sample(row=row, quotes=quotes | {CIVILITY: ("vermin",) if row.known[HATE] else ("darn",)})
        for row in some_rows(count)
    ]


def some_ready() -> Ready:
    """Return what a run needs, without any data set."""
    samples = some_samples()
    rows = some_rows(60)
    sets = balanced_sets([sample.row for sample in samples], min_rows=1)
    return Ready(template=load_demo_template(), train=tuple(samples), dev=tuple(rows), sets=sets)


def some_recipe(folder: Path, **changes: Any) -> Recipe:
    """Return a recipe of a few seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {"max_minutes": 5.0, "layers": 1, "hidden": 64, "step_tokens": 512, "threads": 1}
    return Recipe(data=folder, out=folder, **(fields | {"eval_rows": 6, "vocab_size": 400} | changes))


def some_tokenizer(ready: Ready) -> Any:
    """Train a tokenizer on the made-up rows."""
    made: Tokenizer = train_tokenizer(
        corpus(ready.train, ready.template, ready.sets, random.Random(1)), ready.template, vocab_size=800
    )
    return made
