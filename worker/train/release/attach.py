"""Writes what belongs to a model after its weights are final: calibration, coverage, card, NOTICE."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct

from worker.errors import TrainError
from worker.judge import calibration as calibrations
from worker.judge import coverage as coverages
from worker.judge.calibration import Calibration, load_calibration
from worker.judge.coverage import load_coverage
from worker.judge.fingerprint import file_digests, model_key
from worker.judge.papers import COMMERCIAL
from worker.judge.template import load_template
from worker.train.data.taxonomy import UNSAFE
from worker.train.evaluation.report import Report
from worker.train.evaluation.targets import targets
from worker.train.policies.wordings import CONCEPTS
from worker.train.release import card, reliability
from worker.train.release.calibrate import fit_methods
from worker.train.release.coverage import coverage, measured_counts, with_tests
from worker.train.release.history import METRICS_FILE, Learnt
from worker.train.release.judged_rows import RawScores
from worker.train.release.notice import notice

_HELD_TO: Final = "held_to"
_SPLIT: Final = "calib"
_TEST: Final = "test"
#: How a threshold for the verdict over the whole taxonomy is called.
_WHOLE: Final = ("whole", "the whole taxonomy")


def key_of(folder: Path) -> str:
    """Return the ``model_key`` of a folder."""
    return model_key(load_template(folder), file_digests(folder))


def attach(folder: Path, raw: RawScores, seed: int) -> Calibration:
    """Fit a calibration on raw scores; write it, its picture, and the card anew. An earlier one is replaced.

    What the card says of an evaluation goes, since that was of other scores.

    Raises:
        TrainError: no row has a score.

    """
    names = {key: (concept.ids[0], concept.names[0]) for key, concept in CONCEPTS.items()} | {UNSAFE: _WHOLE}
    facts, (methods, shown) = raw.engine, fit_methods(raw.scored, names, seed)
    made = Calibration(
        model=key_of(folder),
        methods=methods,
        engine=f"{facts.version}, {facts.dtype}, {facts.device}",
        reasoning_max_tokens=raw.reasoning_max_tokens,
        split=_SPLIT,
        seed=seed,
        date=today(),
    )
    _write(folder / calibrations.FILE_NAME, made)
    reliability.draw(folder / reliability.FILE_NAME, made, shown)
    _change(folder, {})
    write_card(folder)
    return made


def attach_targets(folder: Path, report: Report) -> None:
    """Write into a model's card what it is held to and what it reached, with either kind of score.

    Test rows say which categories were tested, too: verdicts name the others as ``unevaluated``.

    Raises:
        TrainError: the folder has no card of ours.

    """
    check_card(folder)
    facts, sets = report.facts, figures_of(report)
    found = {
        "date": facts.date.date(),
        "split": facts.split,
        "rows_limit": facts.rows_limit,
        "seed": facts.seed,
        "engine": facts.engine,
        "calibrated": facts.calibration is not None,
        "categories": facts.categories,
        "takes_mean": facts.takes_mean,
        "targets": {method: targets(report, method) for method in sorted(report.quality)},
        "sets": sets,
    }
    _change(folder, {_HELD_TO: msgspec.to_builtins(found)})
    covered = load_coverage(folder, key_of(folder))
    if facts.split == _TEST and covered is not None:
        _write(folder / coverages.FILE_NAME, with_tests(covered, measured_counts(sets)))
    write_card(folder)


def figures_of(report: Report) -> dict[str, dict[str, Any]]:
    """Return what a card says of each set and category: rows, and by kind of score macro-F1 and average precision."""
    found: dict[str, dict[str, Any]] = {}
    for method, table in sorted(report.quality.items()):
        for name, one in table.by_set.items():
            entry = found.setdefault(name, {"rows": one.rows, "unsafe": one.unsafe})
            entry[method] = {"macro_f1": one.macro_f1, "average_precision": one.average_precision}
    return found


def check_card(folder: Path) -> None:
    """Check that a card could be written.

    Raises:
        TrainError: the folder holds no figures, so it has no card of ours.

    """
    if not (folder / METRICS_FILE).is_file():
        text = f"{folder} holds no {METRICS_FILE}; only a model of 'rsafe train sft' has a card to write into"
        raise TrainError(text)


def check_mark(folder: Path, barred: Sequence[str]) -> None:
    """Check that rows which forbid commercial use calibrate only a model that is marked as not for it.

    Raises:
        TrainError: it is not marked.

    """
    config = orjson.loads((folder / "config.json").read_bytes())
    if barred and config.get(COMMERCIAL) is not False:
        text = (
            f"{', '.join(barred)} forbid commercial use, and {folder} is not marked as trained on such rows; "
            "calibrate it on other sets"
        )
        raise TrainError(text)


def _change(folder: Path, held_to: dict[str, Any]) -> None:
    """Replace what an evaluation found; a folder without facts of ours keeps none."""
    path = folder / METRICS_FILE
    if path.is_file():
        facts = orjson.loads(path.read_bytes())
        facts.pop(_HELD_TO, None)
        _write_facts(folder, facts | held_to)


def _write_facts(folder: Path, facts: dict[str, Any]) -> None:
    (folder / METRICS_FILE).write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2) + b"\n")


def write_papers(folder: Path, facts: dict[str, Any], trained_on: Learnt) -> None:
    """Write figures, coverage, card and NOTICE of an exported folder, and mark it where it is not commercial.

    ``facts`` needs ``name``, ``parameters``, ``date`` and ``measured``, of an export also ``recipe`` and ``progress``,
    else ``stages`` and ``base`` of its history; ``extraction`` is optional.
    """
    _mark(folder / "config.json", commercial=not trained_on.non_commercial)
    key = key_of(folder)
    _write(folder / coverages.FILE_NAME, coverage(key, facts["date"], CONCEPTS, trained_on.rows))
    whole = facts | {"fingerprint": key, "learnt": msgspec.to_builtins(trained_on)}
    _write_facts(folder, whole)
    write_card(folder)


def write_card(folder: Path) -> None:
    """Render card and NOTICE from the facts in a folder; one without facts of ours keeps what it has."""
    if not (folder / METRICS_FILE).is_file():
        return
    facts = orjson.loads((folder / METRICS_FILE).read_bytes())
    key = key_of(folder)
    text = card.render(facts, load_coverage(folder, key), load_calibration(folder, key))
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "NOTICE").write_text(notice(facts), encoding="utf-8")


def today() -> str:
    """Return the day in UTC, ISO 8601."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def _mark(config: Path, *, commercial: bool) -> None:
    fields = orjson.loads(config.read_bytes())
    # What a start was marked with travels in its configuration, and no later stage lifts it.
    fields[COMMERCIAL] = commercial and fields.get(COMMERCIAL) is not False
    config.write_bytes(orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def _write(path: Path, made: Struct) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
