"""The 7B recipe without its weights: the same command, on the same architecture shrunk and random, to a verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import pytest
from safetensors.torch import load_file

from tests.support.rl_runs import right_traces, write_rows
from tests.support.source_tree import ROOT
from tests.support.tiny_model import CHAT_TEMPLATE, save_model
from worker.judge.papers import read_papers
from worker.train.release.history import of_model
from worker.train.rl.recipes import GrpoRecipe, load_recipe
from worker.train.rl.start import open_start
from worker.train.rl.traces import read_traces

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1800)]

#: What is shrunk of ``paper-7b``; the rest stays as it is, the vLLM rollouts with it.
SHRUNK: Final[dict[str, Any]] = {
    "prompts": 8,
    "prompts_per_step": 2,
    "micro_batch": 4,
    "max_prompt_tokens": 900,
    "max_response_tokens": 24,
    "learning_rate": 1e-4,
    "eval_prompts": 4,
    "eval_steps": 2,
    "save_steps": 2,
    "threads": 1,
}


def _rsafe(*arguments: object) -> str:
    command = [sys.executable, "-m", "worker", *map(str, arguments)]
    env = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _toml(recipe: GrpoRecipe, path: Path) -> Path:
    fields = msgspec.to_builtins(recipe)
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items()), encoding="utf-8")
    return path


#: Enough updates for a random model to write the format most of the time, in half a minute.
LEARNT: Final = (
    "epochs = 99.0\nmax_steps = 60\nlearning_rate = 3e-3\nbatch = 8\nmicro_batch = 8\nsave_steps = 20\nthreads = 1\n"
)


@pytest.mark.long
def test_from_traces_to_reinforced_alignment(tmp_path: Path) -> None:
    """Traces, supervised training, sampling from what came out, and alignment of it: one chain of model folders.

    A random model earns no trace, so the first file is written by us; then the model writes its own. Rollouts are the
    model's own, for those of the engine are in the other test.
    """
    base = save_model(tmp_path / "Qwen2.5-tiny", CHAT_TEMPLATE)
    (base / "rsafe.toml").unlink()
    right_traces(open_start(base, tmp_path), tmp_path / "traces.jsonl", 48)
    (tmp_path / "learn.toml").write_text(LEARNT, encoding="utf-8")
    short: dict[str, Any] = {"rollout": "transformers", "prompts": 16, "prompts_per_step": 16, "micro_batch": 16}
    short |= {"max_response_tokens": 48, "max_steps": 1, "eval_prompts": 0}
    recipe = msgspec.structs.replace(load_recipe("paper-7b"), **(SHRUNK | short))
    told = ("--recipe", _toml(recipe, tmp_path / "shrunk.toml"), "--data", write_rows(tmp_path / "rows.jsonl"))

    tuning = ("--traces", tmp_path / "traces.jsonl", "--recipe", tmp_path / "learn.toml", "--out", tmp_path / "sft")
    assert "train step 60/60" in _rsafe("train", "sft", "--from", base, *tuning)
    tuned = tmp_path / "sft" / "model"
    assert "prompts have an accepted answer" in _rsafe(
        "train", "sample", "--from", tuned, *told, "--out", tmp_path / "own.jsonl"
    )
    assert read_traces(tmp_path / "own.jsonl", open_start(tuned, tmp_path)).kept
    assert "train step 1/1" in _rsafe("train", "grpo", "--from", tuned, *told, "--out", tmp_path / "rl")

    (line,) = (orjson.loads(line) for line in (tmp_path / "rl" / "grpo.jsonl").read_bytes().splitlines())
    assert line["reward"] > 0, "what supervised training taught is what alignment begins with"
    aligned = tmp_path / "rl" / "model"
    assert [("traces", 60), ("grpo", 1)] == [(stage.kind, stage.updates) for stage in of_model(aligned).stages]
    assert read_papers(aligned).missing == ()


@pytest.mark.long
def test_from_rows_to_a_verdict(tmp_path: Path) -> None:
    """Data, rollout, reward, update, checkpoint, resume, export, serve, judge: none needs more than a bigger model."""
    base = save_model(tmp_path / "Qwen2.5-tiny", CHAT_TEMPLATE)
    (base / "rsafe.toml").unlink()
    recipe = msgspec.structs.replace(load_recipe("paper-7b"), **SHRUNK)
    places = ("--from", base, "--data", write_rows(tmp_path / "rows.jsonl"), "--out", tmp_path / "run")
    told = (*places, "--recipe", _toml(recipe, tmp_path / "shrunk.toml"))

    assert "train step 2/2" in _rsafe("train", "grpo", *told, "--max-steps", 2)
    assert "train step 4/4" in _rsafe("train", "grpo", *told, "--max-steps", 4, "--resume")

    lines = [orjson.loads(line) for line in (tmp_path / "run" / "grpo.jsonl").read_bytes().splitlines()]
    steps = [line for line in lines if line["part"] == "train"]
    assert [1, 2, 3, 4] == [line["step"] for line in steps]
    assert all(line["grad_norm"] > 0 for line in steps), "the entropy bonus alone moves it: random answers earn nothing"
    model = tmp_path / "run" / "model"
    before, after = load_file(base / "model.safetensors"), load_file(model / "model.safetensors")
    assert read_papers(model).missing == ()
    assert any(not after[name].float().equal(weight.bfloat16().float()) for name, weight in before.items())

    options = ("--set", "reasoning_max_tokens=24", "--set", "max_num_seqs=4")
    printed = json.loads(_rsafe("judge", "--model", model, *options, "--json", "see you at the harbour"))
    assert printed["verdict"]["model"]["name"] == "model"
    assert printed["verdict"]["status"] in {"judged", "truncated", "unparseable", "contradictory"}
