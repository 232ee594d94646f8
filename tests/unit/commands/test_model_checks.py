"""What the doctor says of a model folder."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.support.papers import band, covered, method, save_calibration, save_coverage, threshold
from tests.support.tiny_model import save_tokenizer
from worker.commands.model_checks import model_checks, paper_checks
from worker.config import Settings
from worker.judge.folder import find_model
from worker.train.release.given_back import Report, is_full


def _said(folder: Path) -> dict[str, tuple[str, str]]:
    return {check.name: (check.result, check.detail) for check in paper_checks(folder)}


def _mark(folder: Path, *, commercial: bool) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"rsafe_commercial_use": commercial}), encoding="utf-8")


def _cut_numbers(path: Path) -> None:
    """Take the one token with two digits from the tokenizer."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    del fields["model"]["vocab"]["15"]
    fields["model"]["merges"] = [pair for pair in fields["model"]["merges"] if "".join(pair) != "15"]
    path.write_text(json.dumps(fields), encoding="utf-8")


def _extracted(folder: Path, canaries: int, texts: int, **given_back: int) -> None:
    """Write what an extraction test found."""
    tried = {"canary: words": canaries, "training text": texts}
    report = Report(tried=tried, given_back=given_back, likeliest=0.0, full=is_full(tried))
    (folder / "metrics.json").write_bytes(msgspec.json.encode({"name": "made", "extraction": report}))


def test_a_bare_checkpoint(tmp_path: Path) -> None:
    """It can be served; what it lacks is a warning with what follows from it."""
    save_tokenizer(tmp_path)
    said = _said(tmp_path)

    assert {name: result for name, (result, _) in said.items()} == {
        "model fingerprint": "ok",
        "model calibration": "warning",
        "model coverage": "warning",
        "model licence": "warning",
        "model digits": "warning",
        "model extraction": "warning",
    }
    assert "15" in said["model digits"][1]
    assert "rsafe train calibrate" in said["model calibration"][1]
    assert "every category as unevaluated" in said["model coverage"][1]


def test_a_whole_export(tmp_path: Path) -> None:
    """Fingerprint, recommended thresholds and band, and what was never tested are shown."""
    save_tokenizer(tmp_path)
    _cut_numbers(tmp_path / "tokenizer.json")
    for name in ("README.md", "NOTICE"):
        (tmp_path / name).write_text("said", encoding="utf-8")
    _mark(tmp_path, commercial=True)
    _extracted(tmp_path, 50, 200)
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
    _mark(tmp_path, commercial=False)

    result, detail = _said(tmp_path)["model licence"]
    assert (result, "forbid commercial use" in detail) == ("warning", True)


def test_nobody_says_what_is_allowed(tmp_path: Path) -> None:
    """Cards alone do not tell a program whether a row forbids commercial use."""
    save_tokenizer(tmp_path)
    for name in ("README.md", "NOTICE"):
        (tmp_path / name).write_text("said", encoding="utf-8")

    result, detail = _said(tmp_path)["model licence"]
    assert (result, "rsafe_commercial_use" in detail) == ("warning", True)


def test_what_the_extraction_test_found(tmp_path: Path) -> None:
    """A trial is a warning, secrets that came back are a failure, and so are figures that cannot be read."""
    save_tokenizer(tmp_path)
    _extracted(tmp_path, 10, 0)
    result, detail = _said(tmp_path)["model extraction"]
    assert (result, detail.split(";")[0]) == (
        "warning",
        "0 of 10 canaries and 0 training texts came back word for word",
    )
    _extracted(tmp_path, 50, 200, words=2)
    assert _said(tmp_path)["model extraction"][0] == "failed"
    (tmp_path / "metrics.json").write_text("[]", encoding="utf-8")
    assert _said(tmp_path)["model extraction"][0] == "failed"


def test_the_shipped_model_is_accepted() -> None:
    """It is older than some papers: what it lacks are warnings, and no check fails."""
    found = {check.name: check.result for check in paper_checks(find_model(Settings()))}

    assert "failed" not in found.values()
    assert found["model digits"] == "ok"


def test_a_folder_that_cannot_be_served(tmp_path: Path) -> None:
    """One line says what is wrong; nothing else is looked at."""
    (check,) = model_checks(Settings(model=str(tmp_path / "gone")))

    assert (check.name, check.result, "does not exist" in check.detail) == ("model", "failed", True)


def test_rules_need_no_model() -> None:
    """The scripted engine is always well."""
    (check,) = model_checks(Settings(engine="scripted"))

    assert check.result == "ok"
