"""A stock of words for policies: training has one, evaluation another, and one builder uses both. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property

from msgspec import Struct

from worker.train.data.labels import Sense
from worker.train.policies.concept import Concept, Topic


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

    """

    words: Mapping[str, Concept]
    topics: tuple[Topic, ...]
    letters: str
    numbers: tuple[int, int]
    opaque_names: tuple[str, ...]
    pointers: tuple[str, ...]
    only: tuple[str, ...]
    proses: tuple[str, ...] = ()

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

    def opaque_id(self, rng: random.Random) -> str:
        """Return an id that says nothing."""
        return f"{rng.choice(self.letters)}{rng.randint(*self.numbers)}"

    def opaque_name(self, rng: random.Random, category_id: str) -> str:
        """Return a name that says nothing, for an id."""
        return f"{rng.choice(self.opaque_names)} {category_id}"


def sentence(text: str) -> str:
    """Write a definition as a clause: with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
