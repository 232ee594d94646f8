"""Writes what belongs to a model after its weights are final: calibration, coverage, card, NOTICE."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct

from worker.judge import calibration as calibrations
from worker.judge import coverage as coverages
from worker.judge.calibration import Calibration, load_calibration
from worker.judge.coverage import load_coverage
from worker.judge.fingerprint import file_digests, model_key
from worker.judge.papers import COMMERCIAL
from worker.judge.template import load_template
from worker.train.data.rows import Row, non_commercial
from worker.train.policies.wordings import CONCEPTS
from worker.train.release import card, reliability
from worker.train.release.calibrate import fit_method
from worker.train.release.coverage import Count, counts, coverage, measured_counts
from worker.train.release.judged_rows import RawScores

METRICS_FILE: Final = "metrics.json"
_SPLIT: Final = "calib"


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


def learnt(rows: Sequence[Row]) -> Learnt:
    """Count training rows."""
    return Learnt(
        sources=tuple(sorted({row.source for row in rows})), non_commercial=non_commercial(rows), rows=counts(rows)
    )


def key_of(folder: Path) -> str:
    """Return the ``model_key`` of a folder."""
    return model_key(load_template(folder), file_digests(folder))


def attach(folder: Path, raw: RawScores, seed: int) -> Calibration:
    """Fit a calibration on raw scores; write it, its picture, and the card anew. An earlier one is replaced.

    Raises:
        TrainError: no row has a score.

    """
    names = {key: (concept.ids[0], concept.names[0]) for key, concept in CONCEPTS.items()}
    facts = raw.engine
    made = Calibration(
        model=key_of(folder),
        methods={method: fit_method(scored, names, seed) for method, scored in raw.scored.items()},
        engine=f"{facts.version}, {facts.dtype}, {facts.device}",
        reasoning_max_tokens=raw.reasoning_max_tokens,
        split=_SPLIT,
        seed=seed,
        date=today(),
    )
    _write(folder / calibrations.FILE_NAME, made)
    reliability.draw(folder / reliability.FILE_NAME, made, raw.scored)
    write_card(folder)
    return made


def write_papers(folder: Path, facts: dict[str, Any], trained_on: Learnt) -> None:
    """Write figures, coverage, card and NOTICE of an exported folder, and mark it where it is not commercial.

    ``facts`` needs ``name``, ``parameters``, ``date``, ``recipe``, ``progress`` and ``measured``; ``extraction``
    is optional.
    """
    _mark(folder / "config.json", commercial=not trained_on.non_commercial)
    key = key_of(folder)
    tested = measured_counts(facts["measured"].get("test", {}).get("direct", {}))
    _write(folder / coverages.FILE_NAME, coverage(key, facts["date"], CONCEPTS, trained_on.rows, tested))
    whole = facts | {"fingerprint": key, "learnt": msgspec.to_builtins(trained_on)}
    (folder / METRICS_FILE).write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2) + b"\n")
    write_card(folder)


def write_card(folder: Path) -> None:
    """Render card and NOTICE from the facts in a folder; one without facts of ours keeps what it has."""
    if not (folder / METRICS_FILE).is_file():
        return
    facts = orjson.loads((folder / METRICS_FILE).read_bytes())
    key = key_of(folder)
    text = card.render(facts, load_coverage(folder, key), load_calibration(folder, key))
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "NOTICE").write_text(card.notice(facts), encoding="utf-8")


def today() -> str:
    """Return the day in UTC, ISO 8601."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def _mark(config: Path, *, commercial: bool) -> None:
    fields = orjson.loads(config.read_bytes()) | {COMMERCIAL: commercial}
    config.write_bytes(orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def _write(path: Path, made: Struct) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
