"""One training policy in words: concepts, one of which may be put in an unusual way. Pure, given a generator."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from worker.train.data.labels import EXCLUDED, Sense, is_part, one
from worker.train.policies.concept import Topic
from worker.train.policies.vocabulary import sentence
from worker.train.policies.wording import NEVER, Entry, Wording, assemble, both_clauses, by_clauses, category, shorten
from worker.train.policies.wordings import TRAINING

MAX_CATEGORIES: Final = 6
#: A study policy has at most 96 tokens; a piece is a little less than a token.
MAX_PIECES: Final = 72
#: Of a policy of the whole taxonomy, with a definition for most categories.
MAX_WHOLE_PIECES: Final = 360
_OPAQUE_ID: Final = 0.12
#: How often an id is one that no other policy has: where ids are few, they are named from memory and not read.
_MADE_UP_ID: Final = 0.35
_OPAQUE_NAME: Final = 0.7
_OTHER_WORDS: Final = 0.5
_DEFINITION: Final = 0.6
_VIOLATES: Final = 0.35
_ALLOWED: Final = 0.6
_TOPICS: Final = 0.18
_TOPIC_COUNTS: Final = (0.6, 0.3, 0.1)
_TOPIC_DEFINED: Final = 0.5
_PROSE: Final = 0.1
_POINTER: Final = 0.7
_PART_NAME: Final = 0.2
_BY_CLAUSES: Final = 0.35
#: So many parts are still short as clauses.
_MAX_CLAUSES: Final = 2
_ALLOWED_PART: Final = 0.5
_MAX_OPAQUE: Final = 4
_PAIR: Final = 2
_EXCLUDED: Final = frozenset(frozenset(pair[:2]) for pair in EXCLUDED)
#: A set of parts of one concept, and how likely it is.
Weighed = tuple[frozenset[str], float]


class Maker:
    """Words one policy."""

    def __init__(
        self,
        rng: random.Random,
        keys: list[str],
        target: str,
        concepts: Sequence[frozenset[str]],
        parts: Sequence[Weighed],
        topics: Sequence[Topic] = TRAINING.topics,
    ) -> None:
        """Start a policy.

        Args:
            rng: the generator.
            keys: the concepts, in the order of the policy.
            target: the one of them that is varied.
            concepts: allowed sets of concepts; the pairs say with what a definition can be widened.
            parts: allowed sets of the target's parts, weighed.
            topics: what certainly no row of the group is about.

        """
        self.rng = rng
        self.keys = keys
        self.target = target
        self.concepts = concepts
        self.parts = parts
        self.topics = topics
        self.taken: set[str] = set()
        self.opaque_ids = rng.random() < _OPAQUE_ID
        self.defined, self.exact = rng.random() < _DEFINITION, rng.random() < _VIOLATES

    def make(self, kind: str) -> Wording:
        """Return a policy of this kind, or a plain one where the labels do not allow it."""
        variants: dict[str, Callable[[], list[Entry] | None]] = {
            "absent": lambda: [self._plain(key) for key in self.keys],
            "opaque": self._opaque,
            "clauses": lambda: self._with(self._by_clauses(swapped=False)),
            "swapped": self._swapped,
            "narrowed": self._narrowed,
            "widened": self._widened,
            "misnamed": self._misnamed,
        }
        entries = variants[kind]() if kind in variants else None
        if entries is None:
            kind, entries = "plain", [self._plain(key) for key in self.keys]
        entries = shorten(self._topics(entries), MAX_PIECES)
        proses = [self.rng.choice(TRAINING.proses)] if self.rng.random() < _PROSE else []
        return assemble(entries, kind, proses)

    def whole(self) -> Wording:
        """Return a policy of all the concepts, however long a study's policies may be."""
        return assemble(shorten([self._plain(key) for key in self.keys], MAX_WHOLE_PIECES), "whole")

    def _id(self, key: str) -> str:
        """Return an id of a concept or part: the canonical one, another one, or an opaque one."""
        ids = TRAINING.words[key].ids
        return self._called(self.rng.choice(ids) if self.rng.random() < _OTHER_WORDS else ids[0])

    def _called(self, usual: str) -> str:
        """Return an id: the usual one, a made-up one, or in a policy of opaque ids one of these."""
        if self.opaque_ids:
            return self._free()
        return self._free(TRAINING.made_up_id(self.rng) if self.rng.random() < _MADE_UP_ID else usual)

    def _free(self, wanted: str = "") -> str:
        """Return the id, or an opaque one if it is empty or the policy has it already."""
        while not wanted or wanted in self.taken:
            wanted = TRAINING.opaque_id(self.rng)
        self.taken.add(wanted)
        return wanted

    def _name(self, key: str) -> str:
        names = TRAINING.words[key].names
        return self.rng.choice(names) if self.rng.random() < _OTHER_WORDS else names[0]

    def _plain(self, key: str) -> Entry:
        rng, words = self.rng, TRAINING.words[key]
        barred = rng.sample(words.violates, rng.randint(1, 2)) if self.exact else []
        free = [rng.choice(words.allowed)] if self.exact and words.allowed and rng.random() < _ALLOWED else []
        definition = TRAINING.definition(rng, one(key)) if self.defined else ""
        made = category(self._id(key), self._name(key), definition, *both_clauses(rng, barred, free))
        return Entry(category=made, sense=one(key), loose=True)

    def _with(self, entry: Entry, most: int = MAX_CATEGORIES) -> list[Entry]:
        """Put the varied category among plain ones, at the target's place."""
        others = [key for key in self.keys if key != self.target][: most - 1]
        place = min(self.keys.index(self.target), len(others))
        entries = [self._plain(key) for key in others]
        return [*entries[:place], entry, *entries[place:]]

    def _defined(self, named: str, sense: Sense, prefix: str = "") -> Entry:
        """Build a category that has a concept's id and name, and just this sense by its definition."""
        definition = f"{prefix} {TRAINING.definition(self.rng, sense)}".strip()
        return Entry(category=category(self._id(named), self._name(named), definition), sense=sense)

    def _opaque(self) -> list[Entry]:
        self.opaque_ids = True
        return [self._nameless(key) for key in self.keys[:_MAX_OPAQUE]]

    def _nameless(self, key: str) -> Entry:
        opaque_id = self._id(key)
        hidden = self.rng.random() < _OPAQUE_NAME
        name = TRAINING.opaque_name(self.rng, opaque_id) if hidden else self._name(key)
        definition = TRAINING.definition(self.rng, one(key))
        return Entry(category=category(opaque_id, name, definition), sense=one(key), loose=not hidden)

    def _by_clauses(self, *, swapped: bool) -> Entry:
        """Say the target by a violating and an allowed clause, or the other way round."""
        rng, sense = self.rng, one(self.target)
        inside = (sentence(TRAINING.definition(rng, sense)), sense)
        outside = (TRAINING.opposite(rng, self.target), Sense(sense.any_of, negated=True))
        barred, free = (outside, inside) if swapped else (inside, outside)
        category_id = self._id(self.target)
        hidden = rng.random() < _OPAQUE_NAME / 2
        name = TRAINING.opaque_name(rng, category_id) if hidden else self._name(self.target)
        return by_clauses(rng, category_id, name, self._pointer(), violates=[barred], allowed=[free])

    def _pointer(self) -> str:
        return self.rng.choice(TRAINING.pointers) if self.rng.random() < _POINTER else ""

    def _swapped(self) -> list[Entry]:
        """Swap violates and allowed of the target. Few others: beside it they would make nearly all unsafe."""
        return self._with(self._by_clauses(swapped=True), most=2)

    def _narrowed(self) -> list[Entry] | None:
        if not self.parts:
            return None
        chosen = self.rng.choices([keys for keys, _ in self.parts], [weight for _, weight in self.parts])[0]
        parts = sorted(chosen)
        self.rng.shuffle(parts)
        if len(parts) <= _MAX_CLAUSES and self.rng.random() < _BY_CLAUSES:
            return self._with(self._parts_by_clauses(parts))
        named = parts[0] if len(parts) == 1 and self.rng.random() < _PART_NAME else self.target
        return self._with(self._defined(named, Sense(tuple(parts)), self.rng.choice(TRAINING.only)))

    def _parts_by_clauses(self, parts: Sequence[str]) -> Entry:
        """Name each part in a clause; a part that excludes all of them may be allowed by name."""
        rng = self.rng
        barred = [(sentence(TRAINING.definition(rng, one(part))), one(part)) for part in parts]
        others = [part for part in self._other_parts() if all({part, own} in _EXCLUDED for own in parts)]
        free = []
        if others and rng.random() < _ALLOWED_PART:
            other = rng.choice(others)
            free = [(sentence(TRAINING.definition(rng, one(other))), one(other))]
        pointer = rng.choice(TRAINING.pointers)
        category_id, name = self._id(self.target), self._name(self.target)
        return by_clauses(rng, category_id, name, pointer, violates=barred, allowed=free)

    def _other_parts(self) -> list[str]:
        return sorted({key for keys, _ in self.parts for key in keys})

    def _widened(self) -> list[Entry] | None:
        """Let the target's definition ask for another concept too; that one has no category of its own then."""
        pairs = [keys for keys in self.concepts if len(keys) == _PAIR and self.target in keys]
        others = sorted(key for keys in pairs for key in keys - {self.target})
        if not others:
            return None
        other = self.rng.choice(others)
        self.keys = [key for key in self.keys if key != other]
        return self._with(self._defined(self.target, Sense((self.target, other))))

    def _misnamed(self) -> list[Entry]:
        """Give the target's definition to another name, and that name's to the target's where both are there."""
        others = [key for key in self.keys if key != self.target]
        if not others:
            named = self.rng.choice([key for key in TRAINING.words if not is_part(key) and key != self.target])
            return [self._defined(named, one(self.target))]
        named = self.rng.choice(others)
        swap = {named: self.target, self.target: named}
        return [self._defined(swap[key], one(key)) if key in swap else self._plain(key) for key in self.keys]

    def _topics(self, entries: list[Entry]) -> list[Entry]:
        """Put categories that no row meets among the others, at any place."""
        room = MAX_CATEGORIES - len(entries)
        if room < 1 or (entries and self.rng.random() >= _TOPICS):
            return entries
        count = min(room, self.rng.choices((1, 2, 3), _TOPIC_COUNTS)[0])
        for topic in self.rng.sample(self.topics, min(count, len(self.topics))):
            topic_id = self._called(topic.id)
            definition = topic.definition if self.rng.random() < _TOPIC_DEFINED else ""
            made = Entry(category=category(topic_id, topic.name, definition), sense=NEVER, loose=True)
            entries.insert(self.rng.randint(0, len(entries)), made)
        return entries
