"""The paper's sets in an evaluation: which rows are measured, under which policies, and what the report says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from tests.support.data_folder import write_folder
from tests.support.evaluating import made_data, many
from tests.support.fake_engine import Script
from tests.support.paper_rows import write_paper
from tests.support.probing import WholeEngine, probed
from worker.commands.evaluate import measure
from worker.errors import TrainError
from worker.judge.tokens import Tokens
from worker.train.data.labels import HATE
from worker.train.data.rows import Row
from worker.train.data.splits import split_of
from worker.train.data.taxonomy import PRIVACY, UNSAFE
from worker.train.evaluation import quality
from worker.train.evaluation.baseline import fit_baselines
from worker.train.evaluation.cases import cases, own_questions
from worker.train.evaluation.data import Data, in_order
from worker.train.evaluation.markdown import render
from worker.train.evaluation.papers import Parted, read_parted
from worker.train.evaluation.report import load, save
from worker.train.evaluation.run import Options
from worker.train.policies.heldout import heldout_canonical


def _read(tmp_path: Path, *names: str) -> Parted:
    """Return the test rows and what is learnt beside them."""
    papers: dict[str, Path | None] = {
        name: write_paper(tmp_path / name.replace("/", "-"), name.removesuffix("/test"), 300) for name in names
    }
    return read_parted(write_folder(tmp_path / "data"), "test", papers)


def test_a_set_for_evaluation_is_measured_whole(tmp_path: Path) -> None:
    """All of its rows are test rows, and none of them is learnt from."""
    read = _read(tmp_path, "xstest")

    (told,) = read.papers
    assert (told.name, told.rows, told.train_rows, told.left_out) == ("xstest", 300, 0, 0)
    assert sum(row.source == "xstest" for row in read.parts["test"]) == 300
    assert not any(row.source == "xstest" for name in ("train", "dev", "calib") for row in read.parts[name])


def test_a_set_that_trains_is_parted_as_in_training(tmp_path: Path) -> None:
    """Its own hashes part it; of its official test split, what stands in other splits is left out."""
    read = _read(tmp_path, "toxic_chat")
    (told,) = read.papers
    assert 0 < told.rows < 60 < told.train_rows
    assert not told.commercial
    for name, rows in read.parts.items():
        assert all(split_of(row.group) == name for row in rows)

    both = _read(tmp_path, "toxic_chat", "toxic_chat/test")
    official = both.papers[1]
    elsewhere = 300 - told.rows
    assert (official.name, official.rows, official.left_out) == ("toxic_chat/test", 300 - elsewhere, elsewhere)
    places = [row.place for row in both.parts["test"]]
    assert len(places) == len(set(places))


def test_an_official_test_split_is_asked_under_a_name_of_its_own(tmp_path: Path) -> None:
    """With a limit of its own, beside the rows that the set's hashes keep from training; it is the same source's."""
    rows = _read(tmp_path, "toxic_chat", "toxic_chat/test").parts["test"]
    of_set = [one for one in own_questions(rows, 9, "direct") if one.source == "toxic_chat"]

    places = {name: [one.place for one in of_set if one.name == name] for name in {one.name for one in of_set}}
    assert {name: len(found) for name, found in places.items()} == {"toxic_chat/unsafe": 9, "toxic_chat test/unsafe": 9}
    assert all(place.startswith("test/") for place in places["toxic_chat test/unsafe"])
    assert {one.concept for one in of_set} == {UNSAFE}
    found = many([True, False], [0.9, 0.1], name="toxic_chat test/unsafe", source="toxic_chat", concept=UNSAFE)
    assert all(one.is_own for one in found)


def test_an_official_test_split_is_held_against_what_its_set_taught() -> None:
    """Threshold and baseline are those of the set: no other rows of the split are there to choose them on."""
    fields = {"source": "toxic_chat", "concept": UNSAFE}
    both = [True, True, False, False] * 10
    tuning = many(both, [0.4, 0.3, 0.2, 0.1] * 10, name="toxic_chat/unsafe", **fields)
    sure = many(both, [0.99, 0.98, 0.97, 0.96] * 10, name="sms/spam")
    found = many(both, [0.4, 0.3, 0.2, 0.1] * 10, name="toxic_chat test/unsafe", **fields)
    scores = {"toxic_chat/unsafe": {one.place: 0.5 for one in tuning}}

    table = quality.table(found, [*tuning, *sure], seed=1)
    held = quality.versus(found, tuning, scores, lambda one: one.name, seed=1)

    assert table.by_set["toxic_chat test/unsafe"].threshold == pytest.approx(0.25)
    assert held["toxic_chat test/unsafe"].tuning_rows == 40


def test_test_rows_are_read_with_the_test_split_alone(tmp_path: Path) -> None:
    """Whoever chooses by them measures nothing with them later."""
    folder = write_folder(tmp_path / "data")
    for name in ("xstest", "toxic_chat/test"):
        with pytest.raises(TrainError, match=f"{name} has test rows only, not dev rows; measure it with --split test"):
            read_parted(folder, "dev", {name: None})
    with pytest.raises(TrainError, match="no set is called 'nope'"):
        read_parted(folder, "test", {"nope/test": None})


def test_the_verdict_is_asked_with_the_whole_taxonomy() -> None:
    """And single categories where they are known."""
    row = Row(source="beavertails", place="a", text="hi", known={UNSAFE: True, HATE: False})
    asked = own_questions([row], 9, "direct")

    assert [(one.name, one.unsafe, len(one.policy.judging.categories)) for one in asked] == [
        ("beavertails/hate", False, 1),
        ("beavertails/unsafe", True, 16),
    ]
    assert asked[1].right_ids == ()
    assert [shown.id for shown in asked[1].policy.judging.categories][:3] == ["U1", "U2", "U3"]
    held_out = heldout_canonical(UNSAFE)
    assert held_out.unsafe({UNSAFE: True})
    assert not {shown.id for shown in held_out.panel.categories} & {"U1", "U2", "U3"}
    assert cases([structs.replace(row, source="xstest")], 9)[0][0] == "xstest/unsafe"


class _WideEngine(WholeEngine):
    """Its tokens are letters, of which the whole taxonomy has many."""

    def __init__(self, tokens: Tokens, script_of: Callable[[str], Script]) -> None:
        super().__init__(tokens, script_of, 8192)


def _script(text: str) -> Script:
    return Script(reasoning="hm", p_unsafe=0.9 if "he is a fool" in text else 0.1)


def _data(tmp_path: Path) -> Data:
    """Return made-up rows with those of two sets among them."""
    read = _read(tmp_path, "beavertails", "xstest")
    data, of_paper = made_data(24), {"beavertails", "xstest"}
    parts = {name: [row for row in rows if row.source in of_paper] for name, rows in read.parts.items()}
    return structs.replace(
        data,
        rows=in_order([*data.rows, *parts["test"]], "test"),
        dev=(*data.calib, *parts["calib"]),
        calib=(*data.calib, *parts["calib"]),
        train=(*data.train, *parts["train"]),
        papers=read.papers,
    )


async def test_a_report_names_them(tmp_path: Path) -> None:
    """By set, source and category; with a baseline where there are train rows; in JSON and Markdown."""
    data = _data(tmp_path)
    judge, _ = await probed(tmp_path / "model", _script, engine_type=_WideEngine)
    sections = frozenset({"quality", "baseline", "wording"})
    options = Options(split="dev", sections=sections, methods=("direct",), in_flight=8)  # type: ignore[arg-type]
    found = await measure(judge, tmp_path / "model", data, options, lambda _: None)
    await judge.stop()
    table = found.report.quality["direct"]

    assert {"xstest/unsafe", "beavertails/unsafe", f"beavertails/{PRIVACY}"} <= table.by_set.keys()
    assert table.by_source["xstest"].rows == 300
    assert table.by_set["xstest/unsafe"].served.accuracy == 1.0
    assert UNSAFE in table.by_category
    assert "beavertails/unsafe" in found.report.baseline["direct"]
    assert not any(name.startswith("xstest") for name in found.report.baseline["direct"])
    assert found.report.wording["direct"].by_set["wording/xstest/unsafe"].rows == 300
    save(found, tmp_path / "out")
    assert [one.name for one in load(tmp_path / "out").report.facts.papers] == ["beavertails", "xstest"]
    text = render(found.report)
    assert "## Sets of the paper" in text
    assert "| beavertails | BeaverTails | CC BY-NC 4.0 | **not allowed** |" in text
    assert "| xstest/unsafe | 300 |" in text


def test_policies_of_words_and_following_keep_to_the_folder() -> None:
    """What the paper's rows may be about is not known, so no pair of policies is made of them."""
    data = made_data(8)
    row = Row(source="beavertails", place="a", text="hi", known={UNSAFE: True, HATE: True})
    assert structs.replace(data, train=(row,)).violated == {}


def test_a_category_with_few_rows_is_no_baseline() -> None:
    """A linear model of a handful of rows cannot be fitted, and would say nothing."""
    rows = [
        Row(
            source="aegis2", place=str(number), text=f"text {number}", known={UNSAFE: number % 3 == 0, HATE: number < 3}
        )
        for number in range(60)
    ]

    assert set(fit_baselines(rows, {"aegis2": (UNSAFE, HATE)})) == {("aegis2", UNSAFE)}
