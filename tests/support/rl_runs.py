"""Short runs on made-up rows: a small network that has learnt the format, and recipes to align it with."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import torch

from tests.support.train_rows import some_ready, some_recipe, some_rows, some_samples, some_tokenizer
from worker.judge.prompt import Text, verdict_opening
from worker.train.examples.format import answer
from worker.train.rl.problems import Asker, Rows, problems
from worker.train.rl.recipes import GrpoRecipe, load_recipe
from worker.train.rl.start import Start
from worker.train.rl.traces import Head, Trace, trace_of, write_traces
from worker.train.sft import TOKENIZER_FILE, Run

SFT_STEPS: Final = 800
_TRAIN: Final = 160
#: Steps alone say how far the run is: on a slow machine time would end it, and its phases, earlier.
_MAX_MINUTES: Final = 1e6


def small_rows() -> Rows:
    """Return made-up rows, parted."""
    samples = tuple(some_samples())
    return Rows(train=samples[:_TRAIN], dev=samples[_TRAIN:], sets=some_ready().sets)


def write_rows(path: Path) -> Path:
    """Write made-up rows as JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in some_rows()))
    return path


def small_run(folder: Path) -> Run:
    """Train a small network until it writes the format more often than not."""
    recipe, ready = some_recipe(folder, max_minutes=_MAX_MINUTES, max_steps=SFT_STEPS, layers=2), some_ready()
    tokenizer = some_tokenizer(ready)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    (folder / "recipe.json").write_bytes(orjson.dumps({"max_minutes": _MAX_MINUTES, "seed": recipe.seed, "threads": 1}))
    torch.set_num_threads(1)
    run = Run(recipe, ready, tokenizer, lambda _: None)
    run.train()
    return run


def small_recipe(**changes: Any) -> GrpoRecipe:
    """Return the small model's recipe, cut down to seconds."""
    short: dict[str, Any] = {
        "prompts": 64,
        "prompts_per_step": 8,
        "epochs": 100.0,
        "max_steps": 6,
        "learning_rate": 3e-4,
        "warmup_steps": 0,
        "max_response_tokens": 48,
        "eval_prompts": 16,
        "eval_steps": 3,
        "save_steps": 3,
        "threads": 1,
    }
    return msgspec.structs.replace(load_recipe("small-cpu"), **(short | changes))


def right_traces(start: Start, path: Path, count: int, rows: Rows | None = None) -> list[Trace]:
    """Write a file of right answers to prompts of made-up rows, as sampling a model that knows them would."""
    asker = Asker(start.tokens, start.template, reasoning=True)
    found, rng = rows or small_rows(), random.Random(1)
    kept = []
    for problem in problems(found.train, found.sets, asker, small_recipe(max_prompt_tokens=4096), count, rng):
        said = [Text(f"so {problem.expected}."), *verdict_opening(start.template)]
        ids = start.tokens.encode([*said, *answer(start.template, problem.expected, problem.cited or ())])
        kept.append(trace_of(problem, ids))
    write_traces(path, Head(model="made", prompts=start.prompts(), recipe="small-cpu", seed=1), kept)
    return kept
