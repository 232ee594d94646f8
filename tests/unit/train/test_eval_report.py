"""Reports as files, Markdown and pictures; comparisons; and what the command refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.evaluating import answer, made_data, many, row
from tests.support.fake_engine import Script
from tests.support.probing import probed
from tests.support.reports import LABELS, SCORES, evaluation, facts
from tests.support.tiny_model import save_tokenizer
from worker import cli
from worker.commands.evaluate import EvalOptions, compare_folders, evaluate, measure, options_of
from worker.config import Settings
from worker.errors import ModelError, TrainError, UsageError
from worker.train.data.labels import close
from worker.train.evaluation import metrics
from worker.train.evaluation.compare import compare
from worker.train.evaluation.data import CALIB_FOR, DEV_FOR, in_order, make_data
from worker.train.evaluation.judging import Answered
from worker.train.evaluation.markdown import grid, render, render_comparison
from worker.train.evaluation.plots import draw
from worker.train.evaluation.report import JSON_FILE, Evaluation, Report, load, save
from worker.train.evaluation.run import Options


def test_a_report_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """Record and answers alike, and the file says the seed, the date, the fingerprint and the data."""
    made = evaluation()

    save(made, tmp_path / "out")

    assert load(tmp_path / "out") == made
    text = (tmp_path / "out" / JSON_FILE).read_text(encoding="utf-8")
    for wanted in ('"seed": 1', "2026-01-02", "ab" * 32, "0" * 64):
        assert wanted in text


def test_folders_without_a_report(tmp_path: Path) -> None:
    """Absent, not ours, not writable: the cause and the cure in one line."""
    with pytest.raises(UsageError, match=r"cannot be read .*; give folders that 'rsafe eval --out' wrote"):
        load(tmp_path)
    (tmp_path / JSON_FILE).write_text("{}", encoding="utf-8")
    (tmp_path / "answers.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="run 'rsafe eval' again"):
        load(tmp_path)
    with pytest.raises(UsageError, match="choose another --out"):
        save(evaluation(), tmp_path / JSON_FILE)


def test_markdown_shows_every_part() -> None:
    """Each part has its section; a figure stands with its interval, an absent one as a dash."""
    text = render(evaluation().report)

    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert len(titles) == 13
    assert "0.500 (0.400 to 0.600)" in text
    assert "2 quotes in 3 reasonings as served; word for word: -." in text
    assert "4 quotes in 3 reasonings written freely; word for word: 0.2500." in text
    assert "| always safe |" in text
    assert {len(line.split("|")) for line in text.splitlines() if line.startswith("| all |")} == {19}


def test_markdown_prints_who_always_says_the_same_beside() -> None:
    """Under every part two rows with accuracy, precision, recall, F1, false positives and average precision."""
    lines = render(evaluation().report).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("| all |"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[place - 2 : place + 3]]
    named = [dict(zip(cells[0], row, strict=True)) for row in cells[3:]]

    assert [one["rows"] for one in named] == ["always safe", "always unsafe"]
    figures = ("accuracy", "precision", "recall", "F1 unsafe", "macro-F1", "FPR", "average precision")
    assert [named[0][name] for name in figures] == ["0.500", "0.000", "0.000", "0.000", "0.333", "0.000", "0.500"]
    assert [named[1][name] for name in figures] == ["0.500", "0.500", "1.000", "0.667", "0.333", "1.000", "0.500"]
    assert sum(line.startswith("| always safe |") for line in lines) == 6


def test_markdown_has_intervals_where_figures_have() -> None:
    """Of verdicts, of calibration errors, of identity terms and of hard negatives; a small pool is said to be one."""
    report = evaluation().report
    text = render(report)
    pooled = report.quality["direct"].pooled

    for found in (pooled.precision, pooled.recall, pooled.f1, pooled.fpr, pooled.ece):
        assert str(found) in text
    assert "score direct: ECE 0.500 (0.400 to 0.600), by chance 0." in text
    assert "24 scores pooled, fewer than the 4000 that are asked for" in text
    assert "| hate | 9 | 2 | 0.500 (0.400 to 0.600) | - |" in text
    assert "| kind | spam |\n| --- | --- |\n| all kinds | 0.500 (0.400 to 0.600) |" in text
    assert "Cited part of a concept, score direct: right 0.500 (0.400 to 0.600) of 3 true positives (edos 2" in text


def test_a_report_of_before_can_be_read(tmp_path: Path) -> None:
    """Fields that were added later are absent from it, and its figures stand without intervals."""
    made = evaluation()
    save(made, tmp_path)
    old = msgspec.json.decode((tmp_path / JSON_FILE).read_bytes())
    del old["swapped_ece"], old["citation_parts"]
    for one in old["quality"]["direct"].values():
        for part in [one] if "served" in one else one.values():
            for name in ("precision", "recall", "f1", "fpr", "ece", "always_average_precision"):
                del part[name]
    (tmp_path / JSON_FILE).write_bytes(msgspec.json.encode(old))

    found = load(tmp_path)

    assert found.answers == made.answers
    assert found.report.quality["direct"].pooled.ece is None
    assert f"| {made.report.quality['direct'].pooled.served.precision:.3f} |" in render(found.report)


def test_markdown_of_an_empty_report() -> None:
    """A part that was not asked for leaves no title."""
    text = render(Report(facts=facts(calibration="c"), questions=0, unparsed_as_served=0))

    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Evaluation of made-up", "## Data"]
    assert "scores are calibrated" in text


def test_a_table_is_a_table() -> None:
    """Titles, rule, rows."""
    assert grid(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_pictures(tmp_path: Path) -> None:
    """Three pictures, each a PNG; none where there is nothing to draw."""
    drawn = draw(evaluation(), tmp_path / "plots")

    assert [path.name for path in drawn] == ["reliability.png", "precision_recall.png", "following.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    assert draw(evaluation(quality={}, following={}), tmp_path) == []


def side(found: list[Answered], name: str) -> Evaluation:
    """Return an evaluation of these answers."""
    report = Report(facts=facts(model=name), questions=len(found), unparsed_as_served=0)
    return Evaluation(report=report, answers=tuple(found))


def test_compare_is_paired() -> None:
    """A run that is right more often is better by the difference; one against itself differs by nothing."""
    worse, better = many(LABELS, SCORES), many(LABELS, [0.9, 0.6, 0.35, 0.1] * 6)

    found = compare(side(worse, "old"), side(better, "new"))
    same = compare(side(worse, "old"), side(worse, "old"))

    accuracy = found.figures["sms/spam, direct: accuracy"]
    assert (accuracy.first, accuracy.second, accuracy.rows) == (0.75, 1.0, 24)
    assert accuracy.difference.low > 0
    assert found.figures["all own labels, direct: macro-F1"].difference.low > 0
    f1 = found.figures["sms/spam, direct: F1 unsafe"]
    assert f1.first == pytest.approx(2 / 3)
    assert f1.second == 1
    assert f1.difference.low > 0
    fpr = found.figures["sms/spam, direct: FPR"]
    assert (fpr.first, fpr.second, fpr.difference.low, fpr.difference.high) == (0, 0, 0, 0)
    ece = found.figures["sms/spam, direct: ECE"]
    assert ece.first == pytest.approx(metrics.calibration(LABELS, SCORES).ece)
    assert ece.second == pytest.approx(metrics.calibration(LABELS, [0.9, 0.6, 0.35, 0.1] * 6).ece)
    assert ece.difference.low <= ece.second - ece.first <= ece.difference.high
    assert {(one.difference.low, one.difference.high) for one in same.figures.values()} == {(0.0, 0.0)}
    text = render_comparison(found)
    assert text.startswith("# new (abababababab) against old (abababababab)")
    assert "sms/spam, direct: average precision" in text


def test_compare_of_policy_pairs() -> None:
    """A pair is right if all its sides are; figures are over pairs, not sides."""

    def sides(scores: list[float]) -> list[Answered]:
        places = ("x|0/0", "x|0/1", "y|1/0", "y|1/1")
        return [
            answer(n, unsafe=n % 2 == 0, score=score, place=place, group=place[0], name="following/removed")
            for n, (place, score) in enumerate(zip(places, scores, strict=True))
        ]

    found = compare(side(sides([0.9, 0.1, 0.9, 0.9]), "old"), side(sides([0.9, 0.1, 0.9, 0.1]), "new"))

    one = found.figures["following/removed, direct: pairs right"]
    assert (one.rows, one.first, one.second) == (2, 0.5, 1.0)


def test_the_same_place_with_another_question_is_not_compared() -> None:
    """Where the policy differs, the answers say nothing of each other; only own labels are pooled."""
    one, other = answer(0, unsafe=True, score=0.9, question="a"), answer(1, unsafe=False, score=0.1, question="b")
    benign = answer(2, unsafe=False, score=0.9, source="identity", concept="hate", name="identity/hate")

    found = compare(
        side([one, other, benign], "x"), side([one, msgspec.structs.replace(other, question="c"), benign], "y")
    )

    assert (found.shared, found.only_first, found.only_second) == (2, 1, 1)
    assert found.figures["all own labels, direct: accuracy"].rows == 1
    assert found.figures["identity/hate, direct: FPR"].first == 1
    assert "identity/hate, direct: F1 unsafe" not in found.figures


def test_compare_pools_what_can_be_told_apart() -> None:
    """A paper set's category that no row is in is compared by itself, and in no figure of all sets."""
    trivial = many([False] * 40, [0.01] * 40, name="aegis2/hate", source="aegis2", concept="hate")
    answers = [*many(LABELS, SCORES), *trivial]

    found = compare(side(answers, "x"), side(answers, "y"))

    assert found.figures["all own labels, direct: accuracy"].rows == len(LABELS)
    assert found.figures["aegis2/hate, direct: accuracy"].rows == 40


def test_compare_refuses_what_cannot_be_compared() -> None:
    """No question in common, or another label for the same one."""
    found = many(LABELS, SCORES)

    with pytest.raises(UsageError, match="share no question"):
        compare(side(found, "a"), side(many(LABELS, SCORES, name="surge/toxicity"), "b"))
    with pytest.raises(UsageError, match="disagree about labels"):
        compare(side(found, "a"), side(many([not label for label in LABELS], SCORES), "b"))


def test_thresholds_never_come_from_the_measured_rows() -> None:
    """Each split has others to tune on."""
    assert all(split not in {CALIB_FOR[split], DEV_FOR[split]} for split in CALIB_FOR)
    assert (CALIB_FOR["test"], DEV_FOR["test"]) == ("calib", "dev")


def test_data_is_prepared() -> None:
    """Labels that follow are added, chat texts seen in training are told apart, the order is fixed."""
    made = made_data(24)
    chats = [row for row in made.rows if row.source == "convabuse"]
    heard = msgspec.structs.replace(made.train[0], text=chats[0].text, place="train:heard")
    parts = {"train": [*made.train, heard], "dev": list(made.rows), "calib": list(made.calib), "test": []}

    data = make_data(parts, "dev", [("old", "hug old")], {})  # type: ignore[arg-type]

    assert data.rows == in_order(made.rows, "dev") != made.rows
    assert sum(len(row.known) for row in data.wide) > sum(len(row.known) for row in data.rows)
    assert [row.known for row in data.wide] == [close(row.known) for row in data.rows], "no model adds a label"
    assert data.unseen == {row.place for row in chats[1:]}
    assert data.violated["spam"] == 10
    assert {"abuse", "hate", "spam", "toxicity"} <= data.models.keys(), "parts of none: no row here has any"
    assert (len(data.rows_digest), data.templates) == (64, (("old", "hug old"),))


async def test_texts_never_seen_are_told_apart_in_two_sets(tmp_path: Path) -> None:
    """Chat messages stand in others' contexts, and DiaSafety's answers after other contexts; each set has its line."""
    labels = [(number, known) for number, known in enumerate([{"risk_ignorance": True}, {"risk_ignorance": False}] * 2)]
    said = [row(f"Just go {n}", n, "diasafety", known=known, role="agent") for n, known in labels]
    chats = [row(f"you bot {n}", n, "convabuse", known={"abuse": n == 0}, place=f"chat:{n}") for n in range(2)]
    parts = {"train": [said[0]], "dev": [*said, *chats], "calib": [], "test": []}
    data = make_data(parts, "dev", [], {})  # type: ignore[arg-type]
    judge, _ = await probed(tmp_path / "model", Script(p_unsafe=0.9))

    sections = frozenset({"quality"})
    asked = Options(sections=sections, methods=("direct",))  # type: ignore[arg-type]
    found = await measure(judge, tmp_path / "model", data, asked, lambda _: None)
    await judge.stop()

    table = found.report.quality["direct"].by_set
    assert table["diasafety (texts never seen)"].rows == 3
    assert table["convabuse (texts never seen)"].rows == 2


def test_parts_of_concepts_have_models_of_their_own() -> None:
    """Of labels that follow: a row of one part is outside those that exclude it, and a kind row outside all."""
    texts = {"hate.threats": "beat all gorps", "hate.derogation": "gorps are vermin", "": "see you soon"}
    rows = [
        row(f"{text} {number}", number, "hatemoji", known={key: True} if key else {"hate": False})
        for number in range(8)
        for key, text in texts.items()
    ]

    models = make_data({"train": rows, "dev": rows[:3], "calib": [], "test": []}, "dev", [], {}).models

    assert models.keys() == {"hate.threats", "hate.derogation"}, "of hate itself no row says true"
    for key, text in texts.items():
        if key:
            assert max(models, key=lambda name: models[name].probabilities([text])[0]) == key


def options(**changes: Any) -> EvalOptions:
    """Return what the command line asks for."""
    given: dict[str, Any] = {
        "split": "dev",
        "only": "",
        "method": "both",
        "rows": 0,
        "seed": 1,
        "as_json": False,
        "card": False,
    }
    return EvalOptions(**({"data": Path("data"), "out": Path("out")} | given | changes))


def test_words_of_the_command_line() -> None:
    """Parts, methods and splits by name."""
    found = options_of(Settings(), options(only="quality, fairness", method="direct", split="test"))

    assert found.sections == {"quality", "fairness"}
    assert (found.methods, found.split, found.in_flight) == (("direct",), "test", 48)
    assert len(options_of(Settings(), options()).sections) == 7


@pytest.mark.parametrize(
    "changes, settings, cause",
    [
        ({"only": "speed"}, {}, "--only 'speed' does not exist; take one of quality, wording,"),
        ({"split": "train"}, {}, "--split 'train' does not exist; take one of dev, calib, test"),
        ({"method": "mean"}, {}, "--method 'mean' does not exist; take one of direct, trace, both"),
        ({}, {"engine": "scripted"}, "--engine scripted judges by rules"),
    ],
)
def test_wrong_words_are_refused(changes: dict[str, Any], settings: dict[str, Any], cause: str) -> None:
    """The cause and what there is instead."""
    with pytest.raises(UsageError, match=cause):
        options_of(Settings(**settings), options(**changes))


def test_reading_test_rows_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Before anything is read, on standard error."""
    with pytest.raises(ModelError):
        evaluate(Settings(model=str(tmp_path / "none")), options(split="test"))

    assert "this reads test rows" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    """Before the data is read, not after an hour of judging."""
    save_tokenizer(tmp_path / "model")
    (tmp_path / "taken").write_text("", encoding="utf-8")

    with pytest.raises(UsageError, match="choose another --out"):
        evaluate(Settings(model=str(tmp_path / "model")), options(out=tmp_path / "taken"))


def test_a_model_of_others_has_no_card(tmp_path: Path) -> None:
    """Said before anything is measured; and a comparison has no card, and nothing to go on with."""
    save_tokenizer(tmp_path)

    with pytest.raises(TrainError, match=r"holds no metrics\.json; only a model of 'rsafe train sft' has a card"):
        evaluate(Settings(model=str(tmp_path)), options(card=True, out=tmp_path / "out"))
    for part in ({"only": "quality"}, {"method": "direct"}):
        with pytest.raises(UsageError, match="a card holds every target"):
            evaluate(Settings(model=str(tmp_path)), options(card=True, **part))
    for one in ("card", "resume"):
        with pytest.raises(UsageError, match="--card and --resume go with the measurement of one model"):
            compare_folders(tmp_path, tmp_path, options(**{one: True}))


def test_data_that_is_missing_is_one_line(tmp_path: Path) -> None:
    """The cause and the cure."""
    save_tokenizer(tmp_path / "model")

    with pytest.raises(TrainError, match="point --data at the folder"):
        evaluate(Settings(model=str(tmp_path / "model")), options(out=tmp_path / "out", data=tmp_path / "none"))


def test_compare_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders in, a comparison out, written beside."""
    for name in ("a", "b"):
        save(evaluation(), tmp_path / name)
    arguments = ["eval", "--compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c"), "--json"]
    monkeypatch.setattr(sys, "argv", ["rsafe", *arguments])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 0
    printed = msgspec.json.decode(capsys.readouterr().out)
    assert printed["shared"] == 24
    assert msgspec.json.decode((tmp_path / "c" / "comparison.json").read_bytes()) == printed
    assert (tmp_path / "c" / "comparison.md").read_text(encoding="utf-8").startswith("# made-up")


def test_errors_of_the_command_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong use ends with 2."""
    monkeypatch.setattr(sys, "argv", ["rsafe", "eval", "--compare", str(tmp_path), str(tmp_path)])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
