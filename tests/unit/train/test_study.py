"""The study without training: what is held out, what is asked, how sure a model is, and which code makes it."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.study_rows import grouped_rows, study_rows, tiny_study
from tests.support.train_rows import some_ready, some_tokenizer
from worker.commands.train_study import alone, chosen, chosen_seeds
from worker.errors import TrainError, UsageError
from worker.judge.prompt import policy_text
from worker.train.data.labels import ABUSE, ABUSE_SEXIST, ABUSE_SEXUAL, HATE, HATE_GENDER, HATE_RACE, PARTS, close
from worker.train.data.rows import Row
from worker.train.data.taxonomy import UNSAFE
from worker.train.evaluation.cases import canonical
from worker.train.examples import reasoning
from worker.train.examples.format import OWN, Formatter
from worker.train.examples.tokenizer import PAD
from worker.train.model import network, scoring
from worker.train.policies.draw import draw
from worker.train.policies.wording import Wording
from worker.train.study import made_by, rows
from worker.train.study.examples import by_source, donor
from worker.train.study.plan import ARMS, SETTINGS, WAYS, load_study
from worker.train.study.rows import Prepared, acceptor, drawn_groups

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
    assert study.held_out(HATE_GENDER)
    assert not study.held_out(HATE)
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


def test_widening_brings_no_held_out_label_back() -> None:
    """What is not abusive is not sexist abuse: the relations say so again after the labels were taken away."""
    chats = [
        Row(
            source="convabuse",
            place=f"c:{number}",
            text=f"{'stupid bot' if number % 2 else 'thank you bot'} {number}",
            known={ABUSE: number % 2 == 1},
            group=f"c{number}",
        )
        for number in range(80)
    ]
    made = rows.make_prepared([*study_rows(), *chats], tiny_study(rows=500))

    assert {ABUSE_SEXIST, HATE_GENDER} <= {*close({ABUSE: False}), *close({HATE: False})}
    assert {ABUSE_SEXUAL, HATE_RACE} <= made.known
    assert not {ABUSE_SEXIST, HATE_GENDER} & made.known
    assert not [key for keys in made.sets for key in keys if STUDY.held_out(key)]


def test_dev_rows_are_kept_without_held_out_labels(prepared: Prepared) -> None:
    """Reinforced arms answer them: of sets that train, with labels that train, and in no other split."""
    known = {key for sample in prepared.dev for key in sample.row.known}

    assert HATE in known
    assert not [key for key in known if MIXED.held_out(key)]
    assert {"edos", "sms"}.isdisjoint({sample.row.source for sample in prepared.dev})
    assert {sample.row.place for sample in prepared.dev}.isdisjoint(
        {sample.row.place for sample in prepared.train} | {row.place for row in prepared.test}
    )


# The verdict over the whole taxonomy is no concept: it has a policy of its own, of all categories.
@pytest.mark.parametrize(
    "key", sorted({key for keys in OWN.values() for key in keys if not STUDY.held_out(key)} - {UNSAFE})
)
def test_every_concept_that_trains_still_has_policies(key: str) -> None:
    """The signs of what is held out leave most policies of every other concept, of every kind."""
    parts = [part for part in PARTS.get(key, ()) if not STUDY.held_out(part)]
    sets, rng = frozenset(frozenset({one}) for one in (key, *parts)), random.Random(1)
    drawn = [draw(rng, [key, *parts], sets, [key]) for _ in range(150)]
    clean = [wording for wording in drawn if not rows.names_held_out(wording.panel, STUDY)]

    assert len(clean) > len(drawn) / 2
    assert {wording.kind for wording in drawn} == {wording.kind for wording in clean}


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


def test_reworded_questions_are_the_swapped_ones_before_the_swap() -> None:
    """The same rows and clauses; what violates under the one is allowed under the other, and so is the label."""
    asked = rows.questions(rows.make_prepared(study_rows(), STUDY).test, STUDY)
    before, after = ([one for one in asked if one.setting == name] for name in ("reworded", "swapped"))

    assert before
    assert [one.row for one in before] == [one.row for one in after]
    for one, other in zip(before, after, strict=True):
        assert one.unsafe is not other.unsafe
        assert [sense.any_of for sense in one.wording.senses] == [sense.any_of for sense in other.wording.senses]
        assert not any(sense.negated for sense in one.wording.senses)


def test_prepared_rows_belong_to_their_settings(tmp_path: Path) -> None:
    """They are read back as they were; a folder of another study is refused."""
    made = rows.make_prepared(study_rows(), STUDY)
    assert rows.load(tmp_path, STUDY) is None
    rows.save(made, tmp_path)

    assert rows.load(tmp_path, STUDY) == made
    assert [rows.FILE_NAME] == [path.name for path in tmp_path.iterdir()]
    with pytest.raises(TrainError, match="other settings"):
        rows.load(tmp_path, tiny_study(rows=50))


@pytest.mark.parametrize("left", [{"code": "0" * 16}, {}])
def test_rows_of_other_code_are_refused(tmp_path: Path, left: dict[str, str]) -> None:
    """A folder that older code began is not gone on with, be it so old that it does not say by what."""
    (tmp_path / rows.FILE_NAME).write_bytes(msgspec.json.encode({"digest": STUDY.digest, "train": []} | left))

    with pytest.raises(TrainError, match=r"other code.*--out, or check out the commit"):
        rows.load(tmp_path, STUDY)


def test_the_code_digest_knows_what_makes_models(tmp_path: Path) -> None:
    """One more byte in any file that makes models is other code; the table and its reading are not among them."""
    root, names = Path(made_by.__file__).parents[2], made_by.files()
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, tmp_path / name)

    assert {"judge/prompt.py", "train/rl/small-cpu.toml", "train/sft.py", "train/study/study.toml"} <= set(names)
    assert {"train/study/table.py", "train/study/results.py"}.isdisjoint(names)
    assert made_by.code_digest() == made_by.digest_of(tmp_path)
    with (tmp_path / "train/data/labels.py").open("ab") as file:
        file.write(b"\n")
    assert made_by.code_digest() != made_by.digest_of(tmp_path)


def test_log_odds_keep_the_order_where_probabilities_end() -> None:
    """Of a network that is certain, P(unsafe) is 1 again and again; its log odds differ and rank alike."""
    ready = some_ready()
    tokenizer = some_tokenizer(ready)
    end, pad = (tokenizer.token_to_id(name) for name in (ready.template.end, PAD))
    model = network.build(
        vocab_size=tokenizer.get_vocab_size(), end_id=end, pad_id=pad, layers=1, hidden=64, rope_theta=1e4, seed=1
    )
    formatter = Formatter(ready.template, tokenizer)
    prompts = [formatter.prompt_ids(canonical(HATE), sample.row, reasoning=False) for sample in ready.train[:40]]
    calm = np.array(scoring.log_odds(model, formatter, prompts))
    with torch.no_grad():
        model.model.norm.weight.mul_(200 / np.abs(calm).min())
    odds = np.array(scoring.log_odds(model, formatter, prompts))
    chances = scoring.p_unsafe(model, formatter, prompts)

    assert len(set(chances)) < len(set(odds.round(4).tolist())) / 2
    assert chances == pytest.approx((1 / (1 + np.exp(-np.clip(odds, -500, 500)))).tolist(), abs=1e-6)
    assert np.argsort(odds, kind="stable").tolist() == np.argsort(calm, kind="stable").tolist()


def test_arms_and_seeds_are_chosen_by_name() -> None:
    """Nothing chosen is everything; an unknown name is refused with those there are."""
    assert ARMS == chosen(None)
    assert ("rl_label",) == chosen("rl_label")
    assert (2,) == chosen_seeds(2, (1, 2))
    with pytest.raises(UsageError, match="rl_reasoning"):
        chosen("none")
    with pytest.raises(UsageError, match="no seed 9"):
        chosen_seeds(9, (1, 2))


def test_a_seed_has_one_process(tmp_path: Path) -> None:
    """A second one is told so before it touches a run; another seed is free, and so is this one afterwards."""
    out = tmp_path / "out"
    with alone(out, 1), alone(out, 2), pytest.raises(TrainError, match="another process trains seed 1"), alone(out, 1):
        pytest.fail("both hold it")
    with alone(out, 1):
        pass
