"""Reasoning for large models: let the base model answer, and keep what the reward accepts (arXiv 2203.14465).

Small models learn reasoning that is made from labels (``examples/reasoning.py``). A large one writes its own:
a few answers are drawn for each prompt, and of those whose reward is full the shortest is kept, since every
token costs at serving. Token ids are kept, so that training sees exactly what serving would send.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import torch
from msgspec import Struct

from worker.config import Settings
from worker.judge.engine import Engine, Request
from worker.judge.engine_env import environment
from worker.judge.judge import vllm_engine
from worker.train.release.history import name_of
from worker.train.rl.problems import Asker, Problem, Rows, problems
from worker.train.rl.recipes import GrpoRecipe
from worker.train.rl.rewards import score
from worker.train.rl.rollout import Sampler, read_completion
from worker.train.rl.start import Start, load_model, open_start
from worker.train.rl.traces import Head, Trace, trace_of, write_traces

#: Prompts between two lines of progress.
_ROUND: Final = 64
#: The groups of completions of some prompts of token ids.
Draw = Callable[[Sequence[Sequence[int]]], Awaitable[list[list[list[int]]]]]


class Yield(Struct, frozen=True, kw_only=True):
    """How many prompts were asked, and how many have an accepted answer."""

    asked: int
    kept: int


async def collect(recipe: GrpoRecipe, source: Path, rows: Rows, out: Path, say: Callable[[str], None]) -> Yield:
    """Answer the recipe's prompts and write what is accepted: a file for ``train sft --traces``.

    Args:
        recipe: its prompts, group, temperature, top_p, answer length and way of rolling out.
        source: a model folder, or a run of ``train sft`` (unpacked beside ``out``).
        rows: where the prompts come from.
        out: the file of traces, written anew.
        say: takes lines of progress.

    Raises:
        TrainError: no start, or too few rows.

    """
    start = open_start(source, out.parent)
    asker = Asker(start.tokens, start.template, reasoning=recipe.reasoning, as_served=rows.as_served)
    rng = random.Random(f"{recipe.seed}/train")
    asked = problems(rows.train, rows.sets, asker, recipe, recipe.prompts, rng)
    torch.manual_seed(recipe.seed)
    kept: list[Trace] = []
    async with drawing(start, recipe) as draw:
        async for done, found in accepted(asked, start, recipe, draw):
            kept += found
            say(f"{done}/{len(asked)} prompts, {len(kept)} kept")
    head = Head(model=name_of(source), prompts=start.prompts(), recipe=recipe.name, seed=recipe.seed)
    await asyncio.to_thread(write_traces, out, head, kept)
    return Yield(asked=len(asked), kept=len(kept))


async def accepted(
    asked: Sequence[Problem], start: Start, recipe: GrpoRecipe, draw: Draw
) -> AsyncIterator[tuple[int, list[Trace]]]:
    """Yield, round by round, how many problems were asked and the accepted answers of the round."""
    for first in range(0, len(asked), _ROUND):
        chosen = asked[first : first + _ROUND]
        groups = await draw([problem.ids for problem in chosen])
        found = (best(problem, group, start, recipe) for problem, group in zip(chosen, groups, strict=True))
        yield first + len(chosen), [trace for trace in found if trace]


def best(problem: Problem, answers: Sequence[Sequence[int]], start: Start, recipe: GrpoRecipe) -> Trace | None:
    """Return the shortest answer with the full reward, if any."""
    full = sorted((ids for ids in answers if _reward(problem, ids, start, recipe) == 1.0), key=len)
    return trace_of(problem, full[0]) if full else None


def _reward(problem: Problem, ids: Sequence[int], start: Start, recipe: GrpoRecipe) -> float:
    text, ended = read_completion(start.tokens, start.template, ids, served=recipe.served_budget)
    marked = score(text, problem.expected, problem.panel, start.template, reasoning=recipe.reasoning, ended=ended)
    return marked.reward


@asynccontextmanager
async def drawing(start: Start, recipe: GrpoRecipe) -> AsyncIterator[Draw]:
    """Draw as the recipe says: from the worker's own engine, or from the model itself."""
    end = start.tokens.control_ids[start.template.end]
    if recipe.rollout != "vllm":
        yield by_model(start, recipe)
        return
    settings = Settings(model=str(start.folder))
    with environment(settings):
        engine = vllm_engine(settings, start.folder)
        await engine.start()
    try:
        yield lambda prompts: ask(engine, prompts, recipe, end)
    finally:
        await engine.stop()


def by_model(start: Start, recipe: GrpoRecipe) -> Draw:
    """Draw from the model itself, in this process."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(start).to(device, torch.bfloat16 if recipe.bf16 else torch.float32).eval()
    end = start.tokens.control_ids[start.template.end]
    sampler = Sampler([end], end, recipe.max_response_tokens)

    async def draw(prompts: Sequence[Sequence[int]]) -> list[list[list[int]]]:
        return _grouped(sampler.sample(model, prompts, recipe.group, temperature=recipe.temperature), recipe.group)

    return draw


async def ask(engine: Engine, prompts: Sequence[Sequence[int]], recipe: GrpoRecipe, end: int) -> list[list[list[int]]]:
    """Draw a group of completions for each prompt from a running engine."""
    requests = [
        Request(
            prompt_ids=list(ids),
            max_tokens=recipe.max_response_tokens,
            stop_ids=(end,),
            temperature=recipe.temperature,
            top_p=recipe.top_p,
        )
        for ids in prompts
        for _ in range(recipe.group)
    ]
    found = await asyncio.gather(*(engine.complete(request) for request in requests))
    return _grouped([list(one.token_ids) for one in found], recipe.group)


def _grouped(written: list[list[int]], group: int) -> list[list[list[int]]]:
    return [written[first : first + group] for first in range(0, len(written), group)]
