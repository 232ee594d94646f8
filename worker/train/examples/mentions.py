"""Practice in reading a policy: its categories name words that some of a group's texts have. Pure, given a generator.

The labelled concepts are few, so a network that starts from nothing can do without the policy most of
the time: what a text is tells nearly all. Which words a category names changes with every group, and
whether a text has them is certain, so here only the policy tells. Tenants ask for such categories, too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from worker.judge.placeholders import mask
from worker.policy.model import Panel
from worker.train.data.labels import Sense, one
from worker.train.examples.sample import Sample, as_it_stands
from worker.train.policies.wording import Entry, Wording, assemble, by_clauses, category

#: Labels that hold for one group only.
PREFIX: Final = "mention:"
_WORD: Final = re.compile(r"(?<![\w\[])[^\W\d_]{4,14}(?![\w\]])")
_COUNTS: Final = (0.5, 0.35, 0.15)
_MAX_WORDS: Final = 3
_STRANGE_WORD: Final = 0.4
_SWAPPED: Final = 0.25
_BY_CLAUSES: Final = 0.25
_NAMES: Final = ("Talk of {}", "Word {}", "{}", "Mentions", "Listed Words", "Rule {}", "Terms")
_DEFINITIONS: Final = (
    "texts that say {}.",
    "any mention of {}.",
    "messages with the word {}.",
    "someone writes {}.",
    "what contains {}.",
)
_INSIDE: Final = ("Says {}.", "Mentions {}.", "Contains the word {}.")
_OUTSIDE: Final = (
    "Does not say {}.",
    "Anything without {}.",
    "No mention of {}.",
    "Everything but {}.",
    "{} does not occur.",
    "Everything else.",
    "All the rest.",
)
_POINTERS: Final = ("see the clauses.", "as follows.", "what is named here:", "")
_OPAQUE: Final = 0.4


def words_of(text: str) -> dict[str, str]:
    """Return the words of a text as the model sees it, by their lower-case form."""
    return {word.lower(): word for word in _WORD.findall(mask(text)[0])}


def practise(
    rng: random.Random, group: Sequence[Sample], strangers: Iterable[Sample]
) -> tuple[Wording, list[Sample]] | None:
    """Draw a policy of words for a group; return it, and the group with the labels that it asks.

    Args:
        rng: the generator.
        group: rows that will share the policy.
        strangers: rows whose words are asked for too, although the group may not have them.

    Returns:
        None where the group's texts have no words that tell them apart.

    """
    found = [words_of(sample.row.text) for sample in group]
    telling = sorted({word for words in found for word in words if 2 * sum(word in one for one in found) <= len(found)})
    strange = sorted({word for sample in strangers for word in words_of(sample.row.text)}) or telling
    if not telling:
        return None
    taken: set[str] = set()
    entries, asked = [], []
    for place in range(rng.choices((1, 2, 3), _COUNTS)[0]):
        words = [
            rng.choice(strange if rng.random() < _STRANGE_WORD else telling) for _ in range(rng.randint(1, _MAX_WORDS))
        ]
        words = list(dict.fromkeys(words))
        asked.append(words)
        entries.append(_entry(rng, f"{PREFIX}{place}", words, taken, swapped=rng.random() < _SWAPPED and not place))
    return assemble(entries, "mentions"), [
        _labelled(sample, one, asked) for sample, one in zip(group, found, strict=True)
    ]


def _labelled(sample: Sample, words: dict[str, str], asked: Sequence[Sequence[str]]) -> Sample:
    known, quotes = dict(sample.row.known), dict(sample.quotes)
    for place, wanted in enumerate(asked):
        shown = mask(sample.row.text)[0]
        met = tuple(as_it_stands(words[word], shown) for word in wanted if word in words)
        known[f"{PREFIX}{place}"] = bool(met)
        quotes[f"{PREFIX}{place}"] = met
    return msgspec.structs.replace(sample, row=msgspec.structs.replace(sample.row, known=known), quotes=quotes)


def _entry(rng: random.Random, key: str, words: Sequence[str], taken: set[str], *, swapped: bool) -> Entry:
    listed = ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1]
    category_id = _id(rng, words[0], taken)
    name = rng.choice(_NAMES).format(words[0].capitalize() if rng.random() > _OPAQUE else category_id)
    inside = (rng.choice(_INSIDE).format(listed), one(key))
    outside = (rng.choice(_OUTSIDE).format(listed), Sense((key,), negated=True))
    if swapped or rng.random() < _BY_CLAUSES:
        barred, free = (outside, inside) if swapped else (inside, outside)
        return by_clauses(rng, category_id, name, rng.choice(_POINTERS), violates=[barred], allowed=[free])
    return Entry(category=category(category_id, name, rng.choice(_DEFINITIONS).format(listed)), sense=one(key))


def _id(rng: random.Random, word: str, taken: set[str]) -> str:
    """Return an id from a word's letters, or one that says nothing."""
    wanted = "".join(rng.sample(word[:4], 2)).upper() if rng.random() > _OPAQUE and word[:4].isascii() else ""
    while not wanted or wanted in taken:
        wanted = f"{rng.choice('ABCDEGKMRST')}{rng.randint(1, 39)}"
    taken.add(wanted)
    return wanted


def beside(wording: Wording, other: Wording) -> Wording:
    """Put the categories of two policies into one.

    Returns:
        The first alone where they share an id, or where one is of the whole taxonomy.

    """
    if wording.overall or other.overall:
        return wording
    ids = {shown.id for shown in wording.panel.categories}
    if ids & {shown.id for shown in other.panel.categories}:
        return wording
    panel = Panel(
        categories=(*wording.panel.categories, *other.panel.categories),
        prose=(*wording.panel.prose, *other.panel.prose),
    )
    return Wording(
        panel=panel,
        senses=(*wording.senses, *other.senses),
        kind=wording.kind,
        clauses=(*wording.clauses, *other.clauses),
    )
