"""Coverage, card and NOTICE say what was counted, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from tests.support.judging import category
from tests.support.papers import band, card_facts, method, save_calibration, threshold
from tests.support.reports import evaluation, facts
from tests.support.tiny_model import save_tokenizer
from tests.support.train_rows import some_rows
from worker.errors import TrainError
from worker.judge.coverage import load_coverage, unevaluated
from worker.judge.papers import read_papers
from worker.train.data.sources import SOURCES
from worker.train.data.taxonomy import MINORS, RSAFE
from worker.train.policies.wordings import CONCEPTS
from worker.train.release.attach import attach_targets, key_of, write_card, write_papers
from worker.train.release.coverage import Count, counts, coverage, measured_counts, with_tests
from worker.train.release.history import History, Learnt, Stage, learnt, of_model, of_run, write
from worker.train.rl.recipes import load_recipe

FORBIDS = next(key for key, source in SOURCES.items() if not source.commercial)


def _facts(**changes: Any) -> dict[str, Any]:
    figures = {"average_precision": 0.75, "roc_auc": 0.8, "accuracy": 0.625, "rows": 60, "unsafe": 20}
    both = {"direct": {"davidson/hate": figures}, "trace": {"davidson/hate": figures}}
    return card_facts(**{"parameters": 1234567, "measured": {"dev": both}} | changes)


def _written(folder: Path, trained_on: Learnt | None = None, **changes: Any) -> str:
    save_tokenizer(folder)
    write_papers(folder, _facts(**changes), trained_on or learnt(some_rows(90)))
    return (folder / "README.md").read_text(encoding="utf-8")


def _evaluated(folder: Path, split: str) -> str:
    """Attach an evaluation of 60 rows of one set, 20 of them hateful."""
    report = evaluation(facts=facts(split=split)).report
    table = report.quality["direct"]
    hate = msgspec.structs.replace(table.pooled, rows=60, unsafe=20)
    tables = {"direct": msgspec.structs.replace(table, by_set={"davidson/hate": hate})}
    attach_targets(folder, msgspec.structs.replace(report, quality=tables))
    return (folder / "README.md").read_text(encoding="utf-8")


def test_rows_are_counted_by_concept() -> None:
    """Hateful, rude and neither, a third each: all are rude or not, and hateful or not."""
    assert counts(some_rows(90)) == {"hate": Count(rows=90, unsafe=30), "civility": Count(rows=90, unsafe=60)}


def test_tests_of_several_sets_add_up() -> None:
    """A figure on rows of one label only is no test."""
    measured = {
        "davidson/hate": {"rows": 60, "unsafe": 20},
        "hatemoji/hate": {"rows": 40, "unsafe": 15},
        "sms/spam": {"rows": 50, "unsafe": 0},
    }

    assert measured_counts(measured) == {"hate": Count(rows=100, unsafe=35)}


@pytest.mark.parametrize("rows, unsafe, tested", [(30, 10, True), (29, 10, False), (30, 30, False), (0, 0, False)])
def test_few_rows_are_no_test(rows: int, unsafe: int, tested: bool) -> None:  # noqa: FBT001
    """Thirty rows of both labels are the least."""
    made = with_tests(coverage("m", "2026-01-02", CONCEPTS, {}), {"hate": Count(rows=rows, unsafe=unsafe)})

    assert next(item.tested for item in made.categories if item.concept == "hate") == tested


def test_every_category_of_rsafe_is_spoken_of() -> None:
    """Each of the 18 is one of the concepts or stands there as never seen; the two about minors are unsupported."""
    tested = {key: Count(rows=99, unsafe=50) for key in ("hate", "civility", "unauthorized_expertise", *MINORS)}
    made = with_tests(coverage("m", "2026-01-02", CONCEPTS, {}), tested)
    asked = [category(one, name=name) for one, _, name in RSAFE]
    pairs = {(one, name) for item in made.categories for one in item.ids for name in item.names}

    assert {(item.id, item.name) for item in asked} <= pairs
    assert unevaluated(made, asked) == tuple(one for one, _, _ in RSAFE if one not in {"U7", "U8", "U13"})
    assert [item.ids for item in made.categories if not item.supported] == [("U6",), ("U15",)]


def test_the_card_shows_what_is_covered(tmp_path: Path) -> None:
    """Rows by category, what is unevaluated, what is unsupported, and why."""
    _written(tmp_path)
    text = _evaluated(tmp_path, "test")

    assert "1,234,567 parameters" in text
    assert f"template: `{key_of(tmp_path)}`" in text
    assert "| 90 | 30 | 60 | 20 | tested |" in text
    assert re.search(r"\| Weapons & Illegal Tactics \| U2, .* \| 0 \| 0 \| 0 \| 0 \| unevaluated: never seen \|", text)
    assert (
        "| Child Abuse (non-sexual) | U15 | 0 | 0 | 0 | 0 | **unsupported**: needs people and the matching of known"
        in text
    )
    assert "| dev | davidson / hate | 60 | 20 | 0.75 | 0.75 | 0.62 |" in text
    assert "| davidson/hate | 60 | 20 | 0." in text
    assert "None: scores are raw." in text
    assert "Not tested." in text


@pytest.mark.parametrize("split, missing", [("test", ("U2",)), ("dev", ("U7", "U2"))])
def test_the_judge_reads_what_was_written(tmp_path: Path, split: str, missing: tuple[str, ...]) -> None:
    """The coverage is keyed by the folder as it is after all papers are written; only test rows are a test."""
    _written(tmp_path)
    _evaluated(tmp_path, split)
    found = load_coverage(tmp_path, key_of(tmp_path))
    papers = read_papers(tmp_path)

    assert unevaluated(found, [category("U7", name="Hate & Discrimination"), category("U2")]) == missing
    assert (papers.commercial, papers.missing, papers.calibration) == (True, (), None)
    assert orjson.loads((tmp_path / "metrics.json").read_bytes())["fingerprint"] == papers.key


def test_the_card_shows_the_calibration(tmp_path: Path) -> None:
    """Figures, thresholds with their intervals, and the band."""
    _written(tmp_path)
    few = threshold(id="R1", name="Rare", threshold=None, low=None, high=None, macro_f1=None, rows=9)
    fitted = method(thresholds={"hate": threshold(), "rare": few}, band=band(0.2, 0.7))
    save_calibration(tmp_path, trace=fitted, direct=method(curve=None, reason="scores fall", ece_after=None))
    write_card(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")

    assert "| U7 Hate | 0.41 | 0.30 to 0.55 | 0.80 | 60 | 30 |" in text
    assert "| R1 Rare | too few rows |  |  | 9 | 30 |" in text
    assert "Between 0.20 and 0.70 decisions at 0.5 are wrong in 25% (30% of the rows)" in text
    assert "**direct**: scores stay raw, since scores fall." in text


def test_the_card_shows_what_was_given_back(tmp_path: Path) -> None:
    """Secrets tried and secrets that came back."""
    report = {"tried": {"canary: words": 25, "training text": 200}, "given_back": {}, "likeliest": 2e-7}
    text = _written(tmp_path, extraction=report | {"draws": 100, "chance": 0.1, "full": True})
    trial = _written(tmp_path, extraction=report | {"draws": 100, "chance": 0.1, "full": False})

    assert "Of 225 secrets (25 x canary: words, 200 x training text), 0 come back" in text
    assert "2.0e-07" in text
    assert "no full test" not in text
    assert "**This was no full test**: a full one looks for 50 canaries and 200 training texts" in trial


_GRPO = Stage(
    kind="grpo",
    start="build/run",
    recipe=msgspec.to_builtins(load_recipe("small-cpu")),
    updates=300,
    examples=4_800,
    rows=3_912,
)


def test_the_card_names_every_stage(tmp_path: Path) -> None:
    """Of an export, what followed its first training: updates, prompts, rate, rows."""
    text = _written(tmp_path, stages=[msgspec.to_builtins(_GRPO)])

    assert "`rsafe train sft --max-minutes 1 --seed 1 --threads 1`" in text
    assert "1. `rsafe train grpo --recipe small-cpu` from `build/run`: 300 updates of 16 prompts by 4 answers" in text
    assert "learning rate 3e-05, KL weight 0.01; 4,800 prompts of 3,912 rows, seed 1." in text


def test_a_checkpoint_of_others_that_was_trained_on(tmp_path: Path) -> None:
    """It is no demonstration from scratch: the card says what it goes back to, and that its licence holds."""
    save_tokenizer(tmp_path)
    facts = {"base": "Qwen2.5-7B", "stages": [msgspec.to_builtins(_GRPO)], "masked": False, "digit_tokens": 3}
    whole = {key: one for key, one in _facts(measured={}, **facts).items() if key not in {"recipe", "progress"}}
    write_papers(tmp_path, whole, learnt(some_rows(90)))
    text, notice = ((tmp_path / name).read_text(encoding="utf-8") for name in ("README.md", "NOTICE"))

    assert "trained on from the checkpoint `Qwen2.5-7B` of others" in text
    assert "demonstration" not in text
    assert "nothing was masked" in text
    assert "**Tokens of its\ntokenizer with two digits or more: 3**" in text
    assert "Not measured when it was made." in text
    assert "It goes back to the checkpoint Qwen2.5-7B, whose own licence holds" in notice
    assert SOURCES["davidson"].origin in notice


def test_what_was_forbidden_stays_forbidden(tmp_path: Path) -> None:
    """A mark that came with the start is not lifted by rows that allow it."""
    save_tokenizer(tmp_path)
    config = orjson.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_bytes(orjson.dumps(config | {"rsafe_commercial_use": False}))
    write_papers(tmp_path, _facts(), learnt(some_rows(3)))

    assert read_papers(tmp_path).commercial is False


def test_stages_add_up(tmp_path: Path) -> None:
    """Rows of two stages may be the same, so the larger count stands; sets and prohibitions of both are named."""
    first = Learnt(sources=("sms",), rows={"spam": Count(rows=9, unsafe=3), "hate": Count(rows=2, unsafe=1)})
    second = Learnt(sources=("edos",), non_commercial=("edos",), rows={"spam": Count(rows=4, unsafe=4)})
    made = History(learnt=first).then(_GRPO, second)
    write(tmp_path, made)

    assert made.learnt.rows == first.rows
    assert (made.learnt.sources, made.learnt.non_commercial) == (("edos", "sms"), ("edos",))
    assert of_run(tmp_path) == made


def test_older_notes(tmp_path: Path) -> None:
    """A run without notes read the data folder's sets; a folder without figures is a checkpoint of others."""
    hub = tmp_path / "models--Qwen--Qwen2.5-7B" / "snapshots" / "0a1b"
    hub.mkdir(parents=True)

    assert "sms" in of_run(tmp_path).learnt.sources
    assert of_model(tmp_path).base == tmp_path.name
    assert of_model(hub).base == "Qwen/Qwen2.5-7B"
    _written(tmp_path)
    assert of_model(tmp_path) == History(learnt=learnt(some_rows(90)))
    (tmp_path / "metrics.json").write_text('{"learnt": 3}', encoding="utf-8")
    with pytest.raises(TrainError, match="says nothing of what the model learnt"):
        of_model(tmp_path)


def test_rows_of_ones_own_are_not_commercial(tmp_path: Path) -> None:
    """Of a set that is not named here nothing is known; the papers say so instead of failing."""
    text = _written(tmp_path, learnt([msgspec.structs.replace(some_rows(1)[0], source="ours")]))

    assert "**Not for commercial use**: trained on rows of ours" in text
    assert "Licence: not known" in (tmp_path / "NOTICE").read_text(encoding="utf-8")


def test_only_sets_that_trained_are_named(tmp_path: Path) -> None:
    """NOTICE and card name each with licence and origin, and no other."""
    text = _written(tmp_path, Learnt(sources=("sms", "edos")))
    notice = (tmp_path / "NOTICE").read_text(encoding="utf-8")

    for key in ("sms", "edos"):
        assert SOURCES[key].title in notice
        assert f"({SOURCES[key].licence}): {SOURCES[key].origin}" in text
        assert f"Origin: {SOURCES[key].origin}" in notice
    assert "ConvAbuse" not in notice
    assert "Rows of 2 public data sets" in text
    assert "commercially" not in notice


def test_rows_that_are_not_commercial_mark_the_export(tmp_path: Path) -> None:
    """Card, NOTICE and configuration say so, and name the set."""
    rows = [*some_rows(3), msgspec.structs.replace(some_rows(1)[0], source=FORBIDS)]
    text = _written(tmp_path, learnt(rows))

    assert f"**Not for commercial use**: trained on rows of {SOURCES[FORBIDS].title}" in text
    assert "must not be used commercially" in (tmp_path / "NOTICE").read_text(encoding="utf-8")
    assert orjson.loads((tmp_path / "config.json").read_bytes())["rsafe_commercial_use"] is False
    assert read_papers(tmp_path).commercial is False


def test_a_checkpoint_of_others_keeps_its_card(tmp_path: Path) -> None:
    """Without figures of ours there is nothing to render."""
    save_tokenizer(tmp_path)
    (tmp_path / "README.md").write_text("theirs", encoding="utf-8")
    write_card(tmp_path)

    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "theirs"
