"""``rsafe train``: from labelled data to a model that the worker serves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from worker.commands import calibrate, train_data, train_grpo, train_study, train_traces
from worker.commands.train_reads import CommercialOnly, Paper, PaperRows, PapersOnly, reads_from
from worker.errors import UsageError

if TYPE_CHECKING:
    from worker.train.recipe import Recipe

app = typer.Typer(help="Train the small model.", no_args_is_help=True)


app.command(epilog=train_data.EPILOG)(train_data.data)
app.command(epilog=calibrate.EPILOG)(calibrate.calibrate)
app.command(epilog=train_grpo.EPILOG)(train_grpo.grpo)
app.command(epilog=train_grpo.SAMPLE_EPILOG)(train_grpo.sample)
app.command(epilog=train_study.EPILOG)(train_study.study)


@app.callback()
def _group() -> None:
    """Keep ``sft`` a command of its own, however few there are."""


@app.command(
    epilog="Example: rsafe train sft --data ../shared/data --out build/run --max-minutes 60; "
    "then rsafe train sft --export-only build/run --out build/model; "
    "a model that is there: rsafe train sft --from MODEL --traces build/traces.jsonl --out build/tuned"
)
def sft(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder of the run, or of the exported model with --export-only.")],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path("..") / "shared" / "data",
    paper: Paper = None,
    commercial_only: CommercialOnly = True,  # noqa: FBT002
    papers_only: PapersOnly = False,  # noqa: FBT002
    paper_rows: PaperRows = 0,
    max_minutes: Annotated[float, typer.Option(min=0.01, help="Budget; with --resume, so many more.")] = 60,
    max_steps: Annotated[int, typer.Option(min=1, help="End after so many steps at the latest.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same examples.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    decay_share: Annotated[
        float, typer.Option(min=0, max=1, help="Last part of the budget, in which the learning rate falls.")
    ] = 0.3,
    layers: Annotated[int, typer.Option(min=1, help="Layers of the network.")] = 5,
    hidden: Annotated[int, typer.Option(min=64, help="Width of the network, a multiple of 64.")] = 256,
    max_rows: Annotated[int, typer.Option(min=0, help="Train on a subset, for a trial (0: all).")] = 0,
    canaries: Annotated[int, typer.Option(min=0, help="Made-up secrets to plant; the export looks for them.")] = 50,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run in --out.")] = False,  # noqa: FBT002
    export_only: Annotated[
        Path | None, typer.Option(help="Export this run's checkpoint to --out; no training.")
    ] = None,
    average: Annotated[
        list[Path] | None, typer.Option(help="With --export-only: another state of that run, to take the mean of.")
    ] = None,
    dev_rows: Annotated[int, typer.Option(min=1, help="Dev rows of each set and category to measure.")] = 300,
    source: train_traces.Source = None,
    traces: train_traces.TraceFile = None,
    settings: train_traces.Told = None,
) -> None:
    """Train from scratch on a budget of minutes, export a checkpoint, or train a model on kept traces (--from)."""
    if train_traces.wanted(context) and source and traces:
        train_traces.tune(source, traces, settings, context)
        return
    if average and not export_only:
        text = "--average takes the mean of states that are exported; give --export-only, too"
        raise UsageError(text)
    from worker.train.recipe import Recipe  # noqa: PLC0415 - torch takes seconds to import

    recipe = Recipe(
        data=data,
        out=out,
        reads=reads_from(paper, commercial_only=commercial_only, papers_only=papers_only, paper_rows=paper_rows),
        max_minutes=max_minutes,
        max_steps=max_steps,
        seed=seed,
        threads=threads,
        device=device,
        decay_share=decay_share,
        layers=layers,
        hidden=hidden,
        max_rows=max_rows,
        canaries=canaries,
    )
    if export_only:
        _export([export_only, *(average or ())], recipe, dev_rows)
    else:
        _train(recipe, train_traces.given(context), resume=resume)


def _train(recipe: Recipe, named: Collection[str], *, resume: bool) -> None:
    from worker.train.data.reads import check  # noqa: PLC0415 - torch takes seconds to import
    from worker.train.recipe import gone_on  # noqa: PLC0415 - the same
    from worker.train.release.canaries import COUNT  # noqa: PLC0415 - the same
    from worker.train.sft import train  # noqa: PLC0415 - the same

    if resume:
        recipe = gone_on(recipe, named)
    # An earlier run in --out is forgotten only for one that can be.
    check(recipe.reads)
    if recipe.canaries < COUNT and not recipe.max_rows:
        _say(f"fewer than {COUNT} canaries: an export will refuse this run, for its extraction test is no full one")
    train(recipe, resume=resume, say=_say)
    typer.echo(f"done; export it: rsafe train sft --export-only {recipe.out} --out build/model")


def _export(runs: Sequence[Path], recipe: Recipe, dev_rows: int) -> None:
    import torch  # noqa: PLC0415 - takes seconds to import

    from worker.train.data.reads import again, reads_of  # noqa: PLC0415 - the same
    from worker.train.recipe import make_ready  # noqa: PLC0415 - the same
    from worker.train.release.export import Trained, document, export, extract, measure  # noqa: PLC0415 - the same
    from worker.train.release.history import learnt  # noqa: PLC0415 - the same

    torch.set_num_threads(recipe.threads)
    trained = Trained(runs[0], runs[1:])
    export(trained, recipe.out)
    _say(f"model folder {recipe.out} written; measuring it")
    # The rows and canaries are those of the run, whatever else was given.
    told = trained.recipe()
    same: dict[str, Any] = {name: told[name] for name in ("seed", "max_rows", "canaries") if name in told}
    same["reads"] = again(reads_of(told), recipe.reads)
    ready = make_ready(msgspec.structs.replace(recipe, **({"canaries": 0} | same)))
    rows = [sample.row for sample in ready.train]
    measured = measure(trained, ready, dev_rows)
    _say("trying to get training texts and canaries back out of it")
    found = extract(recipe.out, rows, trained.canaries(), trial=trained.trial)
    document(trained, recipe.out, measured, learnt(rows), found)
    _say(f"figures in {recipe.out / 'README.md'}")


def _say(text: str) -> None:
    typer.echo(text)
