"""``rsafe train grpo`` and ``rsafe train sample``: reinforced alignment, and traces that its reward accepts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from worker.commands.train_reads import CommercialOnly, Paper, PaperRows, PapersOnly, reads_from

EPILOG: Final = (
    "Example: rsafe train grpo --from build/run --recipe small-cpu --data ../shared/data --out build/rl; "
    "for several GPUs start the same under torchrun, as the recipe paper-7b says at its top"
)
SAMPLE_EPILOG: Final = (
    "Example: rsafe train sample --from MODEL --recipe paper-7b --data ../shared/data --out build/traces.jsonl"
)
Source = Annotated[Path, typer.Option("--from", help="A model folder, or the folder of a run of `train sft`.")]
Told = Annotated[str, typer.Option("--recipe", help="small-cpu, paper-7b, or a TOML file.")]
Data = Annotated[Path, typer.Option(help="Folder of the data sets, or a file of rows as JSON lines.")]
_DATA: Final = Path("..") / "shared" / "data"


def grpo(
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder of the run; the model is OUT/model.")],
    recipe: Told = "small-cpu",
    data: Data = _DATA,
    paper: Paper = None,
    commercial_only: CommercialOnly = True,  # noqa: FBT002
    papers_only: PapersOnly = False,  # noqa: FBT002
    paper_rows: PaperRows = 0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="End after so many updates at the latest.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,  # noqa: FBT002
    no_reasoning: Annotated[bool, typer.Option("--no-reasoning", help="Reward verdicts without reasoning.")] = False,  # noqa: FBT002
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same prompts and answers.")] = None,
) -> None:
    """Reinforce right and well-formed verdicts by GRPO, with the reward of the parser that serves."""
    from worker.train.rl.align import align  # noqa: PLC0415 - trl takes ten seconds to import
    from worker.train.rl.grpo import Job  # noqa: PLC0415 - the same
    from worker.train.rl.recipes import load_recipe  # noqa: PLC0415 - the same

    given = {"max_steps": max_steps, "seed": seed, "reasoning": False if no_reasoning else None}
    told = msgspec.structs.replace(load_recipe(recipe), **{key: one for key, one in given.items() if one is not None})
    reads = reads_from(paper, commercial_only=commercial_only, papers_only=papers_only, paper_rows=paper_rows)
    model = align(Job(recipe=told, source=source, out=out, resume=resume), data, reads, typer.echo)
    typer.echo(f"done; try it: rsafe judge --model {model} TEXT")


def sample(
    source: Source,
    out: Annotated[Path, typer.Option(help="File of traces, as JSON lines.")],
    recipe: Told = "paper-7b",
    data: Data = _DATA,
    paper: Paper = None,
    commercial_only: CommercialOnly = True,  # noqa: FBT002
    papers_only: PapersOnly = False,  # noqa: FBT002
    paper_rows: PaperRows = 0,
    prompts: Annotated[int | None, typer.Option(min=1, help="Prompts to answer (by default the recipe's).")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same prompts.")] = None,
) -> None:
    """Let a model answer, and keep one answer for each prompt that the reward accepts in full."""
    from worker.train.data import card  # noqa: PLC0415 - as below
    from worker.train.rl.problems import read_rows  # noqa: PLC0415 - torch takes seconds to import
    from worker.train.rl.recipes import load_recipe  # noqa: PLC0415 - the same
    from worker.train.rl.sampling import collect  # noqa: PLC0415 - the same

    given = {"prompts": prompts, "seed": seed}
    told = msgspec.structs.replace(load_recipe(recipe), **{key: one for key, one in given.items() if one is not None})
    reads = reads_from(paper, commercial_only=commercial_only, papers_only=papers_only, paper_rows=paper_rows)
    rows = read_rows(data, told.seed, reads)
    if rows.loaded:
        card.write(out.parent, rows.loaded, f"{out.stem}.")
    yielded = asyncio.run(collect(told, source, rows, out, typer.echo))
    typer.echo(f"{yielded.kept} of {yielded.asked} prompts have an accepted answer; they are in {out}")
