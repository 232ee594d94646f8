"""Answers that the reward accepts are kept, as training examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.rl_runs import small_recipe, small_rows
from tests.support.train_rows import some_rows
from worker.errors import TrainError
from worker.policy.model import EffectiveCategory, Panel
from worker.train.rl.problems import Problem
from worker.train.rl.sampling import Trace, best, collect, read_traces
from worker.train.rl.start import Start, open_start

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
    examples = list(read_traces(tmp_path / "traces.jsonl"))

    assert 24 == found.asked
    assert 0 < found.kept == len(examples)
    assert [f"24/24 prompts, {found.kept} kept"] == said
    end = start.tokens.control_ids[start.template.end]
    for example in examples:
        prompt = list(example.weights).count(0.0)
        assert [0.0] * prompt + [1.0] * (len(example.ids) - prompt) == list(example.weights)
        assert end == example.ids[-1]
        assert end not in example.ids[prompt:-1]


def _problem() -> Problem:
    category = EffectiveCategory(scope="t", id="U7", name="Hate")
    panel, row = Panel(categories=(category,)), some_rows(1)[0]
    return Problem(ids=(1, 2), panel=panel, expected="unsafe", cited=("U7",), benign=False, row=row)


def test_the_shortest_accepted_answer_is_kept(start: Start) -> None:
    """Contradictory and cut answers are not; where none is accepted, nothing is kept."""
    problem, recipe = _problem(), small_recipe()
    long, short, wrong = _answers(start, problem, ("U7 met by it; so unsafe.", "so unsafe.", "so safe."))

    kept = best(problem, [wrong, long, short, short[:-1]], start, recipe)
    assert Trace(prompt_ids=problem.ids, answer_ids=tuple(short), expected="unsafe") == kept
    assert best(problem, [wrong, long[:-1]], start, recipe) is None


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that holds something else is named."""
    (tmp_path / "other.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    with pytest.raises(TrainError, match=r"other\.jsonl is not a file of traces"):
        list(read_traces(tmp_path / "other.jsonl"))
