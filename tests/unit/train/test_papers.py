"""The sets of the paper, on records that we wrote in their formats."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import msgspec
import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.paper_rows import SAMPLES, aegis, beavertails, safe_rlhf, wildguard
from worker.errors import TrainError
from worker.train.data import hub
from worker.train.data.labels import CIVILITY, HATE
from worker.train.data.papers import PAPERS, read_paper
from worker.train.data.rows import Row, commercial_only, non_commercial
from worker.train.data.sources import PAPER_SOURCES, SOURCES
from worker.train.data.taxonomy import (
    ANIMALS,
    COERCION,
    CRIME,
    DRUGS,
    MINORS,
    MISINFORMATION,
    RSAFE,
    SELF_HARM,
    SEXUAL,
    UNSAFE,
    VIOLENCE,
    WEAPONS,
    covered,
)
from worker.train.examples.fit import PAPER_LABELS

EVALUATION = ("openai_moderation", "wildguard_test", "xstest")


def _read(folder: Path, name: str, *records: dict[str, Any]) -> list[Row]:
    path = folder / f"{name}.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return read_paper(name, path, use="evaluation")


@pytest.mark.parametrize("name", PAPERS)
def test_every_set_is_read(tmp_path: Path, name: str) -> None:
    """A record of each format becomes rows with the set's verdict, under its name, in our categories only."""
    rows = _read(tmp_path, name, SAMPLES[name])
    assert rows
    keys = {key for _, key, _ in RSAFE} | {UNSAFE}
    for row in rows:
        assert name == row.source
        assert row.text
        assert UNSAFE in row.known
        assert set(row.known) <= keys - MINORS
        assert row.messages[-1].text == row.text
    assert len({row.place for row in rows}) == len(rows)


def test_sets_and_sources_are_the_same() -> None:
    """Each set has licence, origin and use; what no mapping tells is never a category about minors."""
    assert set(PAPERS) == set(PAPER_SOURCES)
    assert {name for name, source in PAPER_SOURCES.items() if source.use == "evaluation"} == set(EVALUATION)
    assert all("train" in PAPERS[name].splits for name in set(PAPERS) - set(EVALUATION))
    assert not any(MINORS & covered(paper.mapping) for paper in PAPERS.values())


def test_only_what_a_row_can_violate_is_asked(tmp_path: Path) -> None:
    """Beside the verdict those categories that one of the set's own means alone; of prompts that are all safe, none."""
    assert PAPER_LABELS["or_bench_hard"] == PAPER_LABELS["toxic_chat"] == (UNSAFE,)
    assert {WEAPONS, DRUGS, COERCION}.isdisjoint(PAPER_LABELS["beavertails"])
    assert PAPER_LABELS["openai_moderation"] == (UNSAFE, CIVILITY, HATE, SELF_HARM, SEXUAL, VIOLENCE)
    assert PAPER_LABELS["or_bench_toxic"][1:] == (CIVILITY, HATE, "privacy", SELF_HARM, SEXUAL, VIOLENCE)
    for named in PAPERS["beavertails"].mapping.keys() - {"child_abuse"}:
        (row,) = _read(tmp_path, "beavertails", beavertails(named))
        assert {key for key, value in row.known.items() if value} <= set(PAPER_LABELS["beavertails"])


@pytest.mark.parametrize("name", EVALUATION)
def test_evaluation_sets_never_train(tmp_path: Path, name: str) -> None:
    """A set that is for evaluation is refused for training, before anything is read."""
    with pytest.raises(TrainError, match="evaluation only"):
        read_paper(name, tmp_path / "none.jsonl", use="train")


@pytest.mark.parametrize(
    "record, known",
    [
        pytest.param(
            beavertails("financial_crime,property_crime,theft"),
            {UNSAFE: True, CRIME: True, HATE: False, ANIMALS: False},
            id="one category",
        ),
        pytest.param(
            beavertails("drug_abuse,weapons,banned_substance"),
            {UNSAFE: True, DRUGS: None, WEAPONS: None, CRIME: False},
            id="one of two categories",
        ),
        pytest.param(
            beavertails("non_violent_unethical_behavior", "privacy_violation"),
            {UNSAFE: True, "privacy": True, CRIME: None},
            id="one that may be any leaves the others open",
        ),
        pytest.param(beavertails(), {UNSAFE: False, CRIME: False, HATE: False, "espionage": None}, id="safe"),
    ],
)
def test_categories_are_told_or_open(tmp_path: Path, record: dict[str, Any], known: dict[str, bool | None]) -> None:
    """What a set's categories tell is known; what they leave open is not."""
    (row,) = _read(tmp_path, "beavertails", record)
    assert known == {key: row.known.get(key) for key in known}
    assert "agent" == row.role
    assert ["How do I get into a flat?"] == [turn.text for turn in row.context]


def test_rows_about_minors_are_left_out(tmp_path: Path) -> None:
    """By category, and by word where a sexual row names them."""
    named = beavertails("child_abuse")
    worded = beavertails("sexually_explicit,adult_content", answer="A story about a teenager.")
    adult = beavertails("sexually_explicit,adult_content", answer="A story about a grown couple.")
    (row,) = _read(tmp_path, "beavertails", named, worded, adult)
    assert row.known[SEXUAL]
    assert [] == _read(tmp_path, "aegis2", aegis("unsafe", "unsafe", "Sexual Minor, Violence"))


def test_a_pair_of_answers_is_two_rows_of_one_group(tmp_path: Path) -> None:
    """Both answers of PKU-SafeRLHF are judged after the same prompt, which ties them."""
    first, second = _read(tmp_path, "safe_rlhf", safe_rlhf("Insulting Behavior", "Mental Manipulation"))
    assert first.known[CIVILITY]
    assert not second.known[UNSAFE]
    assert first.keys == second.keys
    assert {MISINFORMATION, COERCION}.isdisjoint(first.known)


def test_a_prompt_and_its_answer_are_one_group_however_they_are_written(tmp_path: Path) -> None:
    """What ties rows is the text that is judged: cleaned of escapes and of marks that nobody sees."""
    escaped = "Who&#39;s afraid of cats &amp; dogs\u200b, I\ufffdm asking"
    prompt, answer = _read(tmp_path, "aegis2", aegis("safe", "safe", "") | {"prompt": escaped})
    (plain,) = _read(tmp_path, "xstest", SAMPLES["xstest"] | {"prompt": prompt.text})

    assert prompt.text == answer.context[0].text == "Who's afraid of cats & dogs, I'm asking"
    assert prompt.keys == answer.keys == plain.keys


@pytest.mark.parametrize(
    "record, known",
    [
        pytest.param(aegis("unsafe", None, "Violence"), [{UNSAFE: True, VIOLENCE: True}], id="prompt alone"),
        pytest.param(
            aegis("unsafe", "safe", "Violence"),
            [{UNSAFE: True, VIOLENCE: True}, {UNSAFE: False, VIOLENCE: False}],
            id="the categories are the prompt's",
        ),
        pytest.param(
            aegis("unsafe", "unsafe", "Violence"),
            [{UNSAFE: True, VIOLENCE: None}, {UNSAFE: True, VIOLENCE: None}],
            id="whose categories is not told",
        ),
        pytest.param(aegis("safe", None, ""), [{UNSAFE: False, VIOLENCE: False}], id="safe"),
        pytest.param(
            aegis("unsafe", None, "Needs Caution"),
            [{UNSAFE: True, VIOLENCE: None}],
            id="a category that is none of ours",
        ),
    ],
)
def test_aegis_labels_prompt_and_answer(
    tmp_path: Path, record: dict[str, Any], known: list[dict[str, bool | None]]
) -> None:
    """Each side has its verdict; the exchange's categories go to the one side that is unsafe."""
    rows = _read(tmp_path, "aegis2", record)
    assert known == [{key: row.known.get(key) for key in (UNSAFE, VIOLENCE)} for row in rows]


def test_redacted_prompts_are_left_out(tmp_path: Path) -> None:
    """Aegis gives some prompts without their text."""
    assert [] == _read(tmp_path, "aegis2", aegis("unsafe", None, "Violence") | {"prompt": "REDACTED"})


def test_wildguard_rows_without_a_verdict_are_left_out(tmp_path: Path) -> None:
    """An answer nobody labelled is no row; one category of several meanings stays open."""
    (row,) = _read(tmp_path, "wildguard_test", wildguard("harmful", None, "toxic_language_hate_speech"))
    assert {UNSAFE: True} == row.known
    assert "user" == row.role


def test_missing_flags_are_unknown(tmp_path: Path) -> None:
    """OpenAI's rows lack flags; and not threatening does not mean not hateful."""
    (row,) = _read(tmp_path, "openai_moderation", {"prompt": "You are a fool.", "HR": 1, "SH": 0, "H2": 0})
    assert {UNSAFE: True, CIVILITY: True, SELF_HARM: False} == row.known


def test_hard_prompts_are_safe_in_all_categories(tmp_path: Path) -> None:
    """OR-Bench's hard prompts only look unsafe, whatever category they are filed under."""
    (row,) = _read(tmp_path, "or_bench_hard", SAMPLES["or_bench_hard"])
    assert not any(row.known.values())
    assert VIOLENCE in row.known


def test_files_of_each_kind_say_the_same(tmp_path: Path) -> None:
    """JSON, CSV and Parquet give the rows of JSON Lines."""
    record = SAMPLES["beavertails"]
    (tmp_path / "b.json").write_bytes(orjson.dumps([record]))
    with (tmp_path / "b.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(record))
        writer.writeheader()
        writer.writerow(record)
    parquet.write_table(pa.Table.from_pylist([record]), tmp_path / "b.parquet")
    (wanted,) = _read(tmp_path, "beavertails", record)
    for name in ("b.json", "b.csv", "b.parquet"):
        (row,) = read_paper("beavertails", tmp_path / name, use="train")
        assert (wanted.text, wanted.known, wanted.context) == (row.text, row.known, row.context)


@pytest.mark.parametrize(
    "content, name, says",
    [
        pytest.param(b"{", "x.jsonl", "cannot be read", id="broken"),
        pytest.param(b"", "x.txt", "is not one of", id="kind"),
        pytest.param(b'{"text": "hi"}', "x.jsonl", "format of beavertails", id="other fields"),
    ],
)
def test_files_of_another_format_are_refused(tmp_path: Path, content: bytes, name: str, says: str) -> None:
    """The error names the file, and what is wrong with it."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TrainError, match=says):
        read_paper("beavertails", path, use="train")


_SECRET = "a word of somebody"


@pytest.mark.parametrize(
    "name, changed",
    [
        ("toxic_chat", {"toxicity": None}),
        ("toxic_chat", {"toxicity": _SECRET}),
        ("toxic_chat", {"user_input": None}),
        ("toxic_chat", {"user_input": 5}),
        ("aegis2", {"prompt_label": _SECRET}),
        ("aegis2", {"response_label": 1, "response": "So."}),
        ("aegis2", {"violated_categories": ["Violence"]}),
        ("or_bench_toxic", {"category": None}),
        ("beavertails", {"is_safe": None}),
        ("beavertails", {"is_safe": "safe"}),
        ("beavertails", {"response": None}),
        ("beavertails", {"category": _SECRET}),
        ("beavertails", {"category": [_SECRET]}),
        ("beavertails", {"category": {"privacy_violation": _SECRET}}),
        ("safe_rlhf", {"is_response_1_safe": ""}),
        ("openai_moderation", {"HR": 0.4}),
        ("wildguard_test", {"prompt_harm_label": _SECRET}),
        ("wildguard_test", {"response": 7}),
        ("xstest", {"label": 1}),
        ("xstest", {"label": None}),
    ],
)
def test_a_verdict_or_text_that_cannot_be_read_is_refused(tmp_path: Path, name: str, changed: dict[str, Any]) -> None:
    """Never taken for a "no": file, row and field are named, and nothing of the record."""
    field = next(iter(changed))
    with pytest.raises(TrainError, match=rf"row 1 of .*{name}.jsonl is not in the format of {name} .*{field}") as found:
        _read(tmp_path, name, SAMPLES[name], SAMPLES[name] | changed)
    assert _SECRET not in str(found.value)


@pytest.mark.parametrize("name, field", [("aegis2", "prompt_label"), ("wildguard_test", "prompt_harm_label")])
def test_a_set_without_its_verdict_is_another_set(tmp_path: Path, name: str, field: str) -> None:
    """A field that may be empty has to be there, or a file of other columns would be a set of no rows."""
    record = {key: value for key, value in SAMPLES[name].items() if key != field}
    with pytest.raises(TrainError, match=f"row 0 of .* \\(field {field} is missing\\)"):
        _read(tmp_path, name, record)


def test_verdicts_are_read_however_they_are_written(tmp_path: Path) -> None:
    """Flags as JSON, Parquet and CSV have them, words in any case; what was not judged is no row."""
    safe = [False, 0, 0.0, "0", "False", "no"]
    unsafe = [True, 1, 1.0, "1", "TRUE", "yes"]
    rows = _read(tmp_path, "toxic_chat", *(SAMPLES["toxic_chat"] | {"toxicity": one} for one in [*safe, *unsafe]))
    assert [row.known[UNSAFE] for row in rows] == [False] * 6 + [True] * 6
    (row,) = _read(tmp_path, "xstest", SAMPLES["xstest"] | {"label": " Unsafe"})
    assert row.known[UNSAFE]
    (row,) = _read(tmp_path, "aegis2", aegis("Unsafe", "", "Violence") | {"response": "So."})
    assert row.known == {UNSAFE: True, VIOLENCE: True} | dict.fromkeys(row.known.keys() - {UNSAFE, VIOLENCE}, False)
    unseen = {"prompt": "Nobody looked at this.", "S": None, "H": "nan"}
    (row,) = _read(tmp_path, "openai_moderation", unseen, SAMPLES["openai_moderation"])
    assert row.text == SAMPLES["openai_moderation"]["prompt"]
    with pytest.raises(TrainError, match="holds no verdict"):
        _read(tmp_path, "openai_moderation", unseen)


@pytest.mark.parametrize(
    "content, name, says",
    [
        pytest.param(b"", "x.jsonl", "holds no record; point to a whole file of or_bench_hard", id="empty"),
        pytest.param(b"prompt,category\n", "x.csv", "holds no record", id="a head alone"),
        pytest.param(b"[]", "x.json", "holds no record", id="an empty array"),
        pytest.param(b"5", "x.json", "cannot be read as .json", id="no array"),
        pytest.param(b'{"data": []}', "x.json", "cannot be read as .json", id="an object"),
        pytest.param(b"[1, 2]", "x.jsonl", "row 0 .* is no record", id="no record"),
        pytest.param(b"category,prompt\nhate\n", "x.csv", "row 0 .* prompt", id="a short row"),
        pytest.param(b"prompt\n" + b"a" * 140_000, "x.csv", "field larger .* convert it", id="a long field"),
    ],
)
def test_files_without_what_is_needed_are_refused(tmp_path: Path, content: bytes, name: str, says: str) -> None:
    """In one line, and never read as a set of no rows."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TrainError, match=says):
        read_paper("or_bench_hard", path, use="train")


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    """Spreadsheets write one before the first name."""
    path = tmp_path / "x.csv"
    path.write_text("prompt,category\nhello there,hate\n", encoding="utf-8-sig")
    (row,) = read_paper("or_bench_hard", path, use="train")
    assert row.text == "hello there"


def test_unknown_set_and_missing_split_are_refused() -> None:
    """A name that is no set, and a use that the hub has no split for."""
    with pytest.raises(TrainError, match="no set is called"):
        read_paper("nope", use="train")
    with pytest.raises(TrainError, match="no split for evaluation"):
        read_paper("or_bench_hard", use="evaluation")


def test_sets_are_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file the library finds the split of that name; a folder stands for the hub here."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(orjson.dumps(SAMPLES["toxic_chat"]))
    (folder / "test.jsonl").write_bytes(orjson.dumps(SAMPLES["toxic_chat"] | {"toxicity": "0"}))
    paper = msgspec.structs.replace(PAPERS["toxic_chat"], hub=(str(folder), None))
    monkeypatch.setitem(PAPERS, "toxic_chat", paper)
    (trains,), (measures,) = read_paper("toxic_chat", use="train"), read_paper("toxic_chat", use="evaluation")
    assert trains.known[UNSAFE]
    assert not measures.known[UNSAFE]


def test_hub_that_is_away_is_an_error_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the library raises becomes one line that says to give a file."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TrainError, match="give a local file"):
        list(hub.from_hub("nobody/nothing", None, "train"))


def test_non_commercial_rows_are_told_apart(tmp_path: Path) -> None:
    """They are dropped by default; a run that keeps them knows which sets to name."""
    rows = [row for name in PAPERS for row in _read(tmp_path, name, SAMPLES[name])]
    assert ("beavertails", "safe_rlhf", "toxic_chat", "wildguard_test") == non_commercial(rows)
    assert () == non_commercial(commercial_only(rows))
    assert all(SOURCES[row.source].commercial and row.licence and row.origin for row in commercial_only(rows))
