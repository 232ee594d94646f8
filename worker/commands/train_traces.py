"""``rsafe train sft --from MODEL --traces FILE``: a model that is there already learns answers that were accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from worker.errors import UsageError

Source = Annotated[
    Path | None,
    typer.Option("--from", help="Train this model on --traces: a model folder, or a run. Without it: from scratch."),
]
TraceFile = Annotated[Path | None, typer.Option("--traces", help="With --from: the file of `train sample`.")]
Told = Annotated[
    Path | None, typer.Option("--recipe", help="With --from: TOML of what differs (worker/train/sft_traces.py).")
]
#: Options of ``train sft`` that mean something for a model that is there already; all others are of one from scratch.
_SHARED: Final = frozenset({"out", "max_steps", "seed", "threads", "device", "resume"})
_OWN: Final = frozenset({"source", "traces", "settings"})


def wanted(context: typer.Context) -> bool:
    """Tell whether a model that is there already is to be trained.

    Raises:
        UsageError: only half of what that takes is given, or an option that is of training from scratch.

    """
    told = given(context)
    if not told & _OWN:
        return False
    if "source" not in told:
        text = "--traces and --recipe are for a model that is there already; name it with --from"
        raise UsageError(text)
    if "traces" not in told:
        text = (
            "--from needs what the model is to learn: --traces FILE, which `rsafe train sample --from MODEL` makes; "
            "without --from a model is trained from scratch"
        )
        raise UsageError(text)
    if others := sorted(_named(context, told - _SHARED - _OWN)):
        text = (
            f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} for training from scratch; leave it out, "
            "or name settings of --from in a TOML file with --recipe"
        )
        raise UsageError(text)
    return True


def given(context: typer.Context) -> set[str]:
    """Return the names of the options that the command line has, rather than their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}


def _named(context: typer.Context, names: set[str]) -> list[str]:
    return [param.opts[0] for param in context.command.params if param.name in names]


def tune(source: Path, traces: Path, settings: Path | None, context: typer.Context) -> None:
    """Train a model on traces; what the command line names goes before the recipe's file."""
    from worker.train.sft_traces import TracesJob, load_traces_recipe, train  # noqa: PLC0415 - trl takes ten seconds

    values: dict[str, Any] = context.params
    said = {name: values[name] for name in given(context) & (_SHARED - {"out", "resume"})}
    told = msgspec.structs.replace(load_traces_recipe(settings), **said)
    job = TracesJob(recipe=told, source=source, traces=traces, out=values["out"], resume=values["resume"])
    model = train(job, typer.echo)
    typer.echo(f"done; go on: rsafe train grpo --from {model}; or try it: rsafe judge --model {model} TEXT")
