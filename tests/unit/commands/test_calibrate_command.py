"""``rsafe train calibrate``: what it refuses before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.commands.calibrate import calibrate
from worker.commands.train import app
from worker.errors import ModelError, UsageError


def test_help_has_an_example() -> None:
    """The command says how it is used."""
    result = CliRunner().invoke(app, ["calibrate", "--help"])

    assert result.exit_code == 0
    assert "Example" in result.output


def test_the_shipped_model_is_not_changed_by_accident(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder has to be named."""
    monkeypatch.delenv("RSAFE_MODEL", raising=False)

    with pytest.raises(UsageError, match="--model FOLDER"):
        calibrate(data=tmp_path)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    """It is named before the data is read or an engine is built."""
    with pytest.raises(ModelError, match="gone does not exist"):
        calibrate(model=str(tmp_path / "gone"), data=tmp_path)
