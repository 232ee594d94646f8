"""Answers that the reward accepts are kept, as training examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.rl_runs import small_recipe, small_rows
from tests.support.train_rows import some_rows
from worker.errors import TrainError
from worker.policy.model import EffectiveCategory, Panel
from worker.train.release.export import Trained
from worker.train.release.history import of_run
from worker.train.rl.problems import Problem
from worker.train.rl.sampling import best, collect
from worker.train.rl.start import Start, open_start
from worker.train.rl.traces import read_traces, trace_of
from worker.train.sft_traces import IGNORED, TracesJob, TracesRecipe, columns, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def start(sft_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """The small network as a model folder."""
    return open_start(sft_folder, tmp_path_factory.mktemp("start"))


def _answers(start: Start, problem: Problem, texts: Sequence[str]) -> list[list[int]]:
    """Tokenise answers in the small models' format: what stands for the reasoning, and the verdict."""
    close, end = (start.tokens.control_ids[name] for name in (start.template.think_close, start.template.end))
    verdict = f"\\boxed{{{problem.expected}}}" + (" " + ", ".join(problem.cited) if problem.cited else "")
    return [[*start.tokens.text_ids(text), close, *start.tokens.text_ids(verdict), end] for text in texts]


async def test_traces_of_a_model(sft_folder: Path, start: Start, tmp_path: Path) -> None:
    """Each kept answer follows its own prompt, is right, and is a target where the prompt is not."""
    recipe, said = small_recipe(prompts=24), list[str]()
    found = await collect(recipe, sft_folder, small_rows(), tmp_path / "traces.jsonl", said.append)
    read = read_traces(tmp_path / "traces.jsonl", start)
    made = columns(read.kept)

    assert 24 == found.asked
    assert 0 < found.kept == len(read.kept)
    assert (sft_folder.name, "small-cpu") == (read.head.model, read.head.recipe)
    assert {one.place for one in read.kept} <= {sample.row.place for sample in small_rows().train}
    assert [f"24/24 prompts, {found.kept} kept"] == said
    end = start.tokens.control_ids[start.template.end]
    for ids, labels in zip(made["input_ids"], made["labels"], strict=True):
        prompt = labels.count(IGNORED)
        assert [IGNORED] * prompt + ids[prompt:] == labels
        assert end == ids[-1]
        assert end not in ids[prompt:-1]


async def test_a_run_learns_its_own_answers(sft_folder: Path, tmp_path: Path) -> None:
    """What a run of `train sft` wrote it learns as a run, which goes on to be exported or reinforced."""
    await collect(small_recipe(prompts=24), sft_folder, small_rows(), tmp_path / "traces.jsonl", lambda _: None)
    recipe = TracesRecipe(epochs=9, max_steps=2, batch=4, micro_batch=4, dev_share=0, threads=1)
    out = tmp_path / "tuned"
    train(TracesJob(recipe=recipe, source=sft_folder, traces=tmp_path / "traces.jsonl", out=out), lambda _: None)

    assert Trained(sft_folder).progress["step"] + 2 == Trained(out).progress["step"]
    assert [("traces", 2)] == [(stage.kind, stage.updates) for stage in of_run(out).stages]
    assert open_start(out, tmp_path / "next").run == out


def _problem() -> Problem:
    category = EffectiveCategory(scope="t", id="U7", name="Hate")
    return Problem(
        ids=(1, 2),
        panel=Panel(categories=(category,)),
        expected="unsafe",
        cited=("U7",),
        benign=False,
        row=some_rows(1)[0],
    )


def test_the_shortest_accepted_answer_is_kept(start: Start) -> None:
    """Contradictory and cut answers are not; where none is accepted, nothing is kept."""
    problem, recipe = _problem(), small_recipe()
    long, short, wrong = _answers(start, problem, ("U7 met by it; so unsafe.", "so unsafe.", "so safe."))

    kept = best(problem, [wrong, long, short, short[:-1]], start, recipe)
    assert trace_of(problem, short) == kept
    assert kept is not None
    assert ((1, 2), tuple(short), "unsafe", "davidson") == (
        kept.prompt_ids,
        kept.answer_ids,
        kept.expected,
        kept.row.source,
    )
    assert best(problem, [wrong, long[:-1]], start, recipe) is None


def test_other_files_are_refused(start: Start, tmp_path: Path) -> None:
    """A file that holds something else is named."""
    (tmp_path / "other.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    with pytest.raises(TrainError, match=r"other\.jsonl is not a file of traces"):
        read_traces(tmp_path / "other.jsonl", start)
