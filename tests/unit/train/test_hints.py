"""What is told on the way: at which token, of what, and that only what is known counts."""

from __future__ import annotations

import random

import pytest
import torch

from tests.support.train_rows import some_ready, some_samples, some_tokenizer
from worker.judge.prompt import Text
from worker.train.data.labels import CIVILITY, HATE, SEXISM, SPAM, Sense, one
from worker.train.examples import hints, reading
from worker.train.examples.batches import Batch, collate
from worker.train.examples.format import Formatter, Teaching, families
from worker.train.examples.sample import as_it_stands
from worker.train.model import network
from worker.train.model.heads import Heads, told_loss
from worker.train.policies.wording import NEVER, Entry, Wording, assemble, by_clauses, category

HALF = len(hints.KEYS)


@pytest.fixture(scope="module")
def formatter() -> Formatter:
    """Return a formatter of the made-up rows."""
    ready = some_ready()
    return Formatter(ready.template, some_tokenizer(ready))


def _outputs(*keys: str, negated: bool = False) -> dict[int, float]:
    return {hints.KEYS.index(key) + HALF * negated: 1.0 for key in keys}


def _policy() -> Wording:
    """Return a plain category, a topic, and one whose clauses say it, turned round."""
    away = Sense((HATE,), negated=True)
    turned = by_clauses(
        random.Random(1),
        "H1",
        "Hate",
        "see the clauses.",
        violates=[("Peace.", away)],
        allowed=[("Hatred.", one(HATE))],
    )
    plain = Entry(category=category("SP", "Spam", "adverts."), sense=one(SPAM))
    topic = Entry(category=category("BE", "Bees"), sense=NEVER)
    return assemble([plain, topic, turned], "swapped")


def test_each_category_and_clause_is_told_at_its_last_token(formatter: Formatter) -> None:
    """The token ends where the text does; an allowed clause says what it covers, and the whole comes last."""
    wording = _policy()
    ids = formatter.prompt_ids(wording, some_samples(1)[0].row, reasoning=False)
    found = formatter.policy_hints(wording)
    read = [formatter._tokenizer.decode(ids[: hint.node + 1], skip_special_tokens=True).split("\n") for hint in found]
    ends = [[line for line in lines if line][-1] for lines in read]
    assert ["SP Spam: adverts.", "BE Bees"] == ends[:2]
    assert ends[2].endswith("Peace.")
    assert ends[3].endswith("Hatred.")
    away = _outputs(HATE, negated=True)
    assert [_outputs(SPAM), _outputs(hints.TOPIC), away, away] == [hint.values for hint in found]
    assert all(hint.of_policy for hint in found)


def test_words_and_several_labels() -> None:
    """What is no label is words; a definition that spans labels asks for each."""
    assert _outputs(hints.WORDS) == hints.of_sense(one("mention:0"))
    assert _outputs(HATE, SEXISM) == hints.of_sense(Sense((HATE, SEXISM)))


def test_of_a_text_only_what_is_known_is_told() -> None:
    """Half of a label is the teacher's; a label that is not known is not there."""
    sample = some_samples(1)[0]
    sample.taught[HATE] = 0.5
    told = hints.of_row(sample, 0.5, 7)
    assert {hints.KEYS.index(HATE): 0.75, hints.KEYS.index(CIVILITY): 1.0} == told.values
    assert (7, False) == (told.node, told.of_policy)


def _batch(formatter: Formatter, how: Teaching) -> Batch:
    ready = some_ready()
    source = families(ready.train, formatter, ready.sets, random.Random(3), lambda _: 0.0, how)
    return collate([next(source) for _ in range(4)])


def test_a_text_is_told_at_its_end_and_where_the_label_comes(formatter: Formatter) -> None:
    """Two nodes of each message: the judge's control token, and the last token before the label."""
    batch = _batch(formatter, Teaching(traced=0.0))
    assert batch.texts is not None
    shown = [formatter._tokenizer.id_to_token(int(batch.ids[place])) for place in batch.texts.places]
    assert {"<|judge_user|>"} == set(shown[::2])
    assert {"{"} == {token[-1] for token in shown[1::2]}
    known = ~batch.texts.values.isnan()
    assert {hints.KEYS.index(key) for key in (HATE, CIVILITY)} == set(known.any(0).nonzero()[:, 0].tolist())


def test_nothing_is_told_where_it_counts_for_nothing(formatter: Formatter) -> None:
    """Without a weight there are no targets, and the heads add nothing."""
    batch = _batch(formatter, Teaching(hints=0.0))
    assert batch.policies is None
    assert batch.texts is None
    model = network.build(formatter._tokenizer.get_vocab_size(), 8, 0, 1, layers=2, hidden=64)
    assert torch.equal(told_loss(model, Heads(2, 64), batch, 0.0, 1.0), network.loss(model, batch))


def test_policies_alone_are_drawn_again_the_same(formatter: Formatter) -> None:
    """A batch of policies has about the tokens asked for, tells of policies only, and follows from the generator."""
    made = [reading.batch_of(random.Random(4), formatter, 800, lm_weight=0.3, frayed=0.5) for _ in range(2)]
    assert torch.equal(made[0].ids, made[1].ids)
    assert 800 <= made[0].nodes < 1200
    assert made[0].texts is None
    assert made[0].policies is not None
    assert len(made[0].policies.places) >= 8
    assert len(made[0].places) < made[0].nodes / 2


def test_ids_are_copied_where_there_is_no_message(formatter: Formatter) -> None:
    """The reasoning about nothing names each category; what it decides is no target."""
    example = formatter.about_nothing(random.Random(1), _policy())
    text = formatter._tokenizer.decode(example.ids, skip_special_tokens=True)
    assert text.startswith("SP not met\nBE not met\nH1 met by H1/")
    met, unmet = (formatter.ids([Text(text)])[0] for text in (" met", " not met"))
    decided = [
        weight
        for before, token, weight in zip(example.ids, example.ids[1:], example.weights[1:], strict=False)
        if token == unmet or (token == met and before != unmet)
    ]
    assert [0.0] * 3 == decided
    assert not example.soft
    assert [Teaching().trace] == example.weights[1:2]


def test_the_heads_learn_to_read_policies(formatter: Formatter) -> None:
    """A few steps on policies alone make what is told likelier, through the network's own layers."""
    torch.manual_seed(1)
    model = network.build(formatter._tokenizer.get_vocab_size(), 8, 0, 1, layers=2, hidden=64)
    heads = Heads(2, 64)
    optimizer = torch.optim.AdamW([*model.parameters(), *heads.parameters()], lr=3e-3)
    before = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    losses = []
    for step in range(30):
        batch = reading.batch_of(random.Random(step % 3), formatter, 600, lm_weight=0.3, frayed=0.0)
        loss = told_loss(model, heads, batch, 0.0, 1.0)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.5 * sum(losses[:3])
    assert not torch.equal(before, model.model.layers[0].mlp.up_proj.weight)


def test_what_is_copied_is_the_same_tokens(formatter: Formatter) -> None:
    """A quote and an id are written with the tokens that they have in the message and in the policy."""
    assert " darn" == as_it_stands("darn", "that darn boss")
    assert "that" == as_it_stands("that", "that darn boss")
    message = formatter.ids([Text("that darn boss of the tower")])
    for quote in (" darn", " tower"):
        word = formatter.ids([Text(f'"{quote}"')])[1:-1]
        assert any(message[place : place + len(word)] == word for place in range(len(message)))
    policy = formatter.ids([Text("SP Spam\nTAMEDO Bees")])
    name = formatter.ids([Text("\nTAMEDO")])[1:]
    assert any(policy[place : place + len(name)] == name for place in range(len(policy)))
