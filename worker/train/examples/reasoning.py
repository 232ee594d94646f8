"""The reasoning that a training example teaches: short, made from labels and evidence. Pure, given a generator.

It walks the policy in order, says of each category whether it is met, names the clause that decides it
and words that stand in the text, and ends with the conclusion that the template's pattern finds:

    S9 met by S9/v1, " claim your prize"
    U7 not met
    so unsafe.

An id begins a line, as it does in the policy, and a quote keeps the space before its first word: so both are
the very tokens that are copied. With another sign before them they are other tokens, and ids that were
never met came out wrong more often than right.

The decision comes right after the id, whether the category is met or not, so that the word before it
never tells. A clause is named only where it covers just what a label says: which of a category's
examples a row falls under is not known.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from worker.policy.model import EffectiveCategory
from worker.records import Label
from worker.train.data.labels import Sense, concept_of
from worker.train.policies.wording import Wording

#: Up to so many categories each has its own verdict; where there are more, unmet neighbours share one.
SPELT_OUT: Final = 3
MET: Final = " met"
NOT_MET: Final = " not met"
#: After the id of an unmet category whose verdict follows with that of the next one.
_AS_NEXT: Final = ","

#: A piece of the trace, and whether it decides about a category.
Segment = tuple[str, bool]


def label_of(wording: Wording, known: Mapping[str, bool]) -> Label:
    """Return the label of a row under a policy.

    Raises:
        ValueError: the policy has a category whose label is unknown for the row.

    """
    return "unsafe" if wording.unsafe(known) else "safe"


def cited(wording: Wording, known: Mapping[str, bool]) -> list[str]:
    """Return the ids of the violated categories, in the policy's order; none where only the verdict is known."""
    pairs = zip(wording.panel.categories, wording.met(known) or (), strict=False)
    return [category.id for category, met in pairs if met]


def is_told(wording: Wording, known: Mapping[str, bool]) -> bool:
    """Whether a row's labels tell each category; where they do not, no reasoning is made up for it."""
    return wording.met(known) is not None


def write(rng: random.Random, wording: Wording, known: Mapping[str, bool], quotes: Mapping[str, Sequence[str]]) -> str:
    """Write the reasoning: the segments as one text."""
    return "".join(text for text, _ in segments(rng, wording, known, quotes))


def segments(
    rng: random.Random, wording: Wording, known: Mapping[str, bool], quotes: Mapping[str, Sequence[str]]
) -> list[Segment]:
    """Write the reasoning in pieces, to be tokenised one by one.

    Args:
        rng: picks the quote.
        wording: the policy.
        known: the row's labels.
        quotes: by concept or part, words of the masked text.

    Returns:
        Texts, and whether each is a decision: ``" met"``, ``" not met"``, or the comma after an unmet
        category that shares its verdict with the next one. The rest follows from decisions and evidence.

    Raises:
        ValueError: the policy has a category whose label is unknown for the row.

    """
    values = wording.values(known)
    made: list[Segment] = []
    for place, (category, sense) in enumerate(zip(wording.panel.categories, wording.senses, strict=True)):
        made.append((("\n" if place else "") + category.id, False))
        if values[place]:
            made += [(MET, True), (_evidence(rng, wording, category, sense, known, quotes), False)]
        elif len(values) > SPELT_OUT and not any(values[place : place + 2]) and place + 1 < len(values):
            made.append((_AS_NEXT, True))
        else:
            made += [(NOT_MET, True), (_exception(wording, category, known), False)]
    made.append((f"\nso {label_of(wording, known)}.", False))
    return list(_joined(made))


def _evidence(
    rng: random.Random,
    wording: Wording,
    category: EffectiveCategory,
    sense: Sense,
    known: Mapping[str, bool],
    quotes: Mapping[str, Sequence[str]],
) -> str:
    """Name the violated clause and quote the text, where there is something to name and to quote."""
    clause = _clause(wording, category.id, [clause.id for clause in category.violates], known)
    shown = [] if sense.negated else _quotes(sense, known, quotes)
    reasons = [clause] if clause else []
    reasons += [f'"{rng.choice(shown)}"'] if shown else []
    return f" by {', '.join(reasons)}" if reasons else ""


def _quotes(sense: Sense, known: Mapping[str, bool], quotes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what may be quoted for what is met: a part's own evidence, or that of its concept."""
    met = [key for key in sense.any_of if known.get(key)]
    return list(dict.fromkeys(quote for key in met for quote in quotes.get(key) or quotes.get(concept_of(key), ())))


def _exception(wording: Wording, category: EffectiveCategory, known: Mapping[str, bool]) -> str:
    clause = _clause(wording, category.id, [clause.id for clause in category.allowed], known)
    return f", {clause} allows it" if clause else ""


def _clause(wording: Wording, category_id: str, names: Sequence[str], known: Mapping[str, bool]) -> str:
    """Return the first of these clauses that covers the row for certain, or nothing."""
    wanted = {f"{category_id}/{name}" for name in names}
    return next((name for name, sense in wording.clauses if name in wanted and sense.holds(known)), "")


def _joined(made: Sequence[Segment]) -> Iterator[Segment]:
    """Join neighbours that decide nothing."""
    plain = ""
    for text, decides in made:
        if not decides:
            plain += text
            continue
        if plain:
            yield plain, False
        yield text, True
        plain = ""
    if plain:
        yield plain, False
