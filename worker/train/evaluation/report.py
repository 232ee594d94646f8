"""Everything that one evaluation found, as one record, and its files: ``report.json`` and ``answers.jsonl``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker.errors import UsageError
from worker.records import ScoreMethod
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.fairness import Gap, Rate
from worker.train.evaluation.following import Following
from worker.train.evaluation.formats import Format, Repeated
from worker.train.evaluation.judging import Answered, decode_lines, encode_lines
from worker.train.evaluation.metrics import Calibration
from worker.train.evaluation.papers import Measured
from worker.train.evaluation.quality import Cost, Table, Versus
from worker.train.evaluation.reasoning import Citation, Evidence, Forced, Quotes

JSON_FILE: Final = "report.json"
MARKDOWN_FILE: Final = "report.md"
ANSWERS_FILE: Final = "answers.jsonl"


class Facts(Struct, frozen=True, kw_only=True):
    """What was measured, and how.

    Attributes:
        date: UTC.
        seed: of samples and intervals.
        split: whose rows were judged.
        rows_limit: for each set and category; 0 for all.
        too_long: rows of the split that are left out for their length.
        model, fingerprint: as in verdicts; the fingerprint covers weights, tokenizer, template, calibration and engine.
        calibration: SHA-256 of the model folder's calibration; None where scores are raw.
        engine: version, number format, device.
        in_flight: messages in the judge at once.
        wall_s: how long it took, in seconds; of a run that was cut off, the last try alone.
        resumed: answers of all kinds that earlier tries had been given; ``wall_s`` holds none of their time.
        data_files: SHA-256 by path.
        rows_digest: SHA-256 of the places of the split's rows.
        papers: the sets of the paper that were measured.
        categories: how the model is asked for the categories of a policy: ``together`` or ``apart``.
        takes_mean: whether verdicts with reasoning are scored by the mean of before and after it (``mean_k``).

    """

    date: dt.datetime
    seed: int
    split: str
    rows_limit: int
    too_long: int = 0
    model: str
    fingerprint: str
    calibration: str | None
    engine: str
    in_flight: int
    wall_s: float
    data_files: dict[str, str]
    rows_digest: str
    papers: tuple[Measured, ...] = ()
    resumed: int = 0
    categories: str = "together"
    takes_mean: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """The whole file. A part that was not asked for is empty or None.

    Methods are ``trace``, where the model reasoned before its verdict, and ``direct``, where it did not.
    ``unparsed_as_served`` counts over every question of the run. ``wording``: the rows of ``quality`` under
    policies in words that no training policy has. ``swapped_ece``: the error of ``swapped_calibration`` with its
    interval. ``citation_parts``: as ``citation``, under policies of parts of concepts. ``quotes_free``: in the free
    calls of ``format``, where the engine lets the model quote what it likes.
    """

    facts: Facts
    questions: int
    unparsed_as_served: int
    better_method: ScoreMethod | None = None
    quality: dict[ScoreMethod, Table] = {}
    cost: dict[ScoreMethod, Cost] = {}
    wording: dict[ScoreMethod, Table] = {}
    baseline: dict[ScoreMethod, dict[str, Versus]] = {}
    format: Format | None = None
    repeated: dict[ScoreMethod, Repeated] = {}
    following: dict[ScoreMethod, dict[str, Following]] = {}
    swapped_calibration: dict[ScoreMethod, Calibration] = {}
    swapped_ece: dict[ScoreMethod, Interval] = {}
    citation: dict[ScoreMethod, Citation] = {}
    citation_parts: dict[ScoreMethod, Citation] = {}
    quotes: Quotes | None = None
    quotes_free: Quotes | None = None
    evidence: Evidence | None = None
    forced: dict[str, Forced] = {}
    identity: dict[ScoreMethod, dict[str, Gap]] = {}
    hard: dict[ScoreMethod, dict[str, dict[str, Rate]]] = {}


class Evaluation(Struct, frozen=True, kw_only=True):
    """A report and the answers that it was made from."""

    report: Report
    answers: tuple[Answered, ...]


def make_folder(folder: Path) -> None:
    """Make the folder of results, before hours are spent on them.

    Raises:
        UsageError: it cannot be made.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"{folder} cannot be made a folder ({error.strerror}); choose another --out"
        raise UsageError(text) from None


def save(evaluation: Evaluation, folder: Path) -> None:
    """Write the report and the answers; no text of any data set is in them.

    Raises:
        UsageError: the folder cannot be written.

    """
    make_folder(folder)
    try:
        encoded = msgspec.json.format(msgspec.json.encode(evaluation.report), indent=1)
        (folder / JSON_FILE).write_bytes(encoded + b"\n")
        (folder / ANSWERS_FILE).write_bytes(encode_lines(evaluation.answers))
    except OSError as error:
        text = f"{folder} cannot be written ({error.strerror}); choose another --out"
        raise UsageError(text) from None


def load(folder: Path) -> Evaluation:
    """Read what ``save`` wrote.

    Raises:
        UsageError: the folder holds no evaluation.

    """
    try:
        report = msgspec.json.decode((folder / JSON_FILE).read_bytes(), type=Report)
        answers: Sequence[Answered] = decode_lines((folder / ANSWERS_FILE).read_bytes())
    except OSError as error:
        text = f"{error.filename} cannot be read ({error.strerror}); give folders that 'rsafe eval --out' wrote"
        raise UsageError(text) from None
    except msgspec.DecodeError as error:
        text = f"{folder} holds no evaluation that this version can read ({error}); run 'rsafe eval' again"
        raise UsageError(text) from None
    return Evaluation(report=report, answers=tuple(answers))
