"""What a training run is told, and what is made ready before its first step."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker.errors import TrainError
from worker.judge.template import Template
from worker.train.data import benign_chat, contrast, identity
from worker.train.data.linear import fit_all
from worker.train.data.load import Loaded, split_rows
from worker.train.data.papers import PAPERS
from worker.train.data.reads import Reads, load_reads, resumed, with_both_labels
from worker.train.data.rows import Row
from worker.train.data.splits import Split
from worker.train.data.widen import widen
from worker.train.examples.format import OWN, Teaching, prepare
from worker.train.examples.sample import Sample
from worker.train.examples.teacher import teach
from worker.train.policies.draw import balanced_sets
from worker.train.release.canaries import COUNT, make, plant

#: The template of the small models; it travels into their folders as ``rsafe.toml``.
TEMPLATE_FILE: Final = Path(__file__).parents[1] / "judge" / "templates" / "rsafe-demo.toml"
#: What a run's folder says of what it was told.
RECIPE_FILE: Final = "recipe.json"
#: What a run that goes on is told anew, beside what it reads; anything else would make it another run.
_ANEW: Final = ("data", "out", "max_minutes", "max_steps", "threads", "device", "decay_share")


class Recipe(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        data: the folder of data sets.
        out: where checkpoint, tokenizer, log and curve go.
        reads: sets of the paper to read too, and whether only those that allow commercial use.
        max_minutes: the run ends then; a run that goes on gets so many more.
        max_steps: it ends then at the latest.
        seed, threads: for a run that can be repeated, and for neighbours on the machine.
        device: ``cpu``, ``cuda`` or ``auto``.
        max_rows: a subset, for a smoke run (0: all).
        canaries: made-up secrets to plant, so that the export can be tested for what it gives back.
        layers, hidden: the network's size; ``rope_theta``: its longest wavelength, in tokens over 2 pi.
        match: how sharply some heads look for the same token at the start (0: a random start; ``circuits``).
        policy_share: the first part of the run, in which policies are read alone (``reading``).
        peak_rate: the highest learning rate; ``decay_share``: the last part of the budget, in which it falls.
        step_tokens: nodes per step.
        lm_share: the first part of the run, in which a share ``lm_rows`` of the groups have their prompts'
            tokens learnt too, each counting for ``lm_weight``: a network that starts from nothing has to
            learn the language first.
        dropout: share of states dropped at each layer's end.
        embedding_scale: standard deviation of the counted start of the embeddings (0: a random start).
        teaching: what counts for how much in an example.

    """

    data: Path
    out: Path
    reads: Reads = Reads()
    max_minutes: float = 60.0
    max_steps: int = 1_000_000
    seed: int = 1
    threads: int = 2
    device: str = "auto"
    max_rows: int = 0
    canaries: int = COUNT
    vocab_size: int = 8192
    layers: int = 5
    hidden: int = 256
    rope_theta: float = 1e6
    match: float = 1.0
    policy_share: float = 0.1
    peak_rate: float = 1e-3
    step_tokens: int = 3072
    lm_share: float = 0.25
    lm_weight: float = 0.3
    lm_rows: float = 0.2
    decay_share: float = 0.3
    dropout: float = 0.1
    embedding_scale: float = 0.1
    teaching: Teaching = Teaching()
    checkpoint_minutes: float = 4.0
    eval_minutes: float = 8.0
    eval_rows: int = 80


def gone_on(given: Recipe, named: Collection[str]) -> Recipe:
    """Return the recipe of a run that goes on: its own, but for budget, machine, and where its data is.

    Seed, rows and canaries say what an export has to look for; were they told anew, it would look for others.

    Args:
        given: what is told now, with the run in ``out``.
        named: its fields that somebody named; all others are defaults.

    Raises:
        TrainError: the run has no recipe, or what is named would make it another run.

    """
    told = _told(given.out)
    pairs: list[tuple[Struct, Struct, str]] = [
        (given, told, name) for name in set(Recipe.__struct_fields__) - {*_ANEW, "reads"}
    ]
    pairs += [(given.reads, told.reads, name) for name in ("paper_rows", "papers_only")]
    for now, before, name in sorted((pair for pair in pairs if pair[2] in named), key=lambda pair: pair[2]):
        if (new := getattr(now, name)) != (was := getattr(before, name)):
            option = f"--{name.replace('_', '-')}"
            text = f"{option} {new} would make this another run, which has {was}; leave it out, or take another --out"
            raise TrainError(text)
    anew = {name: getattr(given, name) for name in _ANEW}
    return msgspec.structs.replace(told, reads=resumed(told.reads, given.reads), **anew)


def _told(folder: Path) -> Recipe:
    """Read what a run was told; one from before there were canaries planted none."""
    path = folder / RECIPE_FILE
    try:
        told = msgspec.json.decode(path.read_bytes())
        fields = {"canaries": 0} | told | {"data": folder, "out": folder}
        return msgspec.convert(fields, Recipe, dec_hook=lambda kind, value: kind(value))
    except OSError:
        text = f"{folder} has no {RECIPE_FILE}, so what the run planted is not known; start anew without --resume"
        raise TrainError(text) from None
    except (TypeError, ValueError) as error:
        text = f"{path} is not a recipe ({type(error).__name__}); start anew without --resume"
        raise TrainError(text) from None


class Ready(Struct, frozen=True, kw_only=True):
    """Everything that is made from the data before training; ``loaded`` is what it was made from, for the card."""

    template: Template
    train: tuple[Sample, ...]
    dev: tuple[Row, ...]
    sets: frozenset[frozenset[str]]
    loaded: Loaded | None = None


def make_ready(recipe: Recipe) -> Ready:
    """Read the data, widen its labels, find the evidence.

    Raises:
        TrainError: the data is not there or may not be used, or too little of it for the linear models.

    """
    loaded = load_reads(recipe.data, recipe.reads)
    parts = split_rows(loaded.rows)
    rng = random.Random(recipe.seed)
    own = () if recipe.reads.papers_only else (*identity.rows(), *benign_chat.rows(), *contrast.rows())
    rows = [*parts["train"], *own]
    models = fit_all(with_both_labels(parts["train"]) if recipe.reads.papers else parts["train"])
    rows = rng.sample(rows, recipe.max_rows) if recipe.max_rows else rows
    wide = widen(rows, models)
    sets = balanced_sets(wide, min_rows=1 if recipe.max_rows else 100)
    usable = [row for row in wide if _asked(row, sets)]
    if not usable:
        text = "no concept has both safe and unsafe rows; take more rows"
        raise TrainError(text)
    return Ready(
        template=load_demo_template(),
        train=tuple(prepare(plant(usable, make(recipe.canaries, recipe.seed), recipe.seed), models)),
        dev=_part([row for row in parts["dev"] if row.source not in PAPERS or _asked(row, sets)], "dev"),
        sets=sets,
        loaded=msgspec.structs.replace(loaded, own=own),
    )


def _asked(row: Row, sets: frozenset[frozenset[str]]) -> bool:
    """Whether some policy can be drawn for a row."""
    return any({key} in sets for key in row.known)


def with_teacher(ready: Ready) -> Ready:
    """Add the linear teachers' soft labels to the training rows."""
    taught = teach([sample.row for sample in ready.train], OWN)
    pairs = zip(ready.train, taught, strict=True)
    return msgspec.structs.replace(
        ready, train=tuple(msgspec.structs.replace(sample, taught=scores) for sample, scores in pairs)
    )


def _part(rows: Sequence[Row], name: Split) -> tuple[Row, ...]:
    """Order rows by their hash-like place, so that the first n are a fair sample."""
    shuffled = sorted(rows, key=lambda row: row.place)
    random.Random(name).shuffle(shuffled)
    return tuple(shuffled)


def load_demo_template() -> Template:
    """Read the template of the small models."""
    return msgspec.convert(tomllib.loads(TEMPLATE_FILE.read_text(encoding="utf-8")), Template)
