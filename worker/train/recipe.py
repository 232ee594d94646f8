"""What a training run is told, and what is made ready before its first step."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker.errors import TrainError
from worker.judge.template import Template
from worker.train.data.linear import fit_all
from worker.train.data.load import load_rows, split_rows
from worker.train.data.rows import Row
from worker.train.data.splits import Split
from worker.train.data.widen import widen
from worker.train.examples.format import Sample, prepare
from worker.train.policies.draw import balanced_sets

#: The template of the small models; it travels into their folders as ``rsafe.toml``.
TEMPLATE_FILE: Final = Path(__file__).parents[1] / "judge" / "templates" / "rsafe-demo.toml"


class Recipe(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        data: the folder of data sets.
        out: where checkpoint, tokenizer, log and curve go.
        max_minutes: the run ends then, and the learning rate falls to its end by then.
        max_steps: it ends then at the latest.
        seed, threads: for a run that can be repeated, and for neighbours on the machine.
        max_rows: a subset, for a smoke run (0: all).
        layers, hidden: the network's size.
        peak_rate: the highest learning rate.
        step_tokens: nodes per step.
        lm_share: the share of the run in which prompt tokens are learnt too, and ``lm_weight`` what
            they count for: a network that starts from nothing has to learn the language first.

    """

    data: Path
    out: Path
    max_minutes: float = 60.0
    max_steps: int = 1_000_000
    seed: int = 1
    threads: int = 2
    max_rows: int = 0
    vocab_size: int = 8192
    layers: int = 5
    hidden: int = 256
    peak_rate: float = 2e-3
    step_tokens: int = 3072
    lm_share: float = 0.25
    lm_weight: float = 0.3
    checkpoint_minutes: float = 4.0
    eval_minutes: float = 8.0
    eval_rows: int = 80


class Ready(Struct, frozen=True, kw_only=True):
    """Everything that is made from the data before training."""

    template: Template
    train: tuple[Sample, ...]
    dev: tuple[Row, ...]
    test: tuple[Row, ...]
    sets: frozenset[frozenset[str]]


def make_ready(recipe: Recipe) -> Ready:
    """Read the data, widen its labels, find the evidence.

    Raises:
        TrainError: the data is not there, or too little of it for the linear models.

    """
    parts = split_rows(load_rows(recipe.data))
    rng = random.Random(recipe.seed)
    models = fit_all(parts["train"])
    rows = rng.sample(parts["train"], recipe.max_rows) if recipe.max_rows else parts["train"]
    wide = widen(rows, models)
    sets = balanced_sets(wide, min_rows=1 if recipe.max_rows else 100)
    usable = [row for row in wide if any({key} in sets for key in row.known)]
    if not usable:
        text = "no concept has both safe and unsafe rows; take more rows"
        raise TrainError(text)
    return Ready(
        template=load_demo_template(),
        train=tuple(prepare(usable, models)),
        dev=_part(parts["dev"], "dev"),
        test=_part(parts["test"], "test"),
        sets=sets,
    )


def _part(rows: Sequence[Row], name: Split) -> tuple[Row, ...]:
    """Order rows by their hash-like place, so that the first n are a fair sample."""
    shuffled = sorted(rows, key=lambda row: row.place)
    random.Random(name).shuffle(shuffled)
    return tuple(shuffled)


def load_demo_template() -> Template:
    """Read the template of the small models."""
    return msgspec.convert(tomllib.loads(TEMPLATE_FILE.read_text(encoding="utf-8")), Template)
