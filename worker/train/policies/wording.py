"""A policy in words together with what it asks, and how its categories are built. Pure, given a generator."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from worker.policy.model import EffectiveCategory, Panel, Prose
from worker.records import Clause
from worker.train.data.labels import Sense

#: About as many tokens as the small model's tokenizer makes of it: words, digits and signs.
_PIECE: Final = re.compile(r"\d|[^\W\d_]+|[^\w\s]")
_LETTERS: Final = re.compile(r"[a-z]+")
_NUMBERED: Final = 0.6
#: A clause id that says on which side it stands, and nothing of its text.
_PLACE_ID: Final = re.compile(r"[av]\d+")
#: A category that no row meets.
NEVER: Final = Sense(())


class Wording(Struct, frozen=True, kw_only=True):
    """A policy, and what each of its categories asks, in the same order.

    Attributes:
        kind: how it was varied (``draw.KINDS``), for measurements.
        clauses: ``<category id>/<clause id>`` and what the clause covers, for clauses that cover just what a
            label says. A clause that is only an example is not there.
        overall: for a policy of the whole taxonomy the label that tells its verdict, also where the labels of
            single categories are unknown; else empty.

    """

    panel: Panel
    senses: tuple[Sense, ...]
    kind: str = "plain"
    clauses: tuple[tuple[str, Sense], ...] = ()
    overall: str = ""

    def unsafe(self, known: Mapping[str, bool]) -> bool:
        """Return whether a row is unsafe under the policy.

        Raises:
            ValueError: the row's labels do not say; such a row is not built.

        """
        if self.overall in known:
            return known[self.overall]
        return any(self.values(known))

    def met(self, known: Mapping[str, bool]) -> tuple[bool, ...] | None:
        """Return whether a row meets each category; None where only the verdict is known.

        Raises:
            ValueError: the row's labels do not even say the verdict.

        """
        if self.overall in known:
            held = [sense.holds(known) for sense in self.senses]
            told = [bool(value) for value in held if value is not None]
            return tuple(told) if len(told) == len(held) and any(told) is known[self.overall] else None
        return self.values(known)

    def values(self, known: Mapping[str, bool]) -> tuple[bool, ...]:
        """Return whether a row meets each category.

        Raises:
            ValueError: the row's labels do not say; such a row is not built.

        """
        held = [sense.holds(known) for sense in self.senses]
        if None in held:
            text = f"a category asks for {self.senses[held.index(None)].any_of}, which the row's labels do not tell"
            raise ValueError(text)
        return tuple(bool(value) for value in held)


class Entry(Struct, frozen=True, kw_only=True):
    """One category of a policy under construction.

    Attributes:
        clauses: clause id and what it covers.
        loose: its name alone says what it asks, so that definition and clauses may go where room is short.

    """

    category: EffectiveCategory
    sense: Sense
    clauses: tuple[tuple[str, Sense], ...] = ()
    loose: bool = False


def category(
    category_id: str, name: str, definition: str = "", violates: Sequence[Clause] = (), allowed: Sequence[Clause] = ()
) -> EffectiveCategory:
    """Return a category of a made-up tenant."""
    return EffectiveCategory(
        scope="t", id=category_id, name=name, definition=definition, violates=tuple(violates), allowed=tuple(allowed)
    )


def clauses(rng: random.Random, texts: Sequence[str], letter: str) -> tuple[Clause, ...]:
    """Give clauses ids as authors do: numbers, or a word of the clause; a word that is taken gets a number."""
    numbered = rng.random() < _NUMBERED
    made: dict[str, str] = {}
    for place, text in enumerate(texts, 1):
        word = max(_LETTERS.findall(text.lower()), key=len)
        made[f"{letter}{place}" if numbered or word in made else word] = text
    return tuple(Clause(id=name, text=text) for name, text in made.items())


def both_clauses(
    rng: random.Random, violates: Sequence[str], allowed: Sequence[str]
) -> tuple[tuple[Clause, ...], tuple[Clause, ...]]:
    """Return violating and allowed clauses of one category, no id twice."""
    barred, free = clauses(rng, violates, "v"), clauses(rng, allowed, "a")
    if {clause.id for clause in barred} & {clause.id for clause in free}:
        barred = tuple(Clause(id=f"v{place}", text=one.text) for place, one in enumerate(barred, 1))
    return barred, free


def by_clauses(
    rng: random.Random,
    category_id: str,
    name: str,
    pointer: str,
    *,
    violates: Sequence[tuple[str, Sense]],
    allowed: Sequence[tuple[str, Sense]],
) -> Entry:
    """Build a category whose clauses say all: each comes with what it covers; the violating ones are its sense."""
    barred, free = both_clauses(rng, [text for text, _ in violates], [text for text, _ in allowed])
    covered = [(clause.id, sense) for clause, (_, sense) in zip((*barred, *free), (*violates, *allowed), strict=True)]
    senses = [sense for _, sense in violates]
    whole = Sense(tuple(key for sense in senses for key in sense.any_of), negated=senses[0].negated)
    made = category(category_id, name, pointer, barred, free)
    return Entry(category=made, sense=whole, clauses=tuple(covered))


def assemble(entries: Sequence[Entry], kind: str, proses: Iterable[str] = ()) -> Wording:
    """Put categories into one policy, in the order given.

    Raises:
        ValueError: two of them have the same id.

    """
    ids = [entry.category.id for entry in entries]
    if len(set(ids)) < len(ids):
        text = f"a policy cannot have an id twice: {', '.join(ids)}"
        raise ValueError(text)
    panel = Panel(
        categories=tuple(entry.category for entry in entries),
        prose=tuple(Prose(scope="t", text=text) for text in proses),
    )
    covered = tuple((f"{entry.category.id}/{name}", sense) for entry in entries for name, sense in entry.clauses)
    return Wording(panel=panel, senses=tuple(entry.sense for entry in entries), kind=kind, clauses=covered)


def exchanged(wording: Wording) -> Wording | None:
    """Let what violates and what is allowed change places, in every category that one clause of each says whole.

    Returns:
        The policy's twin, under which the same rows are labelled the other way round by those categories; None
        where the policy has no such category.

    """
    entries = _entries(wording)
    turned = [_turned(entry) for entry in entries]
    if turned == entries:
        return None
    return assemble(turned, wording.kind, [prose.text for prose in wording.panel.prose])


def _entries(wording: Wording) -> list[Entry]:
    """Take a policy apart again."""
    covered: dict[str, list[tuple[str, Sense]]] = {shown.id: [] for shown in wording.panel.categories}
    for name, sense in wording.clauses:
        owner, _, clause_id = name.partition("/")
        covered[owner].append((clause_id, sense))
    pairs = zip(wording.panel.categories, wording.senses, strict=True)
    return [Entry(category=shown, sense=sense, clauses=tuple(covered[shown.id])) for shown, sense in pairs]


def _turned(entry: Entry) -> Entry:
    """Exchange the two clauses of a category, or return it as it is where they do not say it whole."""
    shown, sense = entry.category, entry.sense
    opposite = Sense(sense.any_of, negated=not sense.negated)
    if len(shown.violates) != 1 or [covers for _, covers in entry.clauses] != [sense, opposite]:
        return entry
    violates, allowed = _moved(shown.allowed[0], "v"), _moved(shown.violates[0], "a")
    made = msgspec.structs.replace(shown, violates=(violates,), allowed=(allowed,))
    return Entry(category=made, sense=opposite, clauses=((violates.id, opposite), (allowed.id, sense)))


def _moved(clause: Clause, side: str) -> Clause:
    """Return a clause at its new side: an id that only says the side changes with it, a word stays."""
    return Clause(id=f"{side}{clause.id[1:]}" if _PLACE_ID.fullmatch(clause.id) else clause.id, text=clause.text)


def shorten(entries: Sequence[Entry], max_pieces: int) -> list[Entry]:
    """Take clauses, then definitions, from categories that can do without, last first, until the policy fits.

    Args:
        entries: the categories.
        max_pieces: words, digits and signs; about as many tokens.

    """
    kept = list(entries)
    over = sum(pieces(entry) for entry in kept) - max_pieces
    for bare in (_without_clauses, _without_definition):
        for place in range(len(kept) - 1, -1, -1):
            if over > 0 and kept[place].loose:
                shorter = bare(kept[place])
                over -= pieces(kept[place]) - pieces(shorter)
                kept[place] = shorter
    return kept


def _without_clauses(entry: Entry) -> Entry:
    bare = msgspec.structs.replace(entry.category, violates=(), allowed=())
    return msgspec.structs.replace(entry, category=bare, clauses=())


def _without_definition(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, category=msgspec.structs.replace(entry.category, definition=""))


def pieces(entry: Entry) -> int:
    """Count the words, digits and signs of a category as it stands in a prompt."""
    shown = entry.category
    lines = [f"{shown.id} {shown.name}", shown.definition]
    lines += [f"- violates {shown.id}/{clause.id}: {clause.text}" for clause in (*shown.violates, *shown.allowed)]
    return sum(len(_PIECE.findall(line)) for line in lines)
