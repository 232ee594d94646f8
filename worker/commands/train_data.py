"""``rsafe train data``: what a run may learn from, and whether its splits are the frozen ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from worker.commands.train_reads import Paper, parse_papers
from worker.errors import TrainError

EPILOG: Final = "Example: rsafe train data --data ../shared/data --out build/data.md"

_CommercialOnly = Annotated[
    bool, typer.Option("--commercial-only/--non-commercial", help="Leave out sets that forbid commercial use.")
]


def data(
    folder: Annotated[Path, typer.Option("--data", help="Folder of the data sets.")] = Path("..") / "shared" / "data",
    out: Annotated[Path | None, typer.Option(help="Write the card to this file.")] = None,
    paper: Paper = None,
    commercial_only: _CommercialOnly = True,  # noqa: FBT002
    freeze: Annotated[bool, typer.Option("--freeze", help="Write the splits' hashes again.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Print the data card: rows, labels, licences, origin. Fails if the splits are not the frozen ones."""
    from worker.train.data import card  # noqa: PLC0415 - keep the start of other commands short
    from worker.train.data import freeze as splits  # noqa: PLC0415 - the same
    from worker.train.data.load import load  # noqa: PLC0415 - the same

    loaded = load(folder, only_commercial=commercial_only, papers=parse_papers(paper or []))
    leaks = splits.official_leaks(folder)
    made = card.render(loaded, leaks)
    if out:
        _write(out, made)
    typer.echo(msgspec.json.encode(card.facts(loaded, leaks)).decode() if as_json else made)
    if freeze:
        splits.freeze(loaded.rows)
    other = splits.differences([row for row in loaded.rows if row.source in splits.frozen()])
    if other:
        text = f"the splits {', '.join(other)} are not the frozen ones; use the data they were made from, or --freeze"
        raise TrainError(text)


def _write(out: Path, made: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(made, encoding="utf-8")
    except OSError as error:
        text = f"{out} cannot be written ({error.strerror}); choose another --out"
        raise TrainError(text) from None
