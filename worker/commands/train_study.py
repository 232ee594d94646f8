"""``rsafe train study``: the result table's models, one after the other, and the table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.errors import TrainError, UsageError
from worker.file_lock import hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.train.study.plan import Arm
    from worker.train.study.run import Runner

EPILOG: Final = (
    "Example: rsafe train study --data ../shared/data --out build/study --minutes 60, again until --list says done; "
    "then rsafe train study --table worker/train/README.md"
)
_MINUTE_S: Final = 60.0


def study(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path("..") / "shared" / "data",
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("build") / "study",
    arm: Annotated[str | None, typer.Option(help="This arm only.")] = None,
    seed: Annotated[int | None, typer.Option(help="This seed only.")] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Stop after so many; the same command goes on (0: never).")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    results: Annotated[Path | None, typer.Option(help="Folder of results (by default the package's).")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show how far each model is; train nothing.")] = False,  # noqa: FBT002
    table: Annotated[Path | None, typer.Option(help="Write the table into this page; train nothing.")] = None,
) -> None:
    """Train and measure the arms of the result table; what is done is skipped."""
    from worker.train.study.plan import RESULTS_DIR  # noqa: PLC0415 - numpy takes a second to import

    if table:
        _fill(table, results or RESULTS_DIR)
        return
    from worker.train.study.run import Place, Runner  # noqa: PLC0415 - trl takes ten seconds to import

    end = time.monotonic() + minutes * _MINUTE_S if minutes else float("inf")
    place = Place(out=out, data=data, results=results or RESULTS_DIR, threads=threads)
    runner = Runner(place, typer.echo, lambda: time.monotonic() >= end)
    arms, seeds = chosen(arm), chosen_seeds(seed, runner.study.seeds)
    if show:
        _list(runner, arms, seeds)
        return
    with ExitStack() as locks:
        for one in seeds:
            locks.enter_context(alone(out, one))
        done = runner.run(arms, seeds)
    if done:
        typer.echo("done; write the table: rsafe train study --table worker/train/README.md")


@contextmanager
def alone(out: Path, seed: int) -> Iterator[None]:
    """Hold one seed of a folder of runs: arms of a seed start from each other, and two processes would meet in them.

    Raises:
        TrainError: another process holds it.

    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"seed-{seed}.lock").open("w") as file:
        hold(file, TrainError(f"another process trains seed {seed} in {out}; wait for it, or name another --seed"))
        yield


def chosen(arm: str | None) -> tuple[Arm, ...]:
    """Return the arm of this name, or all.

    Raises:
        UsageError: there is none of that name.

    """
    from worker.train.study.plan import ARMS  # noqa: PLC0415 - as above

    found = tuple(one for one in ARMS if arm in {None, one})
    if not found:
        text = f"there is no arm {arm!r}; name one of {', '.join(ARMS)}"
        raise UsageError(text)
    return found


def chosen_seeds(seed: int | None, seeds: Sequence[int]) -> tuple[int, ...]:
    """Return this seed, or all.

    Raises:
        UsageError: the study does not have it.

    """
    if seed is not None and seed not in seeds:
        text = f"the study has no seed {seed}; name one of {', '.join(map(str, seeds))}"
        raise UsageError(text)
    return tuple(seeds) if seed is None else (seed,)


def _list(runner: Runner, arms: Sequence[Arm], seeds: Sequence[int]) -> None:
    for seed in seeds:
        for arm in arms:
            typer.echo(f"seed {seed}  {arm:<20} {runner.status(arm, seed)}")


def _fill(page: Path, results: Path) -> None:
    from worker.train.study.table import fill_page  # noqa: PLC0415 - as above

    fill_page(page, results)
    typer.echo(f"table written into {page}")
