"""What ``rsafe doctor`` says of the model folder: weights and template, calibration, coverage, licence."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker.commands.check import Check
from worker.config import Settings
from worker.errors import ConfigError, WorkerError

if TYPE_CHECKING:
    from worker.judge.calibration import Calibration, Method
    from worker.judge.coverage import Coverage
    from worker.judge.papers import Papers

_SHORT: Final = 12
_SHOWN: Final = 3


def model_checks(settings: Settings) -> Iterator[Check]:
    """Look at the model, and at what stands beside it."""
    if settings.engine == "scripted":
        yield Check(name="model", result="ok", detail="the scripted engine needs none; it is for tests")
        return
    try:
        yield Check(name="model", result="ok", detail=_model(settings))
        folder = _folder(settings)
    except WorkerError as error:
        yield Check(name="model", result="failed", detail=str(error))
        return
    yield from paper_checks(folder)


def paper_checks(folder: Path) -> Iterator[Check]:
    """Look at calibration, coverage, licence, card, vocabulary and extraction test of a model folder."""
    from worker.judge.papers import read_papers  # noqa: PLC0415 - as below

    try:
        papers = read_papers(folder)
    except WorkerError as error:
        yield Check(name="model papers", result="failed", detail=str(error))
        return
    yield _fingerprint(papers)
    yield _calibration(papers.calibration)
    yield _coverage(papers.coverage)
    yield _licence(papers)
    yield _digits(folder)
    yield _extraction(folder)


def _model(settings: Settings) -> str:
    if importlib.util.find_spec("vllm") is None:
        text = "vllm is not installed; run 'make setup', or install the extra 'cpu' or 'gpu'"
        raise ConfigError(text)
    # Here and not above: transformers takes seconds to import.
    from worker.judge.build import describe_model  # noqa: PLC0415

    return describe_model(settings)


def _folder(settings: Settings) -> Path:
    from worker.judge.folder import find_model  # noqa: PLC0415 - as above

    return find_model(settings)


def _fingerprint(papers: Papers) -> Check:
    template = "its own template" if papers.own_template else "the default template, since it brings none"
    named = [
        name
        for name, paper in (("calibration", papers.calibration), ("coverage", papers.coverage))
        if paper is not None
    ]
    matches = f"; {' and '.join(named)} name it as theirs" if named else ""
    return Check(name="model fingerprint", result="ok", detail=f"{papers.key[:_SHORT]}, asked by {template}{matches}")


def _calibration(calibration: Calibration | None) -> Check:
    if calibration is None:
        text = "none: scores are raw; make one with 'rsafe train calibrate --model FOLDER --data FOLDER'"
        return Check(name="model calibration", result="warning", detail=text)
    lines = [f"of {calibration.date}, seed {calibration.seed}"]
    lines += [
        f"{name}{f' ({where})' if (where := calibration.used_for(name)) else ''}: {_method(method)}"
        for name, method in calibration.methods.items()
    ]
    fitted = any(method.curve for method in calibration.methods.values())
    return Check(name="model calibration", result="ok" if fitted else "warning", detail="; ".join(lines))


def _method(method: Method) -> str:
    if method.curve is None:
        return f"raw, since {method.reason}"
    parts = [f"{method.rows} rows, ECE {method.ece_before:.3f} before and {method.ece_after:.3f} after"]
    advised = [
        f"{one.id} {one.threshold:.2f} ({one.low:.2f} to {one.high:.2f})"
        for one in method.thresholds.values()
        if one.threshold is not None
    ]
    if advised:
        parts.append(f"recommended thresholds {', '.join(advised)}")
    if method.band:
        parts.append(f"recommended review band {method.band.low:.2f} to {method.band.high:.2f}")
    return ", ".join(parts)


def _coverage(coverage: Coverage | None) -> Check:
    if coverage is None:
        text = "none: nothing says what the model was tested on, so verdicts list every category as unevaluated"
        return Check(name="model coverage", result="warning", detail=text)
    tested = [item.ids[0] for item in coverage.categories if item.tested and item.supported]
    others = [item.ids[0] for item in coverage.categories if not item.tested and item.supported]
    unsupported = [item.ids[0] for item in coverage.categories if not item.supported]
    text = (
        f"tested: {', '.join(tested) or 'nothing'}; never tested: {', '.join(others) or 'nothing'}; "
        f"unsupported: {', '.join(unsupported) or 'nothing'}"
    )
    return Check(name="model coverage", result="ok" if tested else "warning", detail=text)


def _licence(papers: Papers) -> Check:
    from worker.judge.papers import COMMERCIAL  # noqa: PLC0415 - as below

    if papers.commercial is False:
        text = "trained on rows that forbid commercial use; NOTICE in the folder names them"
        return Check(name="model licence", result="warning", detail=text)
    if papers.missing:
        text = f"the folder has no {' and no '.join(papers.missing)}; look where the model comes from"
        return Check(name="model licence", result="warning", detail=text)
    if papers.commercial is None:
        text = f"config.json has no {COMMERCIAL!r}, so nothing says whether its rows forbid commercial use; see NOTICE"
        return Check(name="model licence", result="warning", detail=text)
    text = "NOTICE and README.md in the folder say what it was made from; no row of it forbids commercial use"
    return Check(name="model licence", result="ok", detail=text)


def _digits(folder: Path) -> Check:
    from worker.train.release.limits import digit_tokens, vocabulary  # noqa: PLC0415 - for this check alone

    try:
        found = digit_tokens(vocabulary(folder))
    except WorkerError as error:
        return Check(name="model digits", result="failed", detail=str(error))
    if found:
        text = (
            f"{len(found)} tokens hold two or more digits ({', '.join(found[:_SHOWN])}), so a number of training can "
            "stand whole in the vocabulary; `rsafe train` exports no tokenizer of its own with any"
        )
        return Check(name="model digits", result="warning", detail=text)
    return Check(name="model digits", result="ok", detail="no token holds two digits or more")


def _extraction(folder: Path) -> Check:
    from worker.train.release.given_back import NEEDED, counted, read_report  # noqa: PLC0415 - as above

    try:
        report = read_report(folder)
    except WorkerError as error:
        return Check(name="model extraction", result="failed", detail=str(error))
    if report is None:
        text = "not tested: nothing says whether it gives texts of its training back word for word"
        return Check(name="model extraction", result="warning", detail=text)
    canaries, texts = counted(report.tried)
    said = f"{report.leaks} of {canaries} canaries and {texts} training texts came back word for word"
    if report.leaks:
        return Check(name="model extraction", result="failed", detail=f"{said}; do not serve it, train it again")
    if not report.full:
        return Check(name="model extraction", result="warning", detail=f"{said}; that is no full test: {NEEDED}")
    return Check(name="model extraction", result="ok", detail=said)
