"""A training run learns, stops, goes on and can be served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from tests.support.train_rows import some_ready, some_recipe, some_tokenizer
from worker.commands.train import app
from worker.errors import TrainError
from worker.train.model import checkpoint
from worker.train.release.export import Trained, document, export, measure
from worker.train.sft import TOKENIZER_FILE, Run

STEPS = 24


def _run(folder: Path, steps: int, **changes: Any) -> Run:
    recipe = some_recipe(folder, max_steps=steps, **changes)
    ready = some_ready()
    tokenizer = some_tokenizer(ready)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    (folder / "recipe.json").write_bytes(orjson.dumps({"max_minutes": 5, "seed": recipe.seed, "threads": 1}))
    torch.set_num_threads(1)
    return Run(recipe, ready, tokenizer, lambda _: None)


def test_a_few_steps_lower_the_loss(tmp_path: Path) -> None:
    """The loss of the last steps is well below that of the first."""
    run = _run(tmp_path, STEPS)
    run.train()
    assert sum(run.losses[-4:]) < 0.8 * sum(run.losses[:4])


def test_resume_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A resumed run has the step, the weights and the next batch of the one that stopped."""
    first = _run(tmp_path, 6)
    first.train()
    second = _run(tmp_path, 9)
    second.resume(checkpoint.load(tmp_path))
    assert 6 == second.progress.step
    assert all(
        torch.equal(one, other) for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True)
    )
    second.train()
    assert 9 == second.progress.step
    assert 3 == len(second.losses)
    assert second.progress.nodes > first.progress.nodes


def test_same_seed_same_start(tmp_path: Path) -> None:
    """Two runs with one seed take the same first step."""
    losses = []
    for name in ("one", "other"):
        run = _run(tmp_path / name, 2)
        losses.append(run.step(next(run._stream())))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_exported_folder_is_whole(tmp_path: Path) -> None:
    """The folder has what serving reads, in bf16 with tied embeddings, and a card made from its figures."""
    _run(tmp_path / "run", 3).train()
    trained, out = Trained(tmp_path / "run"), tmp_path / "model"
    export(trained, out)
    document(trained, out, measure(trained, some_ready(), 6))
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "rsafe.toml"} < names
    with safe_open(out / "model.safetensors", "pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118 - not a mapping
        assert torch.bfloat16 == file.get_tensor("model.embed_tokens.weight").dtype
    facts = orjson.loads((out / "metrics.json").read_bytes())
    assert f"{facts['parameters']:,} parameters" in (out / "README.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in (out / "NOTICE").read_text(encoding="utf-8")


def test_export_needs_a_run(tmp_path: Path) -> None:
    """A folder without a checkpoint is refused with the cure."""
    with pytest.raises(TrainError, match="--out"):
        Trained(tmp_path)


def test_help_has_an_example() -> None:
    """The command says how it is used."""
    result = CliRunner().invoke(app, ["sft", "--help"])
    assert 0 == result.exit_code
    assert "Example" in result.output
