"""The file of kept answers: which model and tokenizer they are of, then one answer on each line.

Prompts and answers are token ids, so that training reads exactly what serving sends. A row's text stands in its
prompt alone; of the row itself a line holds where it is from and what it is labelled for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from worker.errors import TrainError
from worker.records import Label
from worker.train.data.rows import Row
from worker.train.rl.problems import Problem
from worker.train.rl.start import Start


class Head(Struct, frozen=True, kw_only=True):
    """The file's first line.

    Attributes:
        model: the name of what answered.
        prompts: ``Start.prompts`` of it, by which token ids of others are known.
        recipe, seed: what it was told.

    """

    model: str
    prompts: str
    recipe: str
    seed: int


class Trace(Struct, frozen=True, kw_only=True):
    """One kept answer.

    Attributes:
        prompt_ids: the prompt, as serving would send it.
        answer_ids: what follows, its end included.
        expected: what is right.
        source, place, known: of the row that was asked.

    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    expected: Label
    source: str
    place: str
    known: dict[str, bool]

    @property
    def row(self) -> Row:
        """The row that was asked, without its text."""
        return Row(source=self.source, place=self.place, text="", known=self.known)

    def __len__(self) -> int:
        """Count its tokens."""
        return len(self.prompt_ids) + len(self.answer_ids)


class Traces(Struct, frozen=True, kw_only=True):
    """A whole file."""

    head: Head
    kept: tuple[Trace, ...]


def trace_of(problem: Problem, answer: Sequence[int]) -> Trace:
    """Keep an answer to a problem."""
    return Trace(
        prompt_ids=problem.ids,
        answer_ids=tuple(answer),
        expected=problem.expected,
        source=problem.row.source,
        place=problem.row.place,
        known=problem.row.known,
    )


def write_traces(path: Path, head: Head, kept: Iterable[Trace]) -> None:
    """Write a file of traces anew."""
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (head, *kept)))


def read_traces(path: Path, start: Start) -> Traces:
    """Read a file of traces for a model that is to learn from them.

    Raises:
        TrainError: there is no such file, it does not hold traces, or they are of another tokenizer or template.

    """
    try:
        first, *lines = path.read_bytes().splitlines() or [b""]
        found = Traces(
            head=msgspec.json.decode(first, type=Head),
            kept=tuple(msgspec.json.decode(line, type=Trace) for line in lines),
        )
    except OSError as error:
        text = f"{path} cannot be read ({error.strerror}); make it with `rsafe train sample`"
        raise TrainError(text) from None
    except msgspec.DecodeError as error:
        text = f"{path.name} is not a file of traces: {error}; make one with `rsafe train sample`"
        raise TrainError(text) from None
    if found.head.prompts != start.prompts():
        text = (
            f"{path.name} was sampled from {found.head.model}, whose tokenizer or template is not that of "
            f"{start.folder}: its token ids mean something else there; sample again from the model that is to learn"
        )
        raise TrainError(text)
    return found
