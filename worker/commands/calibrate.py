"""``rsafe train calibrate``: judge calibration rows, fit what makes their scores believable, keep it with the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.commands import options
from worker.commands.train_reads import CommercialOnly, Paper, PapersOnly, reads_from
from worker.config import Settings
from worker.errors import UsageError
from worker.judge.calibration import Calibration
from worker.judge.folder import find_model

if TYPE_CHECKING:
    from worker.train.data.reads import Reads

EPILOG: Final = "Example: rsafe train calibrate --model build/model --data ../shared/data"


def calibrate(
    model: options.Model = None,
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path("..") / "shared" / "data",
    paper: Paper = None,
    commercial_only: CommercialOnly = True,  # noqa: FBT002
    papers_only: PapersOnly = False,  # noqa: FBT002
    rows: Annotated[int, typer.Option(min=1, help="Rows of the calibration split per data set and category.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the choice of rows, held-out parts and intervals.")] = 1,
    extra: options.Set = None,
) -> None:
    """Judge calibration rows and write calibration.json, its picture and the card into the model's folder."""
    settings = options.settings_from(None, extra, model=model)
    # The shipped model is not changed by accident.
    if not settings.model:
        text = "the calibration is written into the model's folder, so name it: --model FOLDER"
        raise UsageError(text)
    reads = reads_from(paper, commercial_only=commercial_only, papers_only=papers_only)
    run(settings, data, rows=rows, seed=seed, say=typer.echo, reads=reads)


def run(
    settings: Settings,
    data: Path,
    *,
    rows: int,
    seed: int,
    say: Callable[[str], None],
    reads: Reads | None = None,
) -> None:
    """Write ``calibration.json``, its picture and a new model card into the model's folder.

    Args:
        settings: whose ``model`` is the folder.
        data: the folder of data sets; only rows of the calibration split are judged.
        rows: at most so many for each set and concept.
        seed: of held-out parts and bootstrap.
        say: hears of progress.
        reads: sets of the paper to read too.

    Raises:
        ModelError: the folder cannot be served.
        TrainError: the data is not there or must not shape this model, or no row was given a score.
        EngineDead: the engine did not come up, or went away.

    """
    # Here and not above: scikit-learn and torch take seconds to import.
    from worker.judge.judge import RsafeJudge  # noqa: PLC0415
    from worker.train.data.load import split_rows  # noqa: PLC0415
    from worker.train.data.reads import Reads, load_reads  # noqa: PLC0415
    from worker.train.release.attach import attach, check_mark  # noqa: PLC0415
    from worker.train.release.judged_rows import raw_scores  # noqa: PLC0415

    folder = find_model(settings)
    judge = RsafeJudge(settings, calibrated=False)
    say("reading the data sets")
    loaded = load_reads(data, reads or Reads())
    check_mark(folder, loaded.non_commercial)
    chosen = sorted(split_rows(loaded.rows)["calib"], key=lambda row: row.place)
    raw = asyncio.run(raw_scores(judge, settings, chosen, rows, seed, say))
    made = attach(folder, raw, seed)
    say(_summary(made))


def _summary(made: Calibration) -> str:
    lines = [f"calibration of {made.model[:12]} written"]
    for name, method in made.methods.items():
        if method.curve is None:
            lines.append(f"{name}: raw scores stay, since {method.reason}")
        else:
            lines.append(
                f"{name}: {method.rows} rows, ECE {method.ece_before:.3f} before, {method.ece_after:.3f} after"
            )
    return "; ".join(lines)
