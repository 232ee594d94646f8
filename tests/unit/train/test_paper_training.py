"""Training on the paper's sets: what is read and refused, which policies the rows stand under, what a model says."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import torch
from typer.testing import CliRunner

from tests.support.data_folder import write_folder
from tests.support.paper_rows import write_paper
from tests.support.rl_runs import small_recipe
from tests.support.tiny_model import CHAT_TEMPLATE, tiny_tokens
from tests.support.train_rows import some_tokenizer
from worker.commands.model_checks import paper_checks
from worker.commands.train import app
from worker.errors import TrainError
from worker.judge.papers import COMMERCIAL
from worker.train.data.labels import CIVILITY, HATE, TOXICITY, close
from worker.train.data.load import load, split_rows
from worker.train.data.reads import Reads, again, joined, load_reads, reads_of, resumed, without_paths
from worker.train.data.rows import Row
from worker.train.data.splits import split_of
from worker.train.data.taxonomy import MINORS, UNSAFE, WHOLE, consistent
from worker.train.examples.corpus import texts_of
from worker.train.examples.fit import MAX_CHARS, PAPER_MAX_CHARS, fits, topics_beside
from worker.train.examples.format import Formatter, Teaching, epoch_groups, families, policy_for, prepare
from worker.train.examples.sample import Sample
from worker.train.policies.draw import balanced_sets, draw_whole
from worker.train.policies.wording import NEVER, Wording
from worker.train.policies.wordings import TRAINING
from worker.train.recipe import Ready, Recipe, make_ready
from worker.train.release.attach import check_mark
from worker.train.rl.problems import Asker, problems, read_rows

TRAINS = ("toxic_chat", "aegis2", "or_bench_hard", "or_bench_toxic", "beavertails", "safe_rlhf")


def _reads(folder: Path, *names: str, count: int = 240, **fields: Any) -> Reads:
    """Return what a run is told that reads these sets alone, whatever their licence."""
    papers: dict[str, Path | None] = {name: write_paper(folder, name, count) for name in names}
    return Reads(papers=papers, **({"commercial_only": False, "papers_only": True} | fields))


def _ready(folder: Path, *names: str, **fields: Any) -> Ready:
    return make_ready(Recipe(data=folder, out=folder, reads=_reads(folder, *names), max_rows=120, **fields))


@pytest.mark.parametrize("name", ["toxic_chat", "beavertails", "or_bench_hard"])
def test_rows_join_those_of_the_folder(tmp_path: Path, name: str) -> None:
    """They are read beside the folder's rows, whose splits stay what they are without them."""
    folder = write_folder(tmp_path / "data")
    reads = _reads(tmp_path, name, papers_only=False)
    loaded = load_reads(folder, reads)
    before = {row.place: split_of(row.group) for row in load(folder).rows}

    assert before == {row.place: split_of(row.group) for row in loaded.rows if row.source != name}
    assert sum(row.source == name for row in loaded.rows) > 200
    ready = make_ready(Recipe(data=folder, out=tmp_path, reads=reads, max_rows=150))
    assert {"benign_identity", name} <= {sample.row.source for sample in ready.train}


def test_a_text_of_another_split_is_dropped(tmp_path: Path) -> None:
    """A prompt that also stands in a group of the folder keeps its own split, or is no row at all."""
    folder = write_folder(tmp_path / "data")
    chats = folder / "convabuse" / "train.csv"
    with chats.open(encoding="utf-8", newline="") as file:
        (one, *_) = csv.DictReader(file)
    with chats.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(one))
        writer.writeheader()
        writer.writerows(
            one | {"example_id": str(number), "conv_id": str(number), "user": f"Said {number}"} for number in range(60)
        )
    texts = [row.text for row in load(folder).rows]
    record = orjson.loads(write_paper(tmp_path, "toxic_chat", 1).read_bytes())
    path = tmp_path / "toxic_chat.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record | {"user_input": text}) for text in texts))
    loaded = load(folder, only_commercial=False, papers={"toxic_chat": path})

    kept = [row for row in loaded.rows if row.source == "toxic_chat"]
    assert kept
    assert loaded.dropped["in another split"]["toxic_chat"] > 0
    assert all(split_of(row.group) == split_of(row.keys[0]) for row in kept)


@pytest.mark.parametrize("name", ["openai_moderation", "wildguard_test", "xstest"])
def test_sets_for_evaluation_are_refused(tmp_path: Path, name: str) -> None:
    """By name, before anything is read, and as rows of a file."""
    reads = Reads(papers={name: None}, commercial_only=False)
    with pytest.raises(TrainError, match="evaluation only"):
        make_ready(Recipe(data=tmp_path, out=tmp_path, reads=reads))
    with pytest.raises(TrainError, match="evaluation only"):
        read_rows(tmp_path, 1, reads)
    row = Row(source=name, place="made:1", text="hi", known={UNSAFE: False})
    (tmp_path / "rows.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    with pytest.raises(TrainError, match="evaluation only"):
        read_rows(tmp_path / "rows.jsonl", 1, Reads(commercial_only=False))


def test_sets_that_forbid_commercial_use_are_refused(tmp_path: Path) -> None:
    """By default, rather than dropped without a word; the cure is in the message."""
    with pytest.raises(TrainError, match=r"toxic_chat forbid commercial use; .*--non-commercial"):
        load_reads(tmp_path, _reads(tmp_path, "toxic_chat", commercial_only=True))
    row = Row(source="toxic_chat", place="made:1", text="hi", known={UNSAFE: False})
    (tmp_path / "rows.jsonl").write_bytes(msgspec.json.encode(row) + b"\n")
    with pytest.raises(TrainError, match="--non-commercial"):
        read_rows(tmp_path / "rows.jsonl", 1)
    with pytest.raises(TrainError, match="leave --paper out"):
        read_rows(tmp_path / "rows.jsonl", 1, _reads(tmp_path, "toxic_chat"))
    (tmp_path / "rows.jsonl").write_bytes(msgspec.json.encode(msgspec.structs.replace(row, source="nobody")) + b"\n")
    with pytest.raises(TrainError, match="rows of nobody"):
        read_rows(tmp_path / "rows.jsonl", 1)
    with pytest.raises(TrainError, match="leaves no rows"):
        load_reads(tmp_path, Reads(papers_only=True))


@pytest.mark.parametrize("command", ["sft", "grpo", "sample"])
def test_the_command_line_refuses_them_too(tmp_path: Path, command: str) -> None:
    """All three read as they are told."""
    told = ["--paper", f"xstest={write_paper(tmp_path, 'xstest', 3)}", "--out", str(tmp_path / "run")]
    source = [] if command == "sft" else ["--from", str(tmp_path)]
    result = CliRunner().invoke(app, [command, *told, *source])

    assert isinstance(result.exception, TrainError)
    assert "evaluation only" in str(result.exception)


def test_no_more_rows_than_wanted(tmp_path: Path) -> None:
    """So many safe and unsafe training rows of each set; the other splits are whole."""
    every = load_reads(tmp_path, _reads(tmp_path, "toxic_chat", "beavertails"))
    fewer = load_reads(tmp_path, _reads(tmp_path, "toxic_chat", "beavertails", paper_rows=20))

    (few, many) = (split_rows(one.rows) for one in (fewer, every))
    assert len(few["train"]) == 80
    assert sum(row.known[UNSAFE] for row in few["train"]) == 40
    assert few["dev"] == many["dev"]
    assert sum(fewer.dropped["beyond --paper-rows"].values()) == len(every.rows) - len(fewer.rows)


def test_labels_that_relations_contradict_are_open() -> None:
    """Hate is uncivil, so a set's "hate and not harassment" says nothing of harassment."""
    assert {HATE: True, UNSAFE: True} == consistent({HATE: True, CIVILITY: False, UNSAFE: True})
    assert {HATE: False, CIVILITY: False} == consistent({HATE: False, CIVILITY: False})


@pytest.mark.parametrize("name", TRAINS)
def test_every_set_trains(tmp_path: Path, name: str) -> None:
    """Labels close under the relations, and each row has a policy under which its label is known."""
    reads = _reads(tmp_path, name)
    parts = split_rows(load_reads(tmp_path, reads).rows)
    rows = [msgspec.structs.replace(row, known=close(row.known)) for row in parts["train"]]
    made_up = [msgspec.structs.replace(row, known={UNSAFE: not row.known[UNSAFE]}) for row in rows]
    sets = balanced_sets([*rows, *made_up], min_rows=1)
    rng = random.Random(1)
    for group in epoch_groups([Sample(row=row, quotes={}) for row in rows], rng):
        wording = policy_for(rng, group, sets)
        for sample in group:
            wording.unsafe(sample.row.known)
            if wording.overall:
                assert wording.unsafe(sample.row.known) is sample.row.known[UNSAFE]


def test_the_whole_policy_is_the_papers() -> None:
    """RSafe's categories but the two about minors, each once, in its order or another."""
    drawn = [draw_whole(random.Random(seed)) for seed in range(40)]

    assert len(WHOLE) == 16
    assert not MINORS & set(WHOLE)
    assert all({(key,) for key in WHOLE} == {sense.any_of for sense in wording.senses} for wording in drawn)
    orders = [tuple(sense.any_of[0] for sense in wording.senses) for wording in drawn]
    assert 10 < orders.count(WHOLE) < 30
    assert len({len({one.id for one in wording.panel.categories}) for wording in drawn}) == 1


def test_rows_that_only_know_the_verdict_are_asked_for_the_whole(tmp_path: Path) -> None:
    """Never for single categories; and of those that are known some are asked for alone."""
    for name, alone in (("toxic_chat", False), ("beavertails", True)):
        ready = _ready(tmp_path, name)
        rng = random.Random(1)
        drawn = [(group, policy_for(rng, group, ready.sets)) for group in epoch_groups(ready.train, rng)]
        whole = [wording for _, wording in drawn if wording.overall]
        assert whole
        assert alone is (len(whole) < len(drawn))
        for group, wording in drawn:
            for sample in group:
                assert wording.unsafe(sample.row.known) in {True, False}


def test_without_both_verdicts_there_is_no_whole_policy(tmp_path: Path) -> None:
    """The policy alone would tell the label."""
    with pytest.raises(TrainError, match="no concept has both"):
        _ready(tmp_path, "or_bench_hard")


def test_topics_that_a_text_may_be_about_stay_out() -> None:
    """The paper's prompts are about anything, and a topic is asked for as never met."""
    topic = TRAINING.topics[0]
    row = Row(source="toxic_chat", place="made:1", text=f"Tell me of {topic.signs[0]}.", known={UNSAFE: False})

    assert topic not in topics_beside([row])
    assert topics_beside([msgspec.structs.replace(row, text="zzz")]) == TRAINING.topics
    known = dict.fromkeys((UNSAFE, HATE), False)
    group = [Sample(row=msgspec.structs.replace(row, source="beavertails", known=known), quotes={})]
    drawn = [policy_for(random.Random(seed), group, frozenset({frozenset({HATE})})) for seed in range(200)]
    shown = [one for wording in drawn for one in _topics(wording)]
    assert shown
    assert topic.name not in shown


def _topics(wording: Wording) -> list[str]:
    pairs = zip(wording.panel.categories, wording.senses, strict=True)
    return [category.name for category, sense in pairs if sense == NEVER]


def test_long_rows_of_the_paper_are_kept() -> None:
    """Chat messages are short; the paper's prompts are not."""
    row = Row(source="toxic_chat", place="made:1", text="a" * (MAX_CHARS + 1), known={UNSAFE: False})

    assert fits(row)
    assert not fits(msgspec.structs.replace(row, source="sms"))
    assert not fits(msgspec.structs.replace(row, text="a" * (PAPER_MAX_CHARS + 1)))


def test_no_reasoning_is_made_up(tmp_path: Path) -> None:
    """Where only the verdict is known an example has the label, no walk through the policy, and no ids."""
    ready = _ready(tmp_path, "toxic_chat")
    formatter = Formatter(ready.template, some_tokenizer(ready))
    how = Teaching(traced=1.0, mentions=0.0, gold=1.0, hints=0.0, split=0.0)
    label = {formatter.answer_ids(one, ())[0]: one for one in ("safe", "unsafe")}
    wording = draw_whole(random.Random(1))
    for sample in ready.train[:20]:
        (example,) = formatter.examples(random.Random(1), wording, sample, lm_weight=0.0, how=how)
        taught = [token for token, weight in zip(example.ids, example.weights, strict=True) if weight]
        expected = "unsafe" if sample.row.known[UNSAFE] else "safe"
        assert label[taught[0]] == expected
        assert (expected == "unsafe") is (len(taught) == 1)
        texts = list(texts_of(random.Random(1), [sample], wording, ready.template))
        assert not any(" met" in text for text in texts)
    drawn = list(families(ready.train, formatter, ready.sets, random.Random(1), lambda _: 0.0, how))
    assert len(drawn) > 10


def test_quotes_come_from_labels_that_a_model_knows(tmp_path: Path) -> None:
    """The verdict is no category, and nobody's evidence."""
    ready = _ready(tmp_path, "beavertails")
    assert all(UNSAFE not in sample.quotes for sample in ready.train)
    assert prepare([Row(source="toxic_chat", place="a", text="hi", known={UNSAFE: True})], {})[0].quotes == {}


def test_prompts_of_reinforced_alignment(tmp_path: Path) -> None:
    """Rows like ToxicChat's are asked with RSafe's categories; which of them are violated is not known."""
    rows = read_rows(tmp_path, 1, _reads(tmp_path, "toxic_chat", count=600))
    tokens, template = tiny_tokens(CHAT_TEMPLATE)
    recipe = small_recipe(max_prompt_tokens=8000, safe_share=0.5, benign_share=0.5)
    for samples in (rows.train, rows.dev):
        asker = Asker(tokens, template, reasoning=True)
        found = problems(samples, rows.sets, asker, recipe, 16, random.Random(1))
        assert {len(problem.panel.categories) for problem in found} == {16}
        assert {(one.expected, one.cited) for one in found} == {("safe", ()), ("unsafe", None)}
    assert rows.loaded is not None
    assert rows.loaded.non_commercial == ("toxic_chat",)


def test_a_run_from_before_reads_the_folder() -> None:
    """Its recipe says nothing of sets; what it says is kept, and nobody sees where files lay."""
    told = Reads(papers={"toxic_chat": Path("there.csv"), "aegis2": None}, commercial_only=False)
    kept = {"reads": orjson.loads(msgspec.json.encode(told, enc_hook=str))}

    assert reads_of({"seed": 1}) == Reads()
    assert reads_of(kept) == told
    assert without_paths(kept)["reads"]["papers"] == ["aegis2", "toxic_chat"]
    assert without_paths({"seed": 1}) == {"seed": 1}
    moved = again(told, Reads(papers={"toxic_chat": Path("here.csv")}))
    assert (moved.papers["toxic_chat"], moved.commercial_only) == (Path("here.csv"), False)
    with pytest.raises(TrainError, match="did not read xstest"):
        again(told, Reads(papers={"xstest": None}))
    assert resumed(told, Reads()) == told
    more = resumed(told, Reads(papers={"or_bench_hard": None}))
    assert (set(more.papers), more.commercial_only) == ({"toxic_chat", "aegis2", "or_bench_hard"}, False)
    few = msgspec.structs.replace(told, papers_only=True, paper_rows=500)
    assert resumed(few, Reads(papers={"aegis2": Path("here.csv")})) == msgspec.structs.replace(
        few, papers=few.papers | {"aegis2": Path("here.csv")}
    )
    both = joined(Reads(papers={"aegis2": None}, paper_rows=3), told)
    assert (set(both.papers), both.commercial_only, both.paper_rows) == ({"toxic_chat", "aegis2"}, False, 0)


def test_from_rows_to_a_marked_export(tmp_path: Path) -> None:
    """The command trains on them, writes its card, and exports a folder that names them, with no path in it."""
    torch.set_num_threads(1)
    reads = _reads(tmp_path / "sets", "toxic_chat", "beavertails", count=120)
    papers = [word for name, path in reads.papers.items() for word in ("--paper", f"{name}={path}")]
    run, model = tmp_path / "run", tmp_path / "model"
    size = ["--layers", "1", "--hidden", "64", "--threads", "1", "--canaries", "0", "--max-rows", "100"]
    told = ["sft", *papers, "--non-commercial", "--papers-only", *size, "--max-steps", "2", "--out", str(run)]
    result = CliRunner().invoke(app, told, catch_exceptions=False)
    assert result.exit_code == 0
    card = (run / "data.md").read_text(encoding="utf-8")
    assert "**Not for commercial use**: BeaverTails, ToxicChat (0124)" in card
    assert orjson.loads((run / "data.json").read_bytes())["sources"].keys() == {"beavertails", "toxic_chat"}

    refused = ["sft", "--paper", f"xstest={tmp_path}", "--out", str(run)]
    assert CliRunner().invoke(app, refused).exit_code == 1
    told = ["sft", "--resume", *size, "--max-steps", "3", "--out", str(run)]
    assert CliRunner().invoke(app, told, catch_exceptions=False).exit_code == 0
    told = ["sft", "--export-only", str(run), "--out", str(model), "--dev-rows", "4"]
    assert CliRunner().invoke(app, told, catch_exceptions=False).exit_code == 0
    assert orjson.loads((model / "config.json").read_bytes())[COMMERCIAL] is False
    notice, metrics = ((model / name).read_text(encoding="utf-8") for name in ("NOTICE", "metrics.json"))
    assert "must not be used commercially: BeaverTails, ToxicChat (0124)" in notice
    assert "ConvAbuse" not in notice
    assert str(tmp_path) not in metrics
    assert "toxic_chat/unsafe" in metrics
    coverage = orjson.loads((model / "coverage.json").read_bytes())
    assert {one["concept"] for one in coverage["categories"] if one.get("train_rows")} <= {*WHOLE, TOXICITY}
    assert {check.name: check.result for check in paper_checks(model)}["model licence"] == "warning"
    check_mark(model, ["toxic_chat"])


def test_a_model_that_is_not_marked_is_not_calibrated_on_such_rows(tmp_path: Path) -> None:
    """The curve would be made from them, and nothing would say so."""
    (tmp_path / "config.json").write_bytes(b"{}")
    check_mark(tmp_path, [])
    with pytest.raises(TrainError, match="is not marked"):
        check_mark(tmp_path, ["toxic_chat"])
