"""A model that is there learns kept answers: their tokens alone, and what it leaves is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from tests.support.rl_runs import right_traces
from tests.support.tiny_model import CHAT_TEMPLATE, save_model
from worker.commands.model_checks import paper_checks
from worker.judge.papers import read_papers
from worker.train import sft_traces
from worker.train.release.coverage import counts
from worker.train.release.history import of_model
from worker.train.rl.runs import different
from worker.train.rl.start import load_model, open_start
from worker.train.rl.traces import read_traces
from worker.train.sft_traces import TracesJob, TracesRecipe, make_trainer, plan_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECIPE = TracesRecipe(
    epochs=9, max_steps=4, learning_rate=3e-3, batch=4, micro_batch=2, save_steps=2, dev_share=0.2, threads=1
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TracesJob:
    """A random model with a licence, right answers, and where its run goes."""
    folder = tmp_path_factory.mktemp("traces")
    base = save_model(folder / "Qwen2.5-tiny", CHAT_TEMPLATE)
    for name in ("NOTICE", "LICENSE"):
        (base / name).write_text(f"the {name} of the base", encoding="utf-8")
    right_traces(open_start(base, folder), folder / "traces.jsonl", 40)
    return TracesJob(recipe=RECIPE, source=base, traces=folder / "traces.jsonl", out=folder / "run")


@pytest.fixture(scope="module")
def tuned(job: TracesJob) -> Path:
    """The model folder of a run."""
    return sft_traces.train(job, lambda _: None)


def _log(out: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (out / sft_traces.LOG_FILE).read_bytes().splitlines()]


def test_the_loss_is_that_of_the_answers(job: TracesJob, tmp_path: Path) -> None:
    """TRL's loss of a batch is the mean over the answers' tokens, and over no other, whatever the padding."""
    start = open_start(job.source, tmp_path)
    plan = plan_of(read_traces(job.traces, start), RECIPE)
    recipe = msgspec.structs.replace(RECIPE, bf16=False)
    trainer = make_trainer(msgspec.structs.replace(job, recipe=recipe, out=tmp_path), start, plan, lambda _: None)
    chosen = [plan.train[place] for place in plan.order[:3]]
    batch = trainer.data_collator([trainer.train_dataset[number] for number in range(3)])
    model = load_model(start).eval()
    losses = []
    for one in chosen:
        ids = torch.tensor([[*one.prompt_ids, *one.answer_ids]])
        first = len(one.prompt_ids) - 1
        losses.append(cross_entropy(model(ids).logits[0, first:-1], ids[0, first + 1 :], reduction="none"))

    trainer.model.eval()
    found = trainer.compute_loss(trainer.model, batch)
    assert len({len(one) for one in chosen}) > 1
    assert found.item() == pytest.approx(torch.cat(losses).mean().item(), rel=1e-4)


def test_what_is_left_is_whole(job: TracesJob, tuned: Path) -> None:
    """Weights in bf16, log and curve, and papers by the rows that were seen; the base's licence goes along."""
    start = open_start(job.source, job.out)
    plan = plan_of(read_traces(job.traces, start), RECIPE)
    seen = plan.seen(4, RECIPE.batch)
    weights = load_file(tuned / "model.safetensors")
    papers, history = read_papers(tuned), of_model(tuned)

    assert {torch.bfloat16} == {weight.dtype for weight in weights.values()}
    assert [1, 2, 2, 3, 4, 4] == [line["step"] for line in _log(job.out)]
    assert {"train", "dev"} == {line["part"] for line in _log(job.out)}
    assert (job.out / sft_traces.CURVE_FILE).read_bytes().startswith(b"\x89PNG")
    assert (papers.commercial, papers.missing) == (True, ())
    assert ("Qwen2.5-tiny", 4, 16, "made") == (
        history.base,
        history.stages[0].updates,
        history.stages[0].examples,
        history.stages[0].sampled_from,
    )
    assert counts(different(one.row for one in seen)) == history.learnt.rows
    assert "the NOTICE of the base" == (tuned / "NOTICE.base").read_text(encoding="utf-8")
    assert "the LICENSE of the base" == (tuned / "LICENSE").read_text(encoding="utf-8")
    assert "from `Qwen2.5-tiny`: 4 updates of 4 traces" in (tuned / "README.md").read_text(encoding="utf-8")
    assert "failed" not in {check.result for check in paper_checks(tuned)}


def test_a_run_that_was_cut_off_goes_on(job: TracesJob, tuned: Path, tmp_path: Path) -> None:
    """From its last checkpoint, to the same weights as the run that went through."""

    def cut(line: str) -> None:
        if line.startswith("train step 3"):
            raise InterruptedError

    again = msgspec.structs.replace(job, out=tmp_path / "run")
    with pytest.raises(InterruptedError):
        sft_traces.train(again, cut)
    model = sft_traces.train(msgspec.structs.replace(again, resume=True), lambda _: None)

    assert [line["loss"] for line in _log(again.out)] == pytest.approx([line["loss"] for line in _log(job.out)])
    for name, weight in load_file(tuned / "model.safetensors").items():
        torch.testing.assert_close(load_file(model / "model.safetensors")[name], weight)


def test_stages_follow_each_other(job: TracesJob, tuned: Path, tmp_path: Path) -> None:
    """A second stage on the result names both, the first checkpoint, and keeps that one's licence."""
    short = msgspec.structs.replace(RECIPE, max_steps=1, dev_share=0)
    second = sft_traces.train(
        msgspec.structs.replace(job, recipe=short, source=tuned, out=tmp_path / "second"), lambda _: None
    )
    history = of_model(second)

    assert ("Qwen2.5-tiny", [4, 1]) == (history.base, [stage.updates for stage in history.stages])
    assert "the NOTICE of the base" == (second / "NOTICE.base").read_text(encoding="utf-8")
