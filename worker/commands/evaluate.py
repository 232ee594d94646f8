"""``rsafe eval``: how good a model is, through the engine that serves, or how two evaluations differ."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import sys
import time
from pathlib import Path
from typing import Final, cast

import msgspec
from msgspec import Struct, structs

from worker.config import Settings
from worker.errors import UsageError
from worker.judge.calibration import FILE_NAME as CALIBRATION_FILE
from worker.judge.calibration import read_calibration
from worker.judge.folder import find_model
from worker.judge.template import load_template
from worker.records import ScoreMethod
from worker.train.data.splits import Split
from worker.train.evaluation.cases import METHODS
from worker.train.evaluation.compare import Comparison, compare
from worker.train.evaluation.data import Data, load_data
from worker.train.evaluation.formats import unparsed_as_served
from worker.train.evaluation.journal import Conditions, Journal, journal
from worker.train.evaluation.markdown import render, render_comparison
from worker.train.evaluation.plots import draw
from worker.train.evaluation.probe import ProbedJudge
from worker.train.evaluation.report import MARKDOWN_FILE, Evaluation, Facts, Report, load, make_folder, save
from worker.train.evaluation.run import SECTIONS, Evaluator, Options, Say, Section
from worker.train.examples.fit import fits
from worker.train.release.attach import attach_targets, check_card

_SPLITS: Final = ("dev", "calib", "test")
_BOTH: Final = "both"
_TEST_NOTICE: Final = (
    "notice: this reads test rows; do it once, for figures that are published, and choose nothing by them"
)
_COMPARISON: Final = "comparison"


class EvalOptions(Struct, frozen=True, kw_only=True):
    """What the command line asks for; ``only`` names sections, separated by commas, or is empty.

    ``card``: write what the targets came to into the model's card. ``resume``: go on with the answers of a run
    that was cut off. ``papers``: sets of the paper to measure, too, each with its file or None for the hub.
    """

    data: Path
    split: str
    only: str
    method: str
    rows: int
    seed: int
    out: Path
    card: bool
    as_json: bool
    resume: bool = False
    papers: dict[str, Path | None] = {}


def evaluate(settings: Settings, wanted: EvalOptions) -> None:
    """Evaluate a model, write report, answers and plots, and print the report.

    Raises:
        UsageError: an option names what does not exist, --out cannot be written, or it holds answers of another run.
        TrainError: a data set is not there, or the model has no card to write into.
        WorkerError: the model cannot be served.

    """
    options = options_of(settings, wanted)
    if options.split == "test":
        _say(_TEST_NOTICE)
    folder = find_model(settings)
    if wanted.card:
        check_card(folder)
    make_folder(wanted.out)
    with journal(wanted.out, resume=wanted.resume, say=_say) as answers:
        _say("reading the data sets")
        data = load_data(wanted.data, options.split, wanted.papers)
        # Standard output is for the report alone, whatever a library prints.
        with contextlib.redirect_stdout(sys.stderr):
            evaluation = asyncio.run(_measure(settings, data, options, answers))
        text = _keep(evaluation, wanted.out)
        if wanted.card:
            attach_targets(folder, evaluation.report)
    print(msgspec.json.encode(evaluation.report).decode() if wanted.as_json else text)
    _say(f"report, answers and plots are in {wanted.out}")


def _keep(evaluation: Evaluation, out: Path) -> str:
    """Write the folder of results, and return the report's text."""
    save(evaluation, out)
    text = render(evaluation.report)
    (out / MARKDOWN_FILE).write_text(text, encoding="utf-8")
    draw(evaluation, out)
    return text


def compare_folders(first: Path, second: Path, wanted: EvalOptions) -> None:
    """Compare two result folders, and print and write the comparison.

    Raises:
        UsageError: a folder holds no evaluation, they share no question, or a card is to be written or a run resumed.

    """
    if wanted.card or wanted.resume:
        text = "a comparison is of two folders of results; --card and --resume go with the measurement of one model"
        raise UsageError(text)
    found = compare(load(first), load(second), wanted.seed)
    text = render_comparison(found)
    _write(found, text, wanted.out)
    print(msgspec.json.encode(found).decode() if wanted.as_json else text)


def _write(found: Comparison, text: str, folder: Path) -> None:
    make_folder(folder)
    try:
        (folder / f"{_COMPARISON}.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        (folder / f"{_COMPARISON}.md").write_text(text, encoding="utf-8")
    except OSError as error:
        problem = f"{folder} cannot be written ({error.strerror}); choose another --out"
        raise UsageError(problem) from None


def options_of(settings: Settings, wanted: EvalOptions) -> Options:
    """Check the command line's words.

    Raises:
        UsageError: one of them names what does not exist.

    """
    if settings.engine != "vllm":
        text = f"--engine {settings.engine} judges by rules; an evaluation needs a model, so leave --engine out"
        raise UsageError(text)
    names = [name.strip() for name in wanted.only.split(",") if name.strip()]
    for name in names:
        _one_of("--only", name, SECTIONS)
    _one_of("--split", wanted.split, _SPLITS)
    _one_of("--method", wanted.method, (*METHODS, _BOTH))
    if wanted.card and (names or wanted.method != _BOTH):
        text = "a card holds every target, of both kinds of score; leave --only and --method out, or --card"
        raise UsageError(text)
    return Options(
        split=cast("Split", wanted.split),
        sections=frozenset(cast("list[Section]", names) or SECTIONS),
        methods=METHODS if wanted.method == _BOTH else (cast("ScoreMethod", wanted.method),),
        rows=wanted.rows,
        seed=wanted.seed,
        in_flight=settings.in_flight,
    )


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        text = f"{option} {value!r} does not exist; take one of {', '.join(known)}"
        raise UsageError(text)


async def _measure(settings: Settings, data: Data, options: Options, answers: Journal) -> Evaluation:
    judge = ProbedJudge(settings)
    try:
        _say(f"loading {judge.model.name}")
        await judge.start()
        answers.begin(conditions(judge, data, options))
        return await measure(judge, find_model(settings), data, options, _say, answers)
    finally:
        await judge.stop()


def conditions(judge: ProbedJudge, data: Data, options: Options) -> Conditions:
    """Return what the answers of a run have in common."""
    return Conditions(
        fingerprint=judge.model.fingerprint or "",
        split=options.split,
        sections=tuple(name for name in SECTIONS if name in options.sections),
        methods=options.methods,
        rows=options.rows,
        seed=options.seed,
        in_flight=options.in_flight,
        rows_digest=data.rows_digest,
    )


async def measure(
    judge: ProbedJudge, folder: Path, data: Data, options: Options, say: Say, answers: Journal | None = None
) -> Evaluation:
    """Run an evaluation on a judge that runs.

    Args:
        judge: started.
        folder: of its model.
        data: rows.
        options: what to measure.
        say: hears of progress.
        answers: keeps them, and may know some from an earlier try.

    Raises:
        EngineDead: nothing can be judged any more.

    """
    began_s = time.monotonic()
    evaluator = Evaluator(judge, data, options, say, answers)
    await evaluator.run()
    facts = _facts(judge, folder, data, options)
    report = Report(
        facts=structs.replace(
            facts, wall_s=round(time.monotonic() - began_s, 1), resumed=answers.taken if answers else 0
        ),
        questions=len(evaluator.answers),
        unparsed_as_served=unparsed_as_served(evaluator.answers),
        **evaluator.parts,
    )
    return Evaluation(report=report, answers=tuple(evaluator.answers))


def _facts(judge: ProbedJudge, folder: Path, data: Data, options: Options) -> Facts:
    calibration = folder / CALIBRATION_FILE
    made = read_calibration(folder)
    engine = judge.engine_facts
    return Facts(
        date=dt.datetime.now(dt.UTC).replace(microsecond=0),
        seed=options.seed,
        split=options.split,
        rows_limit=options.rows,
        too_long=sum(not fits(row) for row in data.rows),
        model=judge.model.name or "",
        fingerprint=judge.model.fingerprint or "",
        calibration=hashlib.sha256(calibration.read_bytes()).hexdigest() if calibration.is_file() else None,
        engine=f"{engine.version}, {engine.dtype} on {engine.device}",
        in_flight=options.in_flight,
        wall_s=0.0,
        data_files=data.files,
        rows_digest=data.rows_digest,
        papers=data.papers,
        categories=load_template(folder).categories or "together",
        takes_mean=made is not None and made.takes_mean,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
