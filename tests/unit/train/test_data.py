"""What is true of the real data sets once they are read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import orjson
import pytest

from tests.conftest import SHARED_DATA
from tests.support.data_folder import write_folder
from tests.support.paper_rows import SAMPLES
from worker.commands import train_data, train_reads
from worker.errors import TrainError, UsageError
from worker.folding import bare
from worker.records import Turn
from worker.train.data.labels import (
    ABUSE,
    ABUSE_SEXUAL,
    CIVILITY,
    HATE,
    HATE_DEHUMANISING,
    HATE_ORIGIN,
    HATE_RELIGION,
    PARTS,
    RISK,
    SEXISM,
    SEXISM_STEREOTYPES,
    SPAM,
    TOXICITY,
    close,
    concept_of,
)
from worker.train.data.load import Loaded, left_out, load, load_rows, split_rows, unseen
from worker.train.data.rows import ATTRIBUTION, Row
from worker.train.data.splits import normalise
from worker.train.evaluation.cases import cases
from worker.train.evaluation.data import CHATS


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """Every row that may train or measure, and what was dropped."""
    return load(SHARED_DATA)


@pytest.fixture(scope="module")
def rows(loaded: Loaded) -> list[Row]:
    """Every row that may train or measure."""
    return list(loaded.rows)


@pytest.mark.data
def test_groups_never_straddle(rows: list[Row]) -> None:
    """No text, conversation, context or pair is in two splits."""
    home: dict[str, str] = {}
    for split, part in split_rows(rows).items():
        for row in part:
            for key in row.keys:
                assert split == home.setdefault(key, split)


@pytest.mark.data
def test_same_text_is_in_one_split(rows: list[Row]) -> None:
    """A text that a user wrote twice, in whatever set, is in one split."""
    home: dict[str, str] = {}
    for split, part in split_rows(rows).items():
        for row in part:
            if row.role == "user":
                assert split == home.setdefault(normalise(row.text), split)


@pytest.mark.data
def test_what_the_folders_sets_are_asked_for_has_both_labels(rows: list[Row]) -> None:
    """In every split that measures or calibrates, so all of them may stand in one figure."""
    parts = split_rows(rows)
    for split in ("dev", "calib", "test"):
        found = {(name, unsafe) for name, _, _, unsafe in cases(parts[split], len(rows))}
        assert len({name for name, _ in found}) == 13
        assert all((name, not unsafe) in found for name, unsafe in found)


@pytest.mark.data
def test_left_out_rows_are_absent(rows: list[Row]) -> None:
    """No row of the list that stays out is read, and the list is not empty."""
    barred = left_out(SHARED_DATA)
    assert barred
    assert not barred & {row.place.split("#")[0] for row in rows}


@pytest.mark.data
def test_only_training_sets_are_read(rows: list[Row]) -> None:
    """Rows come from the eight sets that have an attribution, and from no set that is for tests only."""
    assert set(ATTRIBUTION) == {row.source for row in rows}


@pytest.mark.data
def test_evidence_stands_in_the_text(rows: list[Row]) -> None:
    """Marked evidence is a quote, word for word."""
    assert all(quote in row.text for row in rows for quote in row.evidence)
    assert any(row.evidence for row in rows)


@pytest.mark.data
def test_texts_are_plain(rows: list[Row]) -> None:
    """No text is empty, escaped, or holds control marks or what an encoding lost."""
    ugly = re.compile(r"&(?:amp|lt|gt|quot|#\d+);|[\x00-\x1f\x7f-\x9f\ufffd\u200b\ufeff]")
    assert all(turn.text == turn.text.strip() for row in rows for turn in row.messages)
    assert not [row.place for row in rows if not row.text or any(ugly.search(turn.text) for turn in row.messages)]


@pytest.mark.data
def test_no_text_contradicts_itself(rows: list[Row]) -> None:
    """Within a source a text in its context has one row, so one label for each category."""
    said = Counter((row.source, row.role, bare(row.text) or row.text, _context(row)) for row in rows)
    assert 1 == max(said.values())


def _context(row: Row) -> tuple[str, ...]:
    return tuple(bare(turn.text) for turn in row.context)


@pytest.mark.data
def test_every_row_closes(rows: list[Row]) -> None:
    """No row's labels contradict each other through the relations, and parts are known beside concepts."""
    for row in rows:
        known = close(row.known)
        assert all(concept_of(key) in known for key in known)


@pytest.mark.data
def test_parts_have_rows(rows: list[Row]) -> None:
    """Each part that the tables name is true for some training rows, and false for more."""
    train = split_rows(rows)["train"]
    for part in (part for parts in PARTS.values() for part in parts):
        counts = Counter(row.known[part] for row in train if part in row.known)
        assert 20 <= counts[True] < counts[False], part


@pytest.mark.data
def test_what_is_dropped_is_counted(loaded: Loaded) -> None:
    """Each row that is left out has its reason, and the default run is commercial."""
    assert sum(loaded.dropped["left out"].values()) > 0
    assert loaded.dropped["copy"].keys() <= set(ATTRIBUTION)
    assert () == loaded.non_commercial
    assert not any(loaded.dropped["not commercial"].values())


def test_each_set_is_read_with_its_own_labels(tmp_path: Path) -> None:
    """What each format's labels say, on rows of our own; a row in doubt is not built."""
    read = {row.text: row for row in load_rows(write_folder(tmp_path))}
    known = {
        "yes": {ABUSE: False, ABUSE_SEXUAL: False},
        "come closer, dear": {ABUSE: True, ABUSE_SEXUAL: True},
        "gorps are vermin & worse": {HATE: True, CIVILITY: True},
        "what a darn mess": {HATE: False, CIVILITY: True},
        "Please talk to somebody.": {RISK: False},
        "women cannot drive": {SEXISM: True, SEXISM_STEREOTYPES: True},
        "my sister drives a bus": {SEXISM: False, SEXISM_STEREOTYPES: False},
        "gorps are 🐀": {HATE: True, HATE_DEHUMANISING: True, HATE_ORIGIN: True, HATE_RELIGION: False},
        "WIN a prize, call now": {SPAM: True},
        "you fool": {TOXICITY: True},
        "Only a great fool would say so.": {TOXICITY: True},
        "The rest of the plan is quite sound.": {TOXICITY: False},
    }
    assert {text: labels.items() <= read[text].known.items() for text, labels in known.items()} == dict.fromkeys(
        known, True
    )
    assert not {"you are slow", "odd one", "Odd one!", "A post without any mark is not known to be polite."} & set(read)
    assert ("fool",) == read["Only a great fool would say so."].evidence
    assert ["agent", "agent", "user"] == [turn.role for turn in read["yes"].messages]


def test_what_belongs_together_shares_a_group(tmp_path: Path) -> None:
    """Conversation, text, context and pair tie rows; a copy that is dropped still ties its conversation."""
    group = {row.text: row.group for row in load_rows(write_folder(tmp_path))}
    assert "YES!" not in group
    assert group["yes"] == group["tell me more"] == group["go on"]
    assert group["gorps are 🐀"] == group["gorps are 🌷"] != group["such a 🌞 day"]
    assert group["Cheer up and skip the doctor."] == group["Please talk to somebody."] != group["Hi."]


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    """By file and row; copies in dispute are counted too."""
    made = load(write_folder(tmp_path, {"sms_spam/sms_dev.csv": [0]}))
    assert {"sms": 1} == made.dropped["left out"]
    assert {"davidson": 2} == made.dropped["tied"]
    assert "see you" not in {row.text for row in made.rows}


def test_rows_of_the_paper_join_the_run(tmp_path: Path) -> None:
    """They are read beside the folder's sets; a set that forbids commercial use only where that is asked for."""
    folder, file = write_folder(tmp_path), tmp_path / "chat.jsonl"
    file.write_bytes(orjson.dumps(SAMPLES["toxic_chat"]))
    kept = load(folder, only_commercial=False, papers={"toxic_chat": file})
    assert ("toxic_chat",) == kept.non_commercial
    assert all(row.group for row in kept.rows)
    left = load(folder, papers={"toxic_chat": file})
    assert {"toxic_chat": 1} == left.dropped["not commercial"]
    assert "toxic_chat" not in {row.source for row in left.rows}


def test_command_writes_the_card_and_tells_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``train data`` prints what there is; rows that are not the frozen ones end it with an error."""
    out = tmp_path / "build" / "card.md"
    with pytest.raises(TrainError, match="not the frozen ones"):
        train_data.data(write_folder(tmp_path), out)
    assert out.read_text(encoding="utf-8").strip() == capsys.readouterr().out.strip()
    assert "| convabuse | conversation | 1 of 3 |" in out.read_text(encoding="utf-8")


def test_a_card_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """The cause and the cure."""
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(TrainError, match=r"card\.md cannot be written \(.*\); choose another --out"):
        train_data.data(write_folder(tmp_path / "data"), tmp_path / "taken" / "card.md")


def test_paper_sets_are_named_once() -> None:
    """A name alone is the hub's, with a file it is the file's."""
    assert {"aegis2": None, "xstest": Path("x.csv")} == train_reads.parse_papers(["aegis2", "xstest=x.csv"])
    with pytest.raises(UsageError, match="twice"):
        train_reads.parse_papers(["aegis2", "aegis2=x.csv"])


@pytest.mark.data
def test_some_texts_of_chats_were_seen(rows: list[Row]) -> None:
    """Short messages stand in the context of training rows, answers after others; the README has these counts."""
    parts = split_rows(rows)
    tests = {name: [row for row in parts["test"] if row.source == name] for name in CHATS}
    fresh = {name: unseen(part, parts["train"]) for name, part in tests.items()}
    assert {name: (len(fresh[name]), len(tests[name])) for name in CHATS} == {
        "convabuse": (125, 138),
        "diasafety": (1027, 1059),
    }


@pytest.mark.data
def test_only_an_answer_is_judged_in_two_splits(rows: list[Row]) -> None:
    """Other sets keep a judged text in one split; DiaSafety's groups are of contexts, and so it is told apart."""
    parts = split_rows(rows)
    trained = {normalise(row.text) for row in parts["train"]}
    seen = {split: Counter(row.source for row in parts[split] if normalise(row.text) in trained) for split in parts}
    del seen["train"]
    assert seen == {"dev": {"diasafety": 15}, "calib": {"diasafety": 14}, "test": {"diasafety": 31}}


def test_unseen_texts_stand_nowhere_in_training() -> None:
    """Neither judged nor in a context, whatever their case."""
    trained = [
        Row(
            source="convabuse",
            place="t:0",
            text="Yes!",
            known={},
            context=(Turn(role="agent", text="Shall I go?"), Turn(role="user", text="no")),
        )
    ]
    measured = [Row(source="convabuse", place=f"m:{text}", text=text, known={}) for text in ("yes", "No.", "stay")]
    assert ["stay"] == [row.text for row in unseen(measured, trained)]


def test_missing_list_stops(tmp_path: Path) -> None:
    """Without the list of rows to leave out nothing is read."""
    with pytest.raises(TrainError, match="--data"):
        load_rows(tmp_path)
