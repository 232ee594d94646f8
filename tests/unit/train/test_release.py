"""From a run to a folder with all its papers: what is written fits together, and what must not leave does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from msgspec import structs
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from typer.testing import CliRunner

from tests.support.train_rows import some_ready, some_recipe, some_tokenizer
from worker.commands.model_checks import paper_checks
from worker.commands.train import app
from worker.errors import TrainError, UsageError
from worker.judge.papers import read_papers
from worker.train.model import checkpoint
from worker.train.recipe import Ready
from worker.train.release.canaries import make, plant
from worker.train.release.export import Trained, document, export, extract, measure
from worker.train.release.history import learnt
from worker.train.sft import TOKENIZER_FILE, Run

SEED = 1
CANARIES = 10


def _ready() -> Ready:
    """Return made-up rows with canaries in them."""
    ready = some_ready()
    rows = plant([sample.row for sample in ready.train], make(CANARIES, SEED), SEED)
    planted = tuple(structs.replace(sample, row=row) for sample, row in zip(ready.train, rows, strict=True))
    return structs.replace(ready, train=planted)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train for two steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    recipe, ready = some_recipe(folder, max_steps=2), _ready()
    tokenizer = some_tokenizer(ready)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    told = {"max_minutes": 5, "seed": SEED, "threads": 1, "canaries": CANARIES, "max_rows": 240}
    (folder / "recipe.json").write_bytes(orjson.dumps(told))
    Run(recipe, ready, tokenizer, lambda _: None).train()
    return Trained(folder)


def test_the_mean_of_states_of_one_run(trained: Trained, tmp_path: Path) -> None:
    """Each weight is the mean, the steps of all are named; another shape or tokenizer is refused."""
    other = tmp_path / "later"
    shutil.copytree(trained.folder, other)
    state = checkpoint.load(other)
    state["model"] = {name: weight + 1 for name, weight in state["model"].items()}
    state["progress"]["step"] = 7
    torch.save(state, other / checkpoint.FILE_NAME)

    mean = Trained(trained.folder, [other, other / checkpoint.FILE_NAME])

    assert (trained.averaged, mean.averaged) == ((2,), (2, 7, 7))
    for name, weight in trained.model.state_dict().items():
        torch.testing.assert_close(mean.model.state_dict()[name], weight + 2 / 3)
    (other / TOKENIZER_FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(TrainError, match="only states of one run can be averaged"):
        Trained(trained.folder, [other])
    refused = CliRunner().invoke(app, ["sft", "--out", str(tmp_path), "--average", str(other)]).exception
    assert isinstance(refused, UsageError)
    assert "give --export-only, too" in str(refused)


def test_a_whole_release(trained: Trained, tmp_path: Path) -> None:
    """Weights, coverage, card and NOTICE name one model; canaries and training texts stay in."""
    out, ready = tmp_path / "model", _ready()
    rows = [sample.row for sample in ready.train]
    export(trained, out)
    measured = measure(trained, ready, 40)
    document(trained, out, measured, learnt(rows), extract(out, rows, trained.canaries(), trial=trained.trial))

    papers, card = read_papers(out), (out / "README.md").read_text(encoding="utf-8")
    assert papers.coverage is not None
    assert {item.concept for item in papers.coverage.categories if item.train_rows} == {"hate", "civility"}
    assert not [item.concept for item in papers.coverage.categories if item.tested], "test rows are read by eval alone"
    assert list(measured) == ["dev"]
    assert papers.key in card
    assert f"secrets ({CANARIES // 2} x canary: words" in card
    assert "Hate Speech and Offensive Language" in (out / "NOTICE").read_text(encoding="utf-8")
    assert {check.name: check.result for check in paper_checks(out)} == {
        "model fingerprint": "ok",
        "model calibration": "warning",
        "model coverage": "warning",
        "model licence": "ok",
        "model digits": "ok",
        "model extraction": "warning",
    }
    assert "this run was declared a trial" in card
    with pytest.raises(TrainError, match=f"had {CANARIES} of 50 planted canaries and 4 of 200 training texts"):
        extract(out, rows, trained.canaries())


def test_numbers_in_the_vocabulary_stop_the_export(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written."""
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(["room 1984"] * 9, trainers.BpeTrainer(show_progress=False))
    monkeypatch.setattr(trained, "tokenizer", tokenizer)

    with pytest.raises(TrainError, match="two or more digits"):
        export(trained, tmp_path / "model")
    assert not (tmp_path / "model").exists()
