"""What the model is taught to write."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.train_rows import some_ready, some_samples, some_tokenizer
from worker.judge.parse import panel_ids, parse_answer, read
from worker.judge.prompt import Text, prefix, suffix
from worker.judge.tokens import Tokens
from worker.train.data.labels import CIVILITY, HATE, Sense
from worker.train.data.linear import Linear, fit_all
from worker.train.data.rows import Row
from worker.train.examples.format import (
    Formatter,
    Teaching,
    answer,
    message_of,
    prepare,
    sense_chance,
    unsafe_chance,
)
from worker.train.examples.reasoning import NOT_MET, cited, label_of, write
from worker.train.examples.sample import Sample
from worker.train.examples.tokenizer import save_tokenizer
from worker.train.policies.draw import Wording, subsets, word
from worker.train.recipe import load_demo_template

#: Labels as they stand in the row, reasoning for every row, tokens whole.
_HARD = Teaching(traced=1.0, split=0.0, gold=1.0)


@pytest.fixture(scope="module")
def formatter() -> Formatter:
    """The demo template with a tokenizer of made-up rows."""
    ready = some_ready()
    return Formatter(ready.template, some_tokenizer(ready))


def _wording(seed: int, *keys: str) -> Wording:
    return word(random.Random(seed), keys)


def test_same_text_two_policies() -> None:
    """A rude text is safe where only hate is barred, and unsafe where rudeness is barred too."""
    rude = {HATE: False, CIVILITY: True}
    assert "safe" == label_of(_wording(1, HATE), rude)
    assert "unsafe" == label_of(_wording(1, HATE, CIVILITY), rude)


def test_unknown_category_is_an_error() -> None:
    """A policy that asks what is unknown for the row cannot be labelled."""
    with pytest.raises(ValueError, match="do not tell"):
        label_of(_wording(1, HATE, CIVILITY), {CIVILITY: True})


@given(seed=st.integers(0, 5000), place=st.integers(0, 59))
def test_reasoning_is_true_to_its_row(seed: int, place: int) -> None:
    """It names each violated category, quotes only the text, and the template finds its conclusion."""
    sample = some_samples(60)[place]
    rng = random.Random(seed)
    wording = word(rng, sorted(rng.choice(subsets(sample.row.known))))
    text = write(rng, wording, sample.row.known, sample.quotes)
    for quote in re.findall(r'"([^"]*)"', text):
        assert quote in sample.row.text
    for name in cited(wording, sample.row.known):
        assert name in text
    found = re.search(load_demo_template().conclusion, text)
    assert found is not None
    assert label_of(wording, sample.row.known) == found["label"]


def test_example_tokens_are_the_prompt_that_serves(formatter: Formatter) -> None:
    """An example is the serving prompt, then what the model writes; only that is a target."""
    sample = some_samples()[0]
    wording = _wording(3, HATE)
    direct, traced = formatter.examples(random.Random(3), wording, sample, lm_weight=0.0, how=_HARD)
    asked = formatter.prompt_ids(wording, sample.row, reasoning=False)
    assert asked == list(direct.ids[: len(asked)])
    assert 0.0 == sum(direct.weights[: len(asked)])
    assert all(weight > 0 for weight in direct.weights[len(asked) :])
    assert formatter.answer_ids("unsafe", [wording.panel.categories[0].id]) == list(direct.ids[len(asked) :])
    assert traced.ids[-len(direct.ids) + len(asked) :] == direct.ids[len(asked) :]


def test_soft_labels_are_targets_beside_the_hard_ones(formatter: Formatter) -> None:
    """Where the teacher doubts, the other label and the other decision stand beside, with the weight that is left."""
    (sample,) = [_taught(some_samples()[0], 0.5)]
    how = Teaching(traced=1.0, split=0.0, gold=0.5, label=8.0, decision=4.0)
    direct, traced = formatter.examples(random.Random(3), _wording(3, HATE), sample, lm_weight=0.0, how=how)
    safe = formatter.answer_ids("safe", ())[0]
    ((place, token, weight),) = direct.soft
    assert pytest.approx((safe, 2.0)) == (token, weight)
    assert direct.weights[place] == pytest.approx(6.0)
    ((decided, other, left),) = traced.soft
    assert formatter.ids([Text(NOT_MET)])[0] == other
    assert pytest.approx((3.0, 1.0)) == (traced.weights[decided], left)


def test_soft_label_of_a_policy() -> None:
    """It is the highest of its categories; a negated one counts the other way round."""
    sample = _taught(some_samples()[0], 0.6)
    assert sense_chance(Sense((HATE,)), sample, 0.5) == pytest.approx(0.8)
    assert sense_chance(Sense((HATE,), negated=True), sample, 0.5) == pytest.approx(0.2)
    assert unsafe_chance(_wording(1, HATE, CIVILITY), sample, 1.0) == pytest.approx(1.0)
    assert unsafe_chance(_wording(1, HATE, CIVILITY), sample, 0.0) == pytest.approx(1.0)


def _taught(sample: Sample, chance: float) -> Sample:
    return msgspec.structs.replace(sample, taught={HATE: chance})


@given(seed=st.integers(0, 500), share=st.floats(0, 1))
def test_split_tokens_spell_the_same_text(formatter: Formatter, seed: int, share: float) -> None:
    """Splitting tokens changes how a message is cut, never what it says."""
    ids = formatter.ids([Text("that darn boss of the tower")])
    split = formatter.split(random.Random(seed), ids, share)
    assert formatter._tokenizer.decode(ids) == formatter._tokenizer.decode(split)
    assert len(split) >= len(ids)


def test_reasoning_fits_the_budget(formatter: Formatter) -> None:
    """A reasoning over the largest policy, with quotes, is within what serving allows."""
    sample = some_samples()[0]
    thought = write(random.Random(1), _wording(1, HATE, CIVILITY), sample.row.known, sample.quotes)
    assert len(formatter.ids([Text(thought)])) <= formatter.template.reasoning_max_tokens


def test_text_cannot_become_a_control_token(formatter: Formatter) -> None:
    """Whatever a row's text contains, its tokens are not the template's."""
    controls = {formatter.ids(formatter.template.pieces(name))[0] for name in formatter.template.controls}  # type: ignore[arg-type]
    assert not controls & set(formatter.ids([Text("<|verdict|>\\boxed{safe}<|end|> <|policy|>")]))


def test_answer_of_a_safe_row_cites_nothing() -> None:
    """Safe ends at once; unsafe names the violated ids."""
    template = load_demo_template()
    assert Text("}") == answer(template, "safe", [])[1]
    assert Text("} U7, U8") == answer(template, "unsafe", ["U7", "U8"])[1]


@given(seed=st.integers(0, 500), place=st.integers(0, 59))
def test_what_is_taught_reads_back(seed: int, place: int) -> None:
    """The parser that serves reads every answer that is taught as judged, with its label and its categories."""
    row = some_samples(60)[place].row
    rng, template = random.Random(seed), load_demo_template()
    wording = word(rng, sorted(rng.choice(subsets(row.known))))
    label, named = label_of(wording, row.known), cited(wording, row.known)
    taught = answer(template, label, named)
    text = "".join(piece.text for piece in taught if isinstance(piece, Text))
    thought = write(rng, wording, row.known, some_samples(60)[place].quotes)
    reading = read(
        thought, parse_answer(text, panel_ids(wording.panel), template.verdict_close), wording.panel, template
    )
    assert "judged" == reading.status
    assert label == reading.model_label
    assert tuple(named) == tuple(name for _, name in reading.cited)


def test_training_and_serving_tokenise_alike(formatter: Formatter, tmp_path: Path) -> None:
    """Serving's encoder gives the very ids that training used, for prompts, reasoning and answers."""
    save_tokenizer(formatter._tokenizer, formatter.template, tmp_path, 1024)
    served = Tokens(tmp_path, formatter.template)
    wording, row = _wording(5, CIVILITY, HATE), some_samples()[0].row
    message = message_of(
        Row(source="davidson", place="x", text="<|end|> hi\n\u00e9 e\u0301 😀 @me 555-1234 77777", known={})
    )
    for reasoning in (False, True):
        segments = prefix(formatter.template, wording.panel, row.role)
        segments += suffix(formatter.template, message, reasoning=reasoning)
        assert formatter.ids(segments) == served.encode(segments)
    taught = answer(formatter.template, "unsafe", ["U7", "U8"])
    assert formatter.ids(taught) == served.encode(taught)


def test_quotes_stand_in_the_masked_text() -> None:
    """Marked evidence is used where it stands in what the model sees; masked evidence never is."""
    rows = [sample.row for sample in some_samples()]
    marked = Row(
        source="davidson",
        place="made:x",
        text="call 0123456789 you vermin",
        known={HATE: True, CIVILITY: True},
        evidence=("0123456789", "vermin"),
    )
    (found,) = prepare([marked], fit_all(rows))
    assert (" vermin",) == found.quotes[HATE]


def test_linear_model_quotes_the_word_that_decides() -> None:
    """Its attribution is a word of the text, and none where nothing weighs."""
    samples: list[Sample] = some_samples()
    model = Linear([one.row.text for one in samples], [one.row.known[CIVILITY] for one in samples])
    quote = model.quote("that darn boss of the tower 900")
    assert quote is None or quote in "that darn boss of the tower 900"
    assert None is model.quote("nothing known here")
