"""The study without training: what is held out, what is asked, intervals over seeds and rows, and the table."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.study_rows import grouped_rows, made_result, page_with_markers, study_rows, tiny_study
from worker.commands.train_study import chosen, chosen_seeds
from worker.errors import TrainError, UsageError
from worker.judge.prompt import policy_text
from worker.train.data.labels import HATE
from worker.train.evaluation import bootstrap
from worker.train.examples import reasoning
from worker.train.policies.wording import Wording
from worker.train.study import plan, results, rows, table
from worker.train.study.examples import by_source, donor
from worker.train.study.plan import ARMS, SETTINGS, WAYS, Arm, load_study
from worker.train.study.results import Result
from worker.train.study.rows import Prepared, acceptor, drawn_groups

ROOT: Final = Path(__file__).resolve().parents[3]
STUDY: Final = tiny_study()
MIXED: Final = tiny_study(rows=700)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """Rows of five sets, two of them held out."""
    return rows.make_prepared(grouped_rows(), MIXED)


def _drawn(prepared: Prepared, seed: int, *, guarded: bool) -> list[tuple[list[Any], Wording]]:
    accepts = acceptor(MIXED, lambda _: 0) if guarded else (lambda _: True)
    return list(drawn_groups(prepared.train, prepared.sets, accepts, random.Random(seed)))


def test_the_study_is_as_large_as_it_says() -> None:
    """The committed settings are those of the plan; another number makes another digest."""
    study = load_study()

    assert (8000, (1, 2, 3), 96, 6, 2) == (
        study.rows,
        study.seeds,
        study.max_policy_tokens,
        study.max_categories,
        study.sft_epochs,
    )
    assert (300, 16, 4) == (study.updates, study.prompts_per_update, study.group)
    assert ("sexism", "spam") == (study.near.concept, study.far.concept)
    assert study.digest == load_study().digest != msgspec.structs.replace(study, rows=7999).digest
    assert set(WAYS) == set(ARMS)


def test_no_training_row_has_a_held_out_label(prepared: Prepared) -> None:
    """Neither a label, nor a part of one, nor a quote for it, nor a row of a set that was labelled for nothing else."""
    assert prepared.train
    assert {"edos", "sms"}.isdisjoint({sample.row.source for sample in prepared.train})
    assert HATE in prepared.known
    assert [key for key in prepared.known if MIXED.held_out(key)] == []
    assert [key for sample in prepared.train for key in sample.quotes if MIXED.held_out(key)] == []
    assert {"edos", "sms"} <= {row.source for row in prepared.test}


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_training_policy_names_a_held_out_concept(prepared: Prepared, seed: int) -> None:
    """Whatever is drawn, no category asks for it, is called after it, or is defined by it."""
    for _, wording in _drawn(prepared, seed, guarded=True):
        assert not [key for sense in wording.senses for key in sense.any_of if MIXED.held_out(key)]
        assert not rows.names_held_out(wording.panel, MIXED)
        assert not [sign for sign in MIXED.signs if sign in policy_text(wording.panel).lower()]


def test_the_guard_is_needed(prepared: Prepared) -> None:
    """Without it a misnamed category does carry the name of a held-out concept."""
    found = itertools.chain.from_iterable(_drawn(prepared, seed, guarded=False) for seed in range(20))

    assert any(rows.names_held_out(wording.panel, MIXED) for _, wording in found)


def test_few_rows_can_still_be_asked() -> None:
    """A concept that is rare among the chosen rows has policies if it is not rare among all."""
    few = rows.make_prepared(study_rows(), tiny_study(rows=20, min_rows=40))

    assert len(few.train) == 20
    assert sum(sample.row.known[HATE] for sample in few.train) < 40
    assert list(drawn_groups(few.train, few.sets, lambda _: True, random.Random(1)))


def test_long_policies_are_drawn_again(prepared: Prepared) -> None:
    """No policy has more tokens than the study allows, and one that nothing fits says so."""
    sets = prepared.sets
    words = acceptor(
        msgspec.structs.replace(MIXED, max_policy_tokens=30), lambda panel: len(policy_text(panel).split())
    )
    drawn = list(drawn_groups(prepared.train, sets, words, random.Random(1)))

    assert max(len(policy_text(wording.panel).split()) for _, wording in drawn) <= 30
    with pytest.raises(TrainError, match="max_policy_tokens"):
        list(drawn_groups(prepared.train, sets, lambda _: False, random.Random(1)))


def test_shuffled_reasoning_is_of_another_row_with_the_same_label(prepared: Prepared) -> None:
    """The donor's labels tell the policy's categories, and its label under it is the row's."""
    pool, rng = by_source(prepared.train), random.Random(1)
    pairs = [
        (sample, donor(rng, sample, wording, pool), wording)
        for group, wording in _drawn(prepared, 1, guarded=True)
        for sample in group
    ]

    for sample, other, wording in pairs:
        assert reasoning.label_of(wording, other.row.known) == reasoning.label_of(wording, sample.row.known)
    moved = [sample.row.place != other.row.place for sample, other, _ in pairs]
    assert sum(moved) > 0.9 * len(moved)


def test_questions_are_fixed_and_of_every_setting() -> None:
    """Order of rows does not matter; held-out concepts are asked under their own policy, with both labels."""
    test = rows.make_prepared(study_rows(), STUDY).test
    asked = rows.questions(test, STUDY)

    assert asked == rows.questions(tuple(reversed(test)), STUDY)
    assert set(SETTINGS) == {one.setting for one in asked}
    for setting, concept in (("near", "sexism"), ("far", "spam")):
        mine = [one for one in asked if one.setting == setting]
        assert {key for one in mine for sense in one.wording.senses for key in sense.any_of} == {concept}
        assert {True, False} == {one.unsafe for one in mine}
    swapped = [one for one in asked if one.setting == "swapped"]
    assert all(any(sense.negated for sense in one.wording.senses) for one in swapped)
    assert not [one for one in swapped if one.row.source in {"edos", "sms"}]


def test_prepared_rows_belong_to_their_settings(tmp_path: Path) -> None:
    """They are read back as they were; a folder of another study is refused."""
    made = rows.make_prepared(study_rows(), STUDY)
    assert rows.load(tmp_path, STUDY) is None
    rows.save(made, tmp_path)

    assert rows.load(tmp_path, STUDY) == made
    with pytest.raises(TrainError, match="other settings"):
        rows.load(tmp_path, tiny_study(rows=50))


def test_crossed_intervals_hold_both_spreads() -> None:
    """Seeds that differ widen the interval beyond that of the rows; seeds that agree do not."""
    groups = [f"g{number}" for number in range(400)]
    same = [bootstrap.share([number % 2 == 0 for number in range(400)])] * 3
    apart = [bootstrap.share([number % 10 < cut for number in range(400)]) for cut in (2, 5, 8)]
    one, other = results.crossed(same, groups, seed=1), results.crossed(apart, groups, seed=1)

    assert 0.5 == one.value == pytest.approx(other.value)
    assert 0.04 < one.high - one.value < 0.06
    assert other.high - other.low > 4 * (one.high - one.low)
    with pytest.raises(ValueError, match="at least one"):
        results.crossed([], groups, seed=1)


def test_rows_of_a_group_are_drawn_together() -> None:
    """Ten copies of every row, in its group, give the interval of the rows alone."""
    figure = [number % 2 == 0 for number in range(100)]
    alone = results.crossed([bootstrap.share(figure)], [str(one) for one in range(100)], seed=3)
    copies = [number // 10 % 2 == 0 for number in range(1000)]
    tied = results.crossed([bootstrap.share(copies)], [str(one // 10) for one in range(1000)], seed=3)

    assert 0.8 < (tied.high - tied.low) / (alone.high - alone.low) < 1.25


def test_differences_are_paired() -> None:
    """Equal answers differ by exactly nothing; better ones by a lower bound above nothing; missing ones by None."""
    found: dict[tuple[Arm, int], Result] = {
        ("label", seed): made_result("label", seed, STUDY, rate=0.7) for seed in (1, 2)
    }
    found |= {("reasoning", seed): made_result("reasoning", seed, STUDY, rate=0.7) for seed in (1, 2)}
    found |= {("rl_label", 1): made_result("rl_label", 1, STUDY, rate=0.95)}

    same = results.difference(found, "reasoning", "label", "near", "macro_f1")
    better = results.difference(found, "rl_label", "label", "far", "macro_f1")
    assert same == bootstrap.Interval(value=0, low=0, high=0)
    assert better is not None
    assert 0 < better.low < better.value < better.high
    assert results.difference(found, "rl_reasoning", "label", "far", "macro_f1") is None
    assert results.value(found, "sft_continued", "far", "macro_f1") is None


def test_unreadable_answers_are_wrong_and_figures_are_means_over_sets() -> None:
    """A model that writes nothing readable has no F1; a set counts as much as a larger one."""
    made = made_result("label", 1, STUDY, rate=1.0)
    mute = msgspec.structs.replace(made.columns, said=(-1,) * len(made.columns.said))
    nothing = results.value({("label", 1): msgspec.structs.replace(made, columns=mute)}, "label", "far", "macro_f1")
    assert nothing is not None
    assert 0 == nothing.value

    first = [place for place, setting in enumerate(made.columns.setting) if setting == 0]
    said = [1 - one if place in first[:8] else one for place, one in enumerate(made.columns.said)]
    names = [9 if place in first[:8] else name for place, name in enumerate(made.columns.name)]
    columns = msgspec.structs.replace(made.columns, said=tuple(said), name=tuple(names))
    halves = msgspec.structs.replace(made, names=(*made.names, *"012345"), columns=columns)
    figure = results.figure(halves, "in_domain", "macro_f1")

    assert 0.5 == figure(np.ones((1, len(first))))[0]


def test_an_empty_table_says_so() -> None:
    """Without results no figure stands in any cell."""
    text = table.render({}, load_study())

    assert "0 of 21 models; not run yet" in text
    assert text.count(table.NOT_RUN) == 1 + 2 * len(SETTINGS) * (len(ARMS) + len(plan.DIFFERENCES))
    assert "0." not in text.replace("0 of", "")


def test_a_table_has_every_arm_and_bad_results_too(tmp_path: Path) -> None:
    """What was run has its interval, what was not says so, and worse is shown as worse."""
    study = load_study()
    rates: dict[Arm, float] = {"label": 0.9, "reasoning": 0.6}
    for arm, rate in rates.items():
        for seed in study.seeds[:2]:
            results.write(tmp_path, made_result(arm, seed, study, rate=rate))
    page = page_with_markers(tmp_path / "page.md")
    table.fill_page(page, tmp_path)
    text = page.read_text(encoding="utf-8")

    line = next(one for one in text.splitlines() if one.startswith("| `reasoning` - `label` |"))
    assert "2 of 3" in line
    assert 4 == line.count("| -0.")
    assert "| `rl_label` | 0 of 3 | not run yet |" in text
    assert "4 of 21 models of 3.40 million parameters, 320 questions each; measured 2000-01-02" in text
    assert text.endswith("\nAfter.\n")
    assert "old" not in text
    table.fill_page(page, tmp_path)
    assert page.read_text(encoding="utf-8") == text


def test_a_page_needs_markers() -> None:
    """A page without a place for the table is refused with the cure."""
    with pytest.raises(TrainError, match="study:begin"):
        table.fill("# no place\n", "table")


def test_results_are_small_and_hold_no_text(tmp_path: Path) -> None:
    """A result of 2,000 questions has at most 200 kB, and comes back as it was."""
    made = made_result("label", 1, STUDY, rate=0.7, rows=500)
    results.write(tmp_path, made)

    assert results.file_of(tmp_path, "label", 1).stat().st_size <= 200_000
    assert {("label", 1): made} == results.read_all(tmp_path, STUDY)


@pytest.mark.parametrize(
    "change, message",
    [({"study": "0"}, "other settings"), ({"columns": None}, "not a result"), ({"rows": 10}, "different questions")],
)
def test_results_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Another study's, a broken file, and one with other questions: each names its cure."""
    rows_asked = change.pop("rows", 80)
    results.write(tmp_path, made_result("label", 1, STUDY, rate=0.7))
    other = made_result("reasoning", 1, STUDY, rate=0.7, rows=rows_asked)
    results.write(tmp_path, msgspec.structs.replace(other, **change))

    with pytest.raises(TrainError, match=message):
        results.read_all(tmp_path, STUDY)


def test_the_committed_table_is_fresh() -> None:
    """The page of the training part has the table of the committed results; ``train study --table`` writes it again."""
    page = (ROOT / "worker" / "train" / "README.md").read_text(encoding="utf-8")
    study = load_study()

    assert table.fill(page, table.render(results.read_all(plan.RESULTS_DIR, study), study)) == page


def test_arms_and_seeds_are_chosen_by_name() -> None:
    """Nothing chosen is everything; an unknown name is refused with those there are."""
    assert ARMS == chosen(None)
    assert ("rl_label",) == chosen("rl_label")
    assert (2,) == chosen_seeds(2, (1, 2))
    with pytest.raises(UsageError, match="rl_reasoning"):
        chosen("none")
    with pytest.raises(UsageError, match="no seed 9"):
        chosen_seeds(9, (1, 2))
