"""A run that goes on is the run that it was: its canaries, rows and size do not come from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from typer.testing import CliRunner

from tests.support.paper_rows import write_paper
from worker.commands.train import app
from worker.errors import TrainError
from worker.train.model import checkpoint
from worker.train.recipe import Recipe, gone_on
from worker.train.release.export import Trained

TOLD = ("--seed", "2", "--layers", "1", "--hidden", "64", "--canaries", "3", "--max-rows", "60")


def _sft(out: Path, *told: str) -> None:
    words = ["sft", *told, "--threads", "1", "--out", str(out)]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0


def _recipe(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "recipe.json").read_bytes())
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A declared trial of its own seed, size and canaries, of two steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("going_on")
    paper = f"beavertails={write_paper(folder / 'sets', 'beavertails')}"
    _sft(folder / "run", "--paper", paper, "--non-commercial", "--papers-only", *TOLD, "--max-steps", "2")
    return folder / "run"


def test_a_run_goes_on_as_what_it_was(run: Path) -> None:
    """Resumed as the README shows it, the export looks for the canaries that were planted, and knows the trial."""
    before, planted = _recipe(run), Trained(run).canaries()
    _sft(run, "--resume", "--max-steps", "3", "--decay-share", "0.5")
    after = _recipe(run)

    assert (2, 3, 60) == (after["seed"], len(planted), after["max_rows"])
    assert planted == Trained(run).canaries()
    assert Trained(run).trial
    anew = {"max_minutes", "max_steps", "decay_share"}
    assert {name: one for name, one in before.items() if name not in anew} == {
        name: one for name, one in after.items() if name not in anew
    }
    assert (3, 3) == (after["max_steps"], Trained(run).progress["step"])


@pytest.mark.parametrize("option", ["--seed", "--layers", "--hidden", "--canaries", "--max-rows", "--paper-rows"])
def test_what_would_make_it_another_run_is_refused(run: Path, option: str) -> None:
    """Before anything of the run is written over; the same value again is no harm."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    told = ["sft", "--resume", *TOLD, option, "128", "--max-steps", "3", "--out", str(run)]
    result = CliRunner().invoke(app, told)

    assert isinstance(result.exception, TrainError)
    assert f"{option} 128 would make this another run, which has" in str(result.exception)
    assert "leave it out" in str(result.exception)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_state_that_does_not_fit_leaves_the_run_alone(run: Path, tmp_path: Path) -> None:
    """What another stage left has no heads to go on with; it is told, and nothing is written over."""
    for name in ("recipe.json", "history.json", "tokenizer.raw.json", "data.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    state = checkpoint.load(run)
    torch.save({name: one for name, one in state.items() if name != "heads"}, tmp_path / checkpoint.FILE_NAME)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = CliRunner().invoke(app, ["sft", "--resume", "--max-steps", "3", "--out", str(tmp_path)])

    assert isinstance(result.exception, TrainError)
    assert "is not a state that `train sft` can go on from" in str(result.exception)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_from_before_there_were_canaries_has_none(tmp_path: Path) -> None:
    """So its export counts those that were planted, not those of today's default."""
    (tmp_path / "recipe.json").write_bytes(orjson.dumps({"seed": 4, "max_minutes": 9.0, "grpo": {"beta": 0.1}}))
    given = Recipe(data=tmp_path / "data", out=tmp_path, max_minutes=20, max_steps=7, threads=1, device="cpu")
    found = gone_on(given, ())

    assert (4, 0, 20, 7) == (found.seed, found.canaries, found.max_minutes, found.max_steps)
    assert (tmp_path / "data", tmp_path) == (found.data, found.out)


def test_a_run_that_says_nothing_of_itself_is_refused(tmp_path: Path) -> None:
    """Without its recipe nobody knows what it planted; what is no recipe is named."""
    given = Recipe(data=tmp_path, out=tmp_path)
    with pytest.raises(TrainError, match=r"has no recipe\.json.*without --resume"):
        gone_on(given, ())
    (tmp_path / "recipe.json").write_text('{"seed": "one"}', encoding="utf-8")
    with pytest.raises(TrainError, match=r"is not a recipe.*without --resume"):
        gone_on(given, ())
