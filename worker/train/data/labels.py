"""The concepts that rows are labelled for, what one label says of another, and what a category asks. Pure.

A label key is a concept (``sexism``) or a part of one that a set's own sub-labels tell apart
(``sexism.threats``). Parts of a concept need not cover it, and a row may be in several parts where no
relation excludes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

HATE: Final = "hate"
CIVILITY: Final = "civility"
ABUSE: Final = "abuse"
TOXICITY: Final = "toxicity"
SEXISM: Final = "sexism"
SPAM: Final = "spam"
OFFENDING: Final = "offending_user"
RISK: Final = "risk_ignorance"
EXPERTISE: Final = "unauthorized_expertise"
AGREEMENT: Final = "toxicity_agreement"
BIAS: Final = "biased_opinion"

#: EDOS categories 1 to 4; a row has one of them.
SEXISM_THREATS: Final = "sexism.threats"
SEXISM_DEROGATION: Final = "sexism.derogation"
SEXISM_ANIMOSITY: Final = "sexism.animosity"
SEXISM_PREJUDICE: Final = "sexism.prejudice"
#: EDOS vectors 3.1 and 3.2, within animosity.
SEXISM_SLURS: Final = "sexism.slurs"
SEXISM_STEREOTYPES: Final = "sexism.stereotypes"
#: Hatemoji types; a row has one of them.
HATE_DEROGATION: Final = "hate.derogation"
HATE_ANIMOSITY: Final = "hate.animosity"
HATE_DEHUMANISING: Final = "hate.dehumanising"
HATE_THREATS: Final = "hate.threats"
#: Hatemoji targets, grouped; a row may have several.
HATE_RACE: Final = "hate.race"
HATE_RELIGION: Final = "hate.religion"
HATE_ORIGIN: Final = "hate.origin"
HATE_GENDER: Final = "hate.gender"
HATE_IDENTITY: Final = "hate.gender_identity"
HATE_ORIENTATION: Final = "hate.orientation"
HATE_DISABILITY: Final = "hate.disability"
#: ConvAbuse types; a row may have several.
ABUSE_SEXUAL: Final = "abuse.sexual"
ABUSE_SEXIST: Final = "abuse.sexist"
ABUSE_INTELLECT: Final = "abuse.intellect"

_EDOS_CATEGORIES: Final = (SEXISM_THREATS, SEXISM_DEROGATION, SEXISM_ANIMOSITY, SEXISM_PREJUDICE)
_HATE_TYPES: Final = (HATE_DEROGATION, HATE_ANIMOSITY, HATE_DEHUMANISING, HATE_THREATS)
#: Whom hate is aimed at.
HATE_TARGETS: Final = (
    HATE_RACE,
    HATE_RELIGION,
    HATE_ORIGIN,
    HATE_GENDER,
    HATE_IDENTITY,
    HATE_ORIENTATION,
    HATE_DISABILITY,
)
#: The parts of each concept that has any.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    SEXISM: (*_EDOS_CATEGORIES, SEXISM_SLURS, SEXISM_STEREOTYPES),
    HATE: (*_HATE_TYPES, *HATE_TARGETS),
    ABUSE: (ABUSE_SEXUAL, ABUSE_SEXIST, ABUSE_INTELLECT),
}

#: A key and its value.
Label = tuple[str, bool]

_REVIEWED: Final[tuple[tuple[Label, Label, str], ...]] = (
    ((ABUSE, True), (CIVILITY, True), "abuse of the one who answers is harassment, whatever its words"),
    ((OFFENDING, True), (CIVILITY, True), "an answer that insults the user is harassment"),
    ((TOXICITY, True), (CIVILITY, True), "toxic is defined by insult and disrespect, which civility forbids"),
    ((CIVILITY, False), (TOXICITY, False), "a text without insult and offence is not a toxic comment"),
    ((TOXICITY, False), (HATE, False), "a comment that nobody finds disrespectful does not attack a group"),
    ((SEXISM_THREATS, True), (HATE_THREATS, True), "EDOS and Hatemoji both mean a threat, or support for harm"),
    ((SEXISM_THREATS, True), (HATE_GENDER, True), "a sexist threat is aimed at women"),
)
_PART_TRUE: Final = "what is in a part of a concept is in the concept"
_PART_FALSE: Final = "what is outside a concept is outside its parts"

#: Reviewed relations: (a label, what follows from it), each with its reason.
IMPLIED: Final[tuple[tuple[Label, Label, str], ...]] = (
    *_REVIEWED,
    *(((part, True), (concept, True), _PART_TRUE) for concept, parts in PARTS.items() for part in parts),
    *(((concept, False), (part, False), _PART_FALSE) for concept, parts in PARTS.items() for part in parts),
)
#: Reviewed relations: two keys that are never true together, each pair with its reason.
EXCLUDED: Final[tuple[tuple[str, str, str], ...]] = (
    *((one, two, "EDOS gives a row one category") for one, two in itertools.combinations(_EDOS_CATEGORIES, 2)),
    *((one, two, "Hatemoji gives a row one type") for one, two in itertools.combinations(_HATE_TYPES, 2)),
)


def concept_of(key: str) -> str:
    """Return the concept of a key: itself, or what it is a part of."""
    return key.partition(".")[0]


def is_part(key: str) -> bool:
    """Whether a key is a part of a concept, and not a concept."""
    return "." in key


def close(known: Mapping[str, bool]) -> dict[str, bool]:
    """Add what follows from the labels. A label that is there is never overwritten.

    Raises:
        ValueError: two labels contradict each other through the tables.

    """
    return dict(_closed(tuple(known.items())))


@lru_cache(maxsize=4096)
def _closed(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    closed, waiting, table = dict(labels), list(labels), _consequences()
    while waiting:
        label = waiting.pop(0)
        for other, follows in table.get(label, ()):
            if other not in closed:
                closed[other] = follows
                waiting.append((other, follows))
            elif closed[other] is not follows:
                text = f"{label[0]}={label[1]} implies {other}={follows}, but the row says otherwise"
                raise ValueError(text)
    return tuple(closed.items())


@lru_cache(maxsize=1)
def _consequences() -> dict[Label, tuple[Label, ...]]:
    """Return what follows from each label directly, by both tables."""
    pairs = [(given, follows) for given, follows, _reason in IMPLIED]
    for one_key, other, _reason in EXCLUDED:
        pairs += [((one_key, True), (other, False)), ((other, True), (one_key, False))]
    table: dict[Label, tuple[Label, ...]] = {}
    for given, follows in pairs:
        table[given] = (*table.get(given, ()), follows)
    return table


class Sense(Struct, frozen=True, order=True):
    """What a category of a policy asks of a row: one label, or any of several; ``negated``: none of them.

    One key is a concept or a part of it; several are a definition that spans parts; a negated sense is
    what stays when ``violates`` and ``allowed`` change places.
    """

    any_of: tuple[str, ...]
    negated: bool = False

    def holds(self, known: Mapping[str, bool]) -> bool | None:
        """Tell whether a row meets it; None where the row's labels do not say."""
        values = [known.get(key) for key in self.any_of]
        if any(values):
            return not self.negated
        return None if None in values else self.negated


def one(key: str) -> Sense:
    """Return the sense of a single label."""
    return Sense((key,))
