"""A stock of words for policies: training has one, evaluation another, and one builder uses both. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from msgspec import Struct

from worker.train.data.labels import Sense
from worker.train.policies.concept import Concept, Topic

_OWN_OPPOSITE: Final = 0.35
_REST: Final = 0.2
_AS_NAMED: Final = 0.3
_SPOKEN: Final = 0.4
_VOWELS: Final = "AEIOU"
_TWO_DIGITS: Final = 10


class Vocabulary(Struct, frozen=True, kw_only=True, dict=True):
    """Words by label key, and what else a policy may hold.

    Attributes:
        words: concepts and parts, by key.
        topics: what no row is about.
        letters, numbers: opaque ids are a letter and a number of this range, both ends included.
        opaque_names: an opaque name is one of these and the opaque id.
        pointers: definitions that leave everything to the clauses.
        only: words that a narrow definition may begin with.
        proses: free text beside the categories.
        negations: sentences that turn a concept round, with ``{name}`` or ``{definition}`` of it.
        rests: sentences for all that no clause names.

    """

    words: Mapping[str, Concept]
    topics: tuple[Topic, ...]
    letters: str
    numbers: tuple[int, int]
    opaque_names: tuple[str, ...]
    pointers: tuple[str, ...]
    only: tuple[str, ...]
    proses: tuple[str, ...] = ()
    negations: tuple[str, ...] = ()
    rests: tuple[str, ...] = ()

    @cached_property
    def key_of_name(self) -> dict[str, str]:
        """The key that each name stands for."""
        return {name: key for key, words in self.words.items() for name in words.names}

    def definition(self, rng: random.Random, sense: Sense) -> str:
        """Return a definition of all that a sense asks for, its keys joined; a negated one has no definition.

        Raises:
            ValueError: the sense is negated, or asks for nothing.

        """
        if sense.negated or not sense.any_of:
            text = "only a sense that asks for labels has a definition"
            raise ValueError(text)
        return "; or ".join(rng.choice(self.words[key].definitions).rstrip(".") for key in sense.any_of) + "."

    def opposite(self, rng: random.Random, key: str) -> str:
        """Return a sentence for all that is not in a concept: its own, a negation, or the rest.

        Few sentences are learnt by heart, and then a policy is read by them and not by the side that they stand on.
        """
        words, drawn = self.words[key], rng.random()
        if drawn < _OWN_OPPOSITE:
            return rng.choice(words.opposites)
        if drawn < _OWN_OPPOSITE + _REST:
            return rng.choice(self.rests)
        name, definition = rng.choice(words.names), rng.choice(words.definitions).rstrip(".")
        return rng.choice(self.negations).format(
            name=name if rng.random() < _AS_NAMED else name.lower(), definition=definition
        )

    def opaque_id(self, rng: random.Random) -> str:
        """Return an id that says nothing."""
        return f"{rng.choice(self.letters)}{rng.randint(*self.numbers)}"

    def made_up_id(self, rng: random.Random) -> str:
        """Return an id as authors make them: what can be spoken, or some letters and a number of two digits."""
        if rng.random() < _SPOKEN:
            vowels = [letter for letter in self.letters if letter in _VOWELS]
            others = [letter for letter in self.letters if letter not in _VOWELS]
            return "".join(rng.choice(others) + rng.choice(vowels) for _ in range(rng.choice((2, 3))))
        letters = "".join(rng.choice(self.letters) for _ in range(rng.choice((2, 3, 4))))
        return f"{letters}{rng.randint(_TWO_DIGITS, self.numbers[1])}"

    def opaque_name(self, rng: random.Random, category_id: str) -> str:
        """Return a name that says nothing, for an id."""
        return f"{rng.choice(self.opaque_names)} {category_id}"


def sentence(text: str) -> str:
    """Write a definition as a clause: with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
