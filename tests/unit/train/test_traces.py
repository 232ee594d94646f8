"""Kept answers: what their file says of itself, what is learnt of them and in which order, and who may learn them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.support.rl_runs import right_traces
from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, save_tokenizer
from worker.commands.train import app
from worker.errors import TrainError, UsageError
from worker.train.rl.start import Start, open_start
from worker.train.rl.traces import Trace, read_traces
from worker.train.sft_traces import IGNORED, TracesRecipe, columns, load_traces_recipe, plan_of, settings


def _start(folder: Path, template: Path = CHAT_TEMPLATE) -> Start:
    save_tokenizer(folder, template)
    return open_start(folder, folder)


def test_only_the_answer_is_learnt(tmp_path: Path) -> None:
    """Every token of the prompt has a label that counts for nothing; the answer's have their own, the end included."""
    start = _start(tmp_path / "model")
    kept = right_traces(start, tmp_path / "traces.jsonl", 8)
    read = read_traces(tmp_path / "traces.jsonl", start)
    made = columns(read.kept)

    assert list(read.kept) == kept
    for trace, ids, labels in zip(kept, made["input_ids"], made["labels"], strict=True):
        assert [*trace.prompt_ids, *trace.answer_ids] == ids
        assert [IGNORED] * len(trace.prompt_ids) + list(trace.answer_ids) == labels
        learnt = start.tokens.decode(label for label in labels if label != IGNORED)
        assert learnt.startswith(f"so {trace.expected}.</think>\n\\boxed{{{trace.expected}}}")
        assert learnt.endswith(start.template.end)
        assert start.tokens.decode(ids).count("END OF CONVERSATION") == 1


def test_answers_of_another_model_are_refused(tmp_path: Path) -> None:
    """Their token ids would mean something else: another template, or another tokenizer."""
    start = _start(tmp_path / "model")
    right_traces(start, tmp_path / "traces.jsonl", 4)
    (tmp_path / "empty.jsonl").write_bytes(b"")

    with pytest.raises(TrainError, match=r"was sampled from made, whose tokenizer or template is not that of"):
        read_traces(tmp_path / "traces.jsonl", _start(tmp_path / "other", DEMO_TEMPLATE))
    tokenizer = tmp_path / "model" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(TrainError, match="its token ids mean something else there"):
        read_traces(tmp_path / "traces.jsonl", start)
    with pytest.raises(TrainError, match=r"empty\.jsonl is not a file of traces"):
        read_traces(tmp_path / "empty.jsonl", start)
    with pytest.raises(TrainError, match="cannot be read"):
        read_traces(tmp_path / "none.jsonl", start)


def _places(traces: list[Trace] | tuple[Trace, ...]) -> set[str]:
    return {one.place for one in traces}


def test_the_order_of_all_epochs(tmp_path: Path) -> None:
    """Each epoch has every trace once, in another order; rows that are kept back are in none, nor are long ones."""
    start = _start(tmp_path / "model")
    kept = right_traces(start, tmp_path / "traces.jsonl", 40)
    read = read_traces(tmp_path / "traces.jsonl", start)
    plan = plan_of(read, TracesRecipe(epochs=2.5, batch=8, dev_share=0.2))
    count = len(plan.train)

    assert not _places(plan.train) & _places(plan.dev)
    assert plan.dev
    assert len(kept) == count + len(plan.dev)
    assert Counter(plan.order[:count]) == Counter(range(count)) == Counter(plan.order[count : 2 * count])
    assert plan.order[:count] != plan.order[count : 2 * count]
    assert (len(plan.order), plan.updates) == (round(2.5 * count), -(-round(2.5 * count) // 8))
    assert plan == plan_of(read, TracesRecipe(epochs=2.5, batch=8, dev_share=0.2))
    assert [plan.train[place] for place in plan.order[:16]] == plan.seen(2, 8)
    assert len(plan.seen(99, 8)) == count
    assert plan_of(read, TracesRecipe(epochs=9, max_steps=3)).updates == 3
    short = sorted(map(len, kept))[9]
    few = plan_of(read, TracesRecipe(max_tokens=short, dev_share=0))
    assert max(map(len, few.train)) == short
    with pytest.raises(TrainError, match="none of 40 traces has at most 9 tokens"):
        plan_of(read, TracesRecipe(max_tokens=9))


def test_recipes(tmp_path: Path) -> None:
    """A file changes what it names; what is no setting, and a batch that does not divide, are refused."""
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 3.0\nbatch = 12\nmicro_batch = 5\n", encoding="utf-8")
    told, start = load_traces_recipe(file), _start(tmp_path / "model")
    right_traces(start, tmp_path / "traces.jsonl", 12)
    plan = plan_of(read_traces(tmp_path / "traces.jsonl", start), told)

    assert told == TracesRecipe(epochs=3.0, batch=12, micro_batch=5)
    assert load_traces_recipe(None) == TracesRecipe()
    with pytest.raises(TrainError, match="does not divide into 1 processes of 5"):
        settings(told, tmp_path, plan)
    made = settings(msgspec.structs.replace(told, micro_batch=4, device="cpu"), tmp_path, plan)
    assert (made.gradient_accumulation_steps, made.gradient_checkpointing, made.max_length) == (3, False, None)
    file.write_text("layers = 3\n", encoding="utf-8")
    with pytest.raises(TrainError, match=r"mine\.toml is not a recipe .*may name epochs, max_steps"):
        load_traces_recipe(file)
    with pytest.raises(TrainError, match=r"gone\.toml is not a recipe"):
        load_traces_recipe(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    "given, said",
    [
        ("--traces t.jsonl", "name it with --from"),
        ("--recipe r.toml", "name it with --from"),
        ("--from m", "--traces FILE, which `rsafe train sample --from MODEL` makes"),
        ("--from m --traces t.jsonl --layers 5", "--layers is for training from scratch"),
        ("--from m --traces t.jsonl --canaries 50 --export-only r", "--canaries, --export-only are for training"),
    ],
)
def test_options_that_make_no_sense_together(tmp_path: Path, given: str, said: str) -> None:
    """Half of what a run takes, and settings of a network from scratch, even at their defaults."""
    result = CliRunner().invoke(app, ["sft", "--out", str(tmp_path), *given.split()])

    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
