"""Calibrations and coverages for tests, made for the model folder at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from worker.judge import calibration, coverage
from worker.judge.calibration import Band, Calibration, Curve, Method, Threshold
from worker.judge.coverage import Coverage, Covered
from worker.judge.fingerprint import file_digests, model_key
from worker.judge.template import load_template


def card_facts(**changes: Any) -> dict[str, Any]:
    """Return what ``metrics.json`` of an exported model holds at least; nothing was measured."""
    facts = {
        "name": "rsafe-demo-0m",
        "parameters": 7,
        "date": "2026-01-02",
        "recipe": {"max_minutes": 1, "seed": 1, "threads": 1},
        "progress": {"step": 5, "nodes": 6, "epoch": 0, "elapsed_s": 60.0},
        "measured": {},
    }
    return facts | changes


def key_of(folder: Path) -> str:
    """Return the key of a model folder."""
    return model_key(load_template(folder), file_digests(folder))


def method(slope: float = 1.0, intercept: float = 0.0, **fields: Any) -> Method:
    """Return what was fitted for one method; figures are made up."""
    given: dict[str, Any] = {"curve": Curve(slope=slope, intercept=intercept), "rows": 100, "unsafe": 40, "unscored": 3}
    given |= {"ece_before": 0.2, "ece_after": 0.03, "brier_before": 0.3, "brier_after": 0.2}
    return Method(**(given | {"thresholds": {}, "band": None} | fields))


def threshold(**fields: Any) -> Threshold:
    """Return a recommended threshold."""
    given: dict[str, Any] = {"id": "U7", "name": "Hate", "threshold": 0.41, "low": 0.3, "high": 0.55}
    return Threshold(**(given | {"macro_f1": 0.8, "rows": 60, "unsafe": 30} | fields))


def band(low: float, high: float) -> Band:
    """Return a recommended band."""
    return Band(low=low, high=high, max_error=0.1, rows=0.3, error_inside=0.25, error_outside=0.04)


def some_calibration(model: str, **methods: Method) -> Calibration:
    """Return a calibration."""
    return Calibration(
        model=model,
        methods=methods,  # type: ignore[arg-type]
        engine="fake 1",
        reasoning_max_tokens=48,
        split="calib",
        seed=1,
        date="2026-01-02",
    )


def save_calibration(folder: Path, **methods: Method) -> Calibration:
    """Write a calibration into a model folder."""
    made = some_calibration(key_of(folder), **methods)
    (folder / calibration.FILE_NAME).write_bytes(msgspec.json.encode(made))
    return made


def covered(concept: str, ids: tuple[str, ...], names: tuple[str, ...], **fields: Any) -> Covered:
    """Return one line of a coverage; tested unless it says otherwise."""
    given: dict[str, Any] = {"train_rows": 900, "train_unsafe": 400, "test_rows": 90, "test_unsafe": 40, "tested": True}
    return Covered(concept=concept, ids=ids, names=names, **(given | fields))


def some_coverage(model: str, *lines: Covered) -> Coverage:
    """Return a coverage; of hate as U7 or HATE by default."""
    return Coverage(model=model, date="2026-01-02", categories=lines or (covered("hate", ("U7", "HATE"), ("Hate",)),))


def save_coverage(folder: Path, *lines: Covered) -> Coverage:
    """Write a coverage into a model folder."""
    made = some_coverage(key_of(folder), *lines)
    (folder / coverage.FILE_NAME).write_bytes(msgspec.json.encode(made))
    return made
