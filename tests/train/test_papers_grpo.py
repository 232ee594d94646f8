"""Reinforced alignment on rows in the formats of the paper's sets, from files to a marked model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import orjson
import pytest
import torch

from tests.support.paper_rows import write_paper
from tests.support.rl_runs import small_recipe
from tests.support.train_rows import some_ready, some_recipe, some_tokenizer
from worker.errors import TrainError
from worker.judge.papers import COMMERCIAL
from worker.train.data.reads import Reads, reads_of
from worker.train.rl.align import align
from worker.train.rl.grpo import Job
from worker.train.sft import TOKENIZER_FILE, Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def _start(folder: Path) -> Path:
    """Make a run of two steps to start from; what it is worth does not matter here."""
    torch.set_num_threads(1)
    recipe, ready = some_recipe(folder, max_steps=2), some_ready()
    tokenizer = some_tokenizer(ready)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    (folder / "recipe.json").write_bytes(orjson.dumps({"seed": recipe.seed}))
    Run(recipe, ready, tokenizer, lambda _: None).train()
    return folder


def test_rows_of_the_paper_align_a_model(tmp_path: Path) -> None:
    """A card stands in the run, and the model names what it and its start were trained on."""
    papers: dict[str, Path | None] = {"beavertails": write_paper(tmp_path, "beavertails", 500)}
    reads = Reads(papers=papers, commercial_only=False, papers_only=True)
    recipe = small_recipe(prompts=8, prompts_per_step=4, max_steps=1, eval_prompts=0, max_prompt_tokens=1000)
    job = Job(recipe=recipe, source=_start(tmp_path / "run"), out=tmp_path / "rl")
    model = align(job, tmp_path, reads, lambda _: None)

    assert "BeaverTails forbid it" in (tmp_path / "rl" / "data.md").read_text(encoding="utf-8")
    assert orjson.loads((model / "config.json").read_bytes())[COMMERCIAL] is False
    notice = (model / "NOTICE").read_text(encoding="utf-8")
    assert "must not be used commercially: BeaverTails" in notice
    assert "ConvAbuse" in notice
    told = reads_of(orjson.loads((tmp_path / "rl" / "recipe.json").read_bytes()))
    again = Job(recipe=recipe, source=job.source, out=job.out, resume=True)
    more = papers | {"or_bench_toxic": write_paper(tmp_path, "or_bench_toxic", 9)}
    other = Reads(papers=more, commercial_only=False)
    with pytest.raises(TrainError, match="the run read beavertails, not beavertails, or_bench_toxic; give the same"):
        align(again, tmp_path, msgspec.structs.replace(other, papers_only=True), lambda _: None)
    assert (set(told.papers), told.commercial_only, told.papers_only) == ({"beavertails"}, False, False)
