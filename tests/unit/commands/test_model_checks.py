"""What the doctor says of a model folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.papers import band, covered, method, save_calibration, save_coverage, threshold
from tests.support.tiny_model import save_tokenizer
from worker.commands.model_checks import model_checks, paper_checks
from worker.config import Settings


def _said(folder: Path) -> dict[str, tuple[str, str]]:
    return {check.name: (check.result, check.detail) for check in paper_checks(folder)}


def test_a_bare_checkpoint(tmp_path: Path) -> None:
    """It can be served; what it lacks is a warning with what follows from it."""
    save_tokenizer(tmp_path)
    said = _said(tmp_path)

    assert {name: result for name, (result, _) in said.items()} == {
        "model fingerprint": "ok",
        "model calibration": "warning",
        "model coverage": "warning",
        "model licence": "warning",
    }
    assert "rsafe train calibrate" in said["model calibration"][1]
    assert "every category as unevaluated" in said["model coverage"][1]


def test_a_whole_export(tmp_path: Path) -> None:
    """Fingerprint, recommended thresholds and band, and what was never tested are shown."""
    save_tokenizer(tmp_path)
    for name in ("README.md", "NOTICE"):
        (tmp_path / name).write_text("said", encoding="utf-8")
    none = threshold(id="R1", threshold=None, low=None, high=None, macro_f1=None)
    fitted = method(thresholds={"hate": threshold(), "rare": none}, band=band(0.2, 0.7))
    save_calibration(tmp_path, trace=fitted, direct=method(curve=None, reason="scores fall", ece_after=None))
    save_coverage(
        tmp_path,
        covered("hate", ("U7",), ("Hate",)),
        covered("U1", ("U1",), ("Violence",), tested=False),
        covered("U6", ("U6",), ("Minors",), supported=False, tested=False),
    )
    said = _said(tmp_path)

    assert {result for result, _ in said.values()} == {"ok"}
    assert "calibration and coverage name it as theirs" in said["model fingerprint"][1]
    assert "U7 0.41 (0.30 to 0.55), recommended review band 0.20 to 0.70" in said["model calibration"][1]
    assert "direct: raw, since scores fall" in said["model calibration"][1]
    assert said["model coverage"][1] == "tested: U7; never tested: U1; unsupported: U6"


@pytest.mark.parametrize("kind", ["calibration", "coverage"])
def test_what_is_another_models_fails(tmp_path: Path, kind: str) -> None:
    """Serving would refuse it too."""
    save_tokenizer(tmp_path)
    if kind == "calibration":
        save_calibration(tmp_path, direct=method())
    else:
        save_coverage(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")

    (check,) = paper_checks(tmp_path)
    assert (check.result, f"{kind}.json was made for the model" in check.detail) == ("failed", True)


def test_a_model_that_is_not_commercial(tmp_path: Path) -> None:
    """The export says so in its configuration, and the doctor repeats it."""
    save_tokenizer(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"rsafe_commercial_use": False}), encoding="utf-8")

    result, detail = _said(tmp_path)["model licence"]
    assert (result, "forbid commercial use" in detail) == ("warning", True)


def test_a_folder_that_cannot_be_served(tmp_path: Path) -> None:
    """One line says what is wrong; nothing else is looked at."""
    (check,) = model_checks(Settings(model=str(tmp_path / "gone")))

    assert (check.name, check.result, "does not exist" in check.detail) == ("model", "failed", True)


def test_rules_need_no_model() -> None:
    """The scripted engine is always well."""
    (check,) = model_checks(Settings(engine="scripted"))

    assert check.result == "ok"
