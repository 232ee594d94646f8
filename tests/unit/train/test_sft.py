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
from worker.train.sft import PLATEAU_FILE, TOKENIZER_FILE, Run, device_of, going_on, latest, start_embeddings

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


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Stopped in the middle and resumed, dropout and all, a run has the weights of one that ran through.

    What follows the clock (the end of the language-model part, the decay) is left out.
    """
    same = {"decay_share": 0.0, "lm_share": 0.0}
    whole = _run(tmp_path / "whole", 8, **same)
    whole.train()
    part = _run(tmp_path / "part", 8, **same)
    for _, batch in zip(range(4), part._stream(), strict=False):
        part.step(batch)
    part.save()
    rest = _run(tmp_path / "part", 8, **same)
    rest.resume(checkpoint.load(tmp_path / "part"))
    rest.train()
    for one, other in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_rate_rises_stays_and_falls(tmp_path: Path) -> None:
    """The learning rate warms up, stays at its peak, and ends near nothing."""
    run = _run(tmp_path, 100, decay_share=0.3)
    rates = []
    for step in (0, 40, 69, 85, 100):
        run.progress.step = step
        rates.append(run.rate() / run.recipe.peak_rate)
    assert rates[0] < 0.1
    assert pytest.approx((1.0, 1.0)) == (rates[1], rates[2])
    assert 0.4 < rates[3] < 0.6
    assert rates[4] == pytest.approx(0.04)


def test_a_finished_run_goes_on_from_before_its_decay(tmp_path: Path) -> None:
    """The state before the decay is kept, and more minutes are counted from there."""
    _run(tmp_path, 10, decay_share=0.5).train()
    state = checkpoint.load(tmp_path / PLATEAU_FILE)
    assert 6 == state["progress"]["step"]
    assert 10 == checkpoint.load(tmp_path)["progress"]["step"]
    recipe = some_recipe(tmp_path, max_minutes=20.0, decay_share=1.0)
    state["progress"]["elapsed_s"] = 600.0
    longer = going_on(recipe, state)
    assert pytest.approx((30.0, 2 / 3)) == (longer.max_minutes, longer.decay_share)


def test_a_run_that_went_on_from_its_plateau_goes_on_from_there(tmp_path: Path) -> None:
    """The plateau is old once the run has left it; what came after it is not thrown away."""
    _run(tmp_path, 10, decay_share=0.5).train()
    assert 6 == latest(tmp_path)["progress"]["step"]
    longer = _run(tmp_path, 40, decay_share=0.5)
    longer.resume(latest(tmp_path))
    for _, batch in zip(range(3), longer._stream(), strict=False):
        longer.step(batch)
    longer.save()
    assert 9 == latest(tmp_path)["progress"]["step"]


def test_embeddings_start_from_counts(tmp_path: Path) -> None:
    """Tokens of the rows start from what they stand beside; the scale is the recipe's."""
    run = _run(tmp_path, 2, embedding_scale=0.1)
    before = run.model.get_input_embeddings().weight.detach().clone()
    start_embeddings(run)
    after = run.model.get_input_embeddings().weight.detach()
    assert not torch.equal(before, after)
    assert after.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.3)


def test_no_accelerator_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for an accelerator where there is none is an error; auto takes the processor."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ("cpu", "cpu") == (device_of("auto"), device_of("cpu"))
    with pytest.raises(TrainError, match="--device"):
        device_of("cuda")


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
