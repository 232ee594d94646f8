"""From rows to an aligned model within minutes: supervised training, then GRPO, along a pinned trajectory.

After a change that is meant to move the trajectory: ``REPIN=1 make train-smoke`` writes it again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import torch
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from tests.support.rl_runs import SFT_STEPS, small_recipe, small_rows
from worker.commands.model_checks import paper_checks
from worker.config import Settings
from worker.errors import TrainError
from worker.judge.folder import find_model
from worker.judge.papers import read_papers
from worker.judge.template import load_template
from worker.judge.tokens import Tokens
from worker.train.model import checkpoint
from worker.train.release.coverage import counts
from worker.train.release.export import Trained, document, export
from worker.train.release.history import learnt, of_model, of_run
from worker.train.rl import grpo
from worker.train.rl.problems import Asker, problems
from worker.train.rl.recipes import GrpoRecipe
from worker.train.rl.runs import Say
from worker.train.rl.start import open_start
from worker.train.sft import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PINNED: Final = Path(__file__).with_name("trajectory.json")
#: Other processors round otherwise: losses by little, sampled rewards by a few answers.
LOSS_TOLERANCE: Final = 0.05
REWARD_TOLERANCE: Final = 0.2
LOGGED: Final = {
    "reward",
    "accuracy",
    "format",
    "groups_without_variance",
    "entropy",
    "kl",
    "completion_tokens",
    "cut_share",
    "clip_ratio",
}
Align = Callable[..., Path]


@pytest.fixture(scope="session")
def align(sft_folder: Path) -> Align:
    """Run GRPO from the small network into a folder."""

    def run(out: Path, *, resume: bool = False, say: Say = lambda _: None, **changes: Any) -> Path:
        job = grpo.Job(recipe=small_recipe(**changes), source=sft_folder, out=out, resume=resume)
        return grpo.train(job, small_rows(), say)

    return run


@pytest.fixture(scope="session")
def aligned(align: Align, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of GRPO."""
    out = tmp_path_factory.mktemp("grpo") / "run"
    align(out)
    return out


def _log(out: Path, part: str = "train") -> list[dict[str, Any]]:
    lines = [orjson.loads(line) for line in (out / grpo.LOG_FILE).read_bytes().splitlines()]
    return [line for line in lines if line["part"] == part]


def test_the_trajectory_is_the_pinned_one(sft: Run, aligned: Path) -> None:
    """The same seed gives the same losses, and nearly the same rewards, as when it was pinned."""
    found = {
        "losses": [round(loss, 3) for loss in sft.losses[: SFT_STEPS // 3 : 10]],
        "rewards": [round(line["reward"], 3) for line in _log(aligned)[:3]],
    }
    if os.environ.get("REPIN"):
        PINNED.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    pinned = orjson.loads(PINNED.read_bytes())

    assert found["losses"] == pytest.approx(pinned["losses"], rel=LOSS_TOLERANCE)
    assert found["rewards"] == pytest.approx(pinned["rewards"], abs=REWARD_TOLERANCE)


def test_the_log_says_what_happened(aligned: Path) -> None:
    """Each update has reward, variance, entropy, KL and lengths; dev rows have false positives; a curve is drawn."""
    steps, checks = _log(aligned), _log(aligned, "dev")

    assert list(range(1, 7)) == [line["step"] for line in steps]
    assert all(LOGGED <= line.keys() for line in steps)
    assert [3, 6] == [line["step"] for line in checks]
    assert all({"accuracy", "false_positives", "false_negatives"} <= line.keys() for line in checks)
    assert any(line["reward"] > 0 for line in steps)
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-3)
    assert steps[-1]["kl"] > 0
    assert (aligned / grpo.CURVE_FILE).read_bytes().startswith(b"\x89PNG")


def test_what_is_left_can_be_served_and_exported(aligned: Path, sft_folder: Path, tmp_path: Path) -> None:
    """The model folder is whole, the run's folder is a supervised run's, and both hold other weights than before."""
    folder = find_model(Settings(model=str(aligned / "model")))
    Tokens(folder, load_template(folder))
    served = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    trained = Trained(aligned)
    export(trained, tmp_path / "model")

    weights = dict(trained.model.named_parameters())
    before = checkpoint.load(sft_folder)["model"]
    assert any(not torch.equal(weight, before[name]) for name, weight in weights.items())
    assert all(torch.allclose(weights[name], weight, atol=1e-2) for name, weight in served.named_parameters())
    assert SFT_STEPS + 6 == trained.progress["step"]
    assert "small-cpu" == trained.recipe()["grpo"]["name"]
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_what_is_left_has_its_papers(aligned: Path, sft_folder: Path, tmp_path: Path) -> None:
    """Licences, coverage, card and mark stand beside the result, and an export's card names the same updates."""
    folder, trained = aligned / "model", Trained(aligned)
    export(trained, tmp_path / "model")
    document(trained, tmp_path / "model", {}, learnt([sample.row for sample in small_rows().train]))
    cards = [(where / "README.md").read_text(encoding="utf-8") for where in (folder, tmp_path / "model")]
    found = {check.name: check.result for check in paper_checks(folder)}

    assert read_papers(folder).commercial is True
    assert ("ok", "ok", "warning") == tuple(found[f"model {name}"] for name in ("licence", "digits", "extraction"))
    assert "Davidson" in (folder / "NOTICE").read_text(encoding="utf-8")
    for card in cards:
        assert f"small-cpu` from `{sft_folder.name}`: 6 updates of 8 prompts by 4 answers" in card
    assert "trained from scratch and then on" in cards[0]
    assert "`rsafe train sft --max-minutes" in cards[1]


def test_the_papers_count_what_was_asked(align: Align, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all prompts that were drawn those of the updates, across a resumed run as well."""
    places: set[str] = set()
    rollout = grpo.Desk.rollout

    def noted(desk: grpo.Desk, keys: list[str], trainer: Any) -> dict[str, Any]:
        places.update(desk._problems[key].row.place for key in keys)
        return rollout(desk, keys, trainer)

    monkeypatch.setattr(grpo.Desk, "rollout", noted)
    align(tmp_path, max_steps=2, eval_prompts=0, save_steps=1)
    align(tmp_path, max_steps=3, eval_prompts=0, save_steps=1, resume=True)
    history = of_model(tmp_path / "model")

    assert of_run(tmp_path) == history
    assert (3, 3 * 8, len(places)) == (
        history.stages[0].updates,
        history.stages[0].examples,
        history.stages[0].rows,
    )
    rows = [sample.row for sample in small_rows().train if sample.row.place in places]
    assert counts(rows) == history.learnt.rows


def test_a_resumed_run_is_the_one_that_never_stopped(align: Align, tmp_path: Path) -> None:
    """Stopped after two updates and resumed, the next two are those of the run that went through."""
    fixed: dict[str, Any] = {"eval_prompts": 0, "save_steps": 2}
    align(tmp_path / "whole", max_steps=4, **fixed)
    align(tmp_path / "parts", max_steps=2, **fixed)
    align(tmp_path / "parts", max_steps=4, resume=True, **fixed)

    whole, parts = _log(tmp_path / "whole"), _log(tmp_path / "parts")
    assert [1, 2, 3, 4] == [line["step"] for line in parts]
    for name in ("reward", "completion_tokens", "entropy", "loss"):
        assert [line[name] for line in parts] == pytest.approx([line[name] for line in whole], abs=1e-6)


def test_a_run_ends_at_the_first_of_epochs_and_updates(align: Align, tmp_path: Path) -> None:
    """More updates than the epochs have are not taken; without a number the epochs alone say it."""
    fixed: dict[str, Any] = {"eval_prompts": 0, "prompts": 16, "max_response_tokens": 4}
    align(tmp_path / "capped", max_steps=7, epochs=1.0, **fixed)
    align(tmp_path / "whole", max_steps=0, epochs=1.0, **fixed)

    assert [1, 2] == [line["step"] for line in _log(tmp_path / "capped")]
    assert [1, 2] == [line["step"] for line in _log(tmp_path / "whole")]
    most = {
        (epochs, steps): grpo.settings(small_recipe(epochs=epochs, max_steps=steps), tmp_path, evaluate=False).max_steps
        for epochs, steps in ((3.0, 24), (3.0, 25), (0.5, 9), (0.3, 9), (3.0, 5), (3.0, 0))
    }
    assert {(3.0, 24): 24, (3.0, 25): 24, (0.5, 9): 4, (0.3, 9): 3, (3.0, 5): 5, (3.0, 0): -1} == most


def test_there_must_be_something_to_resume(align: Align, tmp_path: Path) -> None:
    """Resuming from nothing is refused with the cure."""
    with pytest.raises(TrainError, match="without --resume"):
        align(tmp_path / "none", resume=True)


def test_a_reward_that_raises_stops_the_run(align: Align, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing swallows the error, and no checkpoint is written after it."""

    def broken(*_args: object, **_named: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(grpo, "score", broken)
    with pytest.raises(TrainError, match=r"the reward failed \(ZeroDivisionError"):
        align(tmp_path / "broken", max_steps=2)
    assert not (tmp_path / "broken" / "model").exists()


def test_verdicts_without_reasoning(align: Align, tmp_path: Path) -> None:
    """The same run rewards a verdict at once; its answers are a few tokens long."""
    align(tmp_path / "direct", max_steps=2, reasoning=False, max_response_tokens=12, eval_prompts=0)

    assert all(line["completion_tokens"] <= 12 for line in _log(tmp_path / "direct"))
    assert any(line["format"] > 0 for line in _log(tmp_path / "direct"))


@pytest.mark.parametrize("bonus", [0.0, 0.5])
def test_sharing_prompts_changes_no_number(
    sft_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bonus: float
) -> None:
    """Loss, entropy and gradient of an update are those that TRL computes itself, with a bonus for entropy, too."""
    recipe = small_recipe(max_steps=1, eval_prompts=0, bf16=False, entropy_coef=bonus)
    shared = _first_update(sft_folder, tmp_path / "shared", recipe)
    theirs = GRPOTrainer._get_per_token_logps_and_entropies
    monkeypatch.setattr(grpo.Trainer, "_get_per_token_logps_and_entropies", theirs)
    alone = _first_update(sft_folder, tmp_path / "alone", recipe)

    for name in ("reward", "loss", "entropy", "grad_norm"):
        assert shared[name] == pytest.approx(alone[name], rel=0.01, abs=1e-4)


def _first_update(source: Path, out: Path, recipe: GrpoRecipe) -> dict[str, Any]:
    grpo.train(grpo.Job(recipe=recipe, source=source, out=out), small_rows(), lambda _: None)
    return _log(out)[0]


def test_the_same_seed_draws_the_same_prompts(sft_folder: Path, tmp_path: Path) -> None:
    """Prompts come from seed and rows alone."""
    start = open_start(sft_folder, tmp_path)
    rows, recipe = small_rows(), small_recipe()
    asker = Asker(start.tokens, start.template, reasoning=True)
    drawn = [
        [one.ids for one in problems(rows.train, rows.sets, asker, recipe, 16, random.Random(seed))]
        for seed in (1, 1, 2)
    ]

    assert drawn[0] == drawn[1] != drawn[2]
