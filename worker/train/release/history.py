"""What a model learnt from and how it was made, over all stages of training: for coverage, card and NOTICE.

A run keeps it in ``history.json``, a model folder in its ``metrics.json``. Each stage adds to what its start knew
of itself, so that reinforced alignment does not forget what supervised training read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, structs

from worker.errors import TrainError
from worker.train.data.rows import Row, non_commercial
from worker.train.data.sources import FOLDER_SOURCES, OWN_SOURCES
from worker.train.release.coverage import Count, counts

METRICS_FILE: Final = "metrics.json"
FILE_NAME: Final = "history.json"


class Learnt(Struct, frozen=True, kw_only=True):
    """What a model was trained on.

    Attributes:
        sources: keys of ``SOURCES``.
        non_commercial: those of them that forbid commercial use.
        rows: training rows by concept, labels that follow from others included.

    """

    sources: tuple[str, ...] = ()
    non_commercial: tuple[str, ...] = ()
    rows: dict[str, Count] = {}

    def joined(self, other: Learnt) -> Learnt:
        """Put two stages together. They may share rows, so of two counts the larger stands: at least so many."""
        rows = self.rows | {
            key: max(found, self.rows.get(key, found), key=lambda count: count.rows)
            for key, found in other.rows.items()
        }
        return Learnt(
            sources=tuple(sorted({*self.sources, *other.sources})),
            non_commercial=tuple(sorted({*self.non_commercial, *other.non_commercial})),
            rows=rows,
        )


def learnt(rows: Sequence[Row]) -> Learnt:
    """Count training rows."""
    return Learnt(
        sources=tuple(sorted({row.source for row in rows})), non_commercial=non_commercial(rows), rows=counts(rows)
    )


class Stage(Struct, frozen=True, kw_only=True):
    """Training that began at a model which was there already.

    Attributes:
        kind: reinforced alignment, or supervised training on traces that its reward accepted.
        start: the name of what it began at.
        recipe: what it was told.
        updates: the updates that were taken.
        examples: the different prompts or traces that they saw, of so many different ``rows``.
        sampled_from: the model that wrote the traces.

    """

    kind: Literal["grpo", "traces"]
    start: str
    recipe: dict[str, Any]
    updates: int
    examples: int
    rows: int
    sampled_from: str = ""


class History(Struct, frozen=True, kw_only=True):
    """All that is known of how a model came about.

    Attributes:
        learnt: what all of its stages read, so far as they are this program's.
        stages: what followed its first training, in order.
        base: the checkpoint of others that it goes back to; empty for a model from scratch.

    """

    learnt: Learnt = Learnt()
    stages: tuple[Stage, ...] = ()
    base: str = ""

    def then(self, stage: Stage, found: Learnt) -> History:
        """Add a stage and what it read."""
        return structs.replace(self, learnt=self.learnt.joined(found), stages=(*self.stages, stage))


#: A run that noted nothing is older than the notes, and then read the sets of the data folder and our own rows.
_UNNOTED: Final = History(learnt=Learnt(sources=tuple(sorted(FOLDER_SOURCES | OWN_SOURCES))))


def of_run(run: Path) -> History:
    """Read the history of a run's folder.

    Raises:
        TrainError: the file is not one.

    """
    return _read(run / FILE_NAME) or _UNNOTED


def of_model(folder: Path) -> History:
    """Read the history of a model folder; one without figures of ours is a checkpoint of others.

    Raises:
        TrainError: its figures cannot be read.

    """
    found = _read(folder / METRICS_FILE)
    if found is None:
        return History(base=name_of(folder))
    return found if found.learnt.sources else structs.replace(found, learnt=_UNNOTED.learnt.joined(found.learnt))


def name_of(folder: Path) -> str:
    """Name a model by its folder; those in a hub's cache are named by their repository."""
    whole = folder.resolve()
    if whole.parent.name == "snapshots":
        return whole.parent.parent.name.removeprefix("models--").replace("--", "/")
    return whole.name


def write(folder: Path, history: History) -> None:
    """Write the history of a run's folder."""
    (folder / FILE_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(history), indent=2) + b"\n")


def _read(path: Path) -> History | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=History)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        text = f"{path} says nothing of what the model learnt ({error}); take it from the run again, or delete it"
        raise TrainError(text) from None
