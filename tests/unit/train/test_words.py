"""The words of policies: enough for training, and others for evaluation."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

import msgspec
import pytest

from worker.records import CategoryId
from worker.train.data import labels
from worker.train.data.labels import PARTS, is_part
from worker.train.data.taxonomy import MINORS, RSAFE
from worker.train.policies.concept import Concept
from worker.train.policies.heldout import HELDOUT, WORDS, heldout_canonical
from worker.train.policies.vocabulary import Vocabulary
from worker.train.policies.wordings import CONCEPTS, TRAINING

#: Words of a held-out policy that a model has met in training policies.
MIN_COMMON = 0.93
BOTH = pytest.mark.parametrize("stock", [TRAINING, WORDS], ids=["training", "held out"])


def _normal(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _texts(words: Concept) -> tuple[str, ...]:
    return (*words.names, *words.definitions, *words.violates, *words.allowed, *words.opposites)


def _all_texts(stock: Vocabulary) -> list[str]:
    texts = [text for words in stock.words.values() for text in _texts(words)]
    texts += [text for topic in stock.topics for text in (topic.name, topic.definition)]
    turned = [
        form.format(name=name, definition=definition.rstrip("."))
        for words in stock.words.values()
        for form in stock.negations
        for name in words.names
        for definition in words.definitions[:1]
    ]
    other = (*stock.pointers, *stock.opaque_names, *stock.proses, *stock.rests)
    return [_normal(text) for text in (*texts, *turned, *other)]


def _ids(stock: Vocabulary) -> list[str]:
    return [name.lower() for words in stock.words.values() for name in words.ids] + [
        topic.id.lower() for topic in stock.topics
    ]


@BOTH
def test_every_label_has_words(stock: Vocabulary) -> None:
    """Each concept, RSafe's own categories but those about minors, and each part is there, under its own key."""
    assert {*CONCEPTS, *(part for parts in PARTS.values() for part in parts)} == set(stock.words)
    assert all(key == words.key for key, words in stock.words.items())
    assert {key for _, key, _ in RSAFE} - MINORS <= set(stock.words)
    assert not MINORS & set(stock.words)


@pytest.mark.parametrize("key", sorted(TRAINING.words))
def test_training_has_many_words(key: str) -> None:
    """Enough that no wording can stand for the meaning, and none twice."""
    words = TRAINING.words[key]
    wanted = (3, 4, 2, 0, 0) if is_part(key) else (6, 8, 6, 4, 3)
    found = (words.names, words.definitions, words.violates, words.allowed, words.opposites)
    assert all(len(texts) >= least for texts, least in zip(found, wanted, strict=True))
    assert len({_normal(text) for text in _texts(words)}) == len(_texts(words))


@pytest.mark.parametrize("key", sorted(HELDOUT))
def test_evaluation_has_several_words(key: str) -> None:
    """Enough for a rename, another definition, and a swap of clauses."""
    words = HELDOUT[key]
    wanted = (3, 2, 1, 0, 0) if is_part(key) else (3, 3, 2, 2, 2)
    found = (words.names, words.definitions, words.violates, words.allowed, words.opposites)
    assert all(len(texts) >= least for texts, least in zip(found, wanted, strict=True))


@pytest.mark.parametrize("key", sorted(key for key in TRAINING.words if not is_part(key)))
def test_opposites_are_too_many_to_learn_by_heart(key: str) -> None:
    """A hundred drawings of what is not in a concept give more than fifty sentences."""
    rng = random.Random(1)
    assert len({TRAINING.opposite(rng, key) for _ in range(100)}) > 50


@BOTH
def test_a_name_means_one_thing(stock: Vocabulary) -> None:
    """No name and no id stands for two labels."""
    names = [_normal(name) for words in stock.words.values() for name in words.names]
    assert len(names) == len(set(names))
    assert len(_ids(stock)) == len(set(_ids(stock)))
    assert set(stock.key_of_name.values()) == set(stock.words)


def test_no_held_out_id_is_made_up() -> None:
    """Ids are made up by the ten thousand, and none is one of evaluation, by hand or opaque."""
    rng = random.Random(1)
    made = {TRAINING.made_up_id(rng) for _ in range(30_000)}
    opaque = {f"{letter}{number}" for letter in WORDS.letters for number in range(WORDS.numbers[1] + 1)}
    assert len(made) > 10_000
    assert set() == {_normal(name) for name in made} & ({_normal(name) for name in opaque} | set(_ids(WORDS)))


@BOTH
def test_ids_are_ids(stock: Vocabulary) -> None:
    """Every id is one that a policy record may have."""
    ids = [name for words in stock.words.values() for name in words.ids] + [topic.id for topic in stock.topics]
    assert ids == msgspec.convert(ids, list[CategoryId])


def test_held_out_words_never_train() -> None:
    """After normalising, no held-out name, definition or clause stands in any training text, and no id is shared."""
    training, heldout = _all_texts(TRAINING), _all_texts(WORDS)
    padded = [f" {text} " for text in training]
    assert [] == sorted({text for text in heldout if any(f" {text} " in other for other in padded)})
    assert set() == set(_ids(TRAINING)) & set(_ids(WORDS))


def test_opaque_ids_never_train_either() -> None:
    """An opaque id of evaluation shares neither letter nor number with those of training."""
    assert set() == set(TRAINING.letters) & set(WORDS.letters)
    assert TRAINING.numbers[1] < WORDS.numbers[0]


def test_held_out_words_are_common_ones() -> None:
    """Other sentences, but of words that training policies hold: a small model cannot know rare ones."""
    met = set(_words(_all_texts(TRAINING)))
    mine = [text for words in HELDOUT.values() for text in map(_normal, _texts(words))]
    asked = list(_words(mine))
    assert sum(word in met for word in asked) >= MIN_COMMON * len(asked)


def _words(texts: Iterable[str]) -> Iterable[str]:
    return (word for text in texts for word in text.split())


def test_canonical_words_of_evaluation() -> None:
    """A concept's first held-out words make a policy of it alone."""
    wording = heldout_canonical(labels.SPAM)
    (category,) = wording.panel.categories
    assert (HELDOUT[labels.SPAM].ids[0], HELDOUT[labels.SPAM].names[0]) == (category.id, category.name)
    assert (True,) == wording.values({labels.SPAM: True})


@pytest.mark.parametrize("place", range(len(RSAFE)))
def test_rsafe_categories_have_their_own_ids(place: int) -> None:
    """A canonical id and name of RSafe's list stand for the same category here."""
    name, key, title = RSAFE[place]
    if key not in MINORS:
        assert (name, title) == (CONCEPTS[key].ids[CONCEPTS[key].ids.index(name)], CONCEPTS[key].names[0])
