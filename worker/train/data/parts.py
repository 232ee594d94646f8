"""What the sets' own sub-labels say of the parts of a concept. Pure.

True and false are only written where the set tells them; where it does not, the part is absent.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Final

from worker.train.data.labels import (
    ABUSE,
    ABUSE_INTELLECT,
    ABUSE_SEXIST,
    ABUSE_SEXUAL,
    HATE,
    HATE_ANIMOSITY,
    HATE_DEHUMANISING,
    HATE_DEROGATION,
    HATE_DISABILITY,
    HATE_GENDER,
    HATE_IDENTITY,
    HATE_ORIENTATION,
    HATE_ORIGIN,
    HATE_RACE,
    HATE_RELIGION,
    HATE_TARGETS,
    HATE_THREATS,
    PARTS,
    SEXISM,
    SEXISM_ANIMOSITY,
    SEXISM_DEROGATION,
    SEXISM_PREJUDICE,
    SEXISM_SLURS,
    SEXISM_STEREOTYPES,
    SEXISM_THREATS,
)

_EDOS_CATEGORIES: Final = {
    "1": SEXISM_THREATS,
    "2": SEXISM_DEROGATION,
    "3": SEXISM_ANIMOSITY,
    "4": SEXISM_PREJUDICE,
}
#: Vectors that say yes or no to slurs. Threats and derogation are left open: 11 to 64 % of their rows
#: hold a gendered slur, whatever the vector; in the vectors that say no it is 2 to 8 %.
_SLURS: Final = {"3.1": True, "3.2": False, "3.3": False, "3.4": False, "4.1": False, "4.2": False}
#: The same for stereotypes. Descriptive attacks (2.1), objectification (2.3), compliments and advice
#: (3.3, 3.4) and prejudice (4) often rest on one, so they are left open.
_STEREOTYPES: Final = {"1.1": False, "1.2": False, "2.2": False, "3.1": False, "3.2": True}
#: EDOS vectors that attack or dehumanise women: hate too. The others are sexist, and whether they
#: are hate is left open (2.2 and 3.1 are mostly swear words, which other sets label as not hate).
_EDOS_HATE: Final = ("1.1", "1.2", "2.1", "2.3")

_TYPES: Final = {
    "derogation": HATE_DEROGATION,
    "animosity": HATE_ANIMOSITY,
    "dehumanizinglanguage": HATE_DEHUMANISING,
    "threateninglanguage": HATE_THREATS,
}
#: Hatemoji's codes of targets, and what each is.
_TARGETS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("bla", "blaman", "mix.race", "ethmin", "indig", "abo", "hisp", "trav"), frozenset({HATE_RACE})),
    **dict.fromkeys(("asi", "asiman", "asi.east", "asi.south", "arab", "african"), frozenset({HATE_RACE})),
    **dict.fromkeys(("blawom", "asiwom", "indigwom"), frozenset({HATE_RACE, HATE_GENDER})),
    **dict.fromkeys(("mus", "jew", "sikh", "hind"), frozenset({HATE_RELIGION})),
    **dict.fromkeys(("muswom", "sikhwom"), frozenset({HATE_RELIGION, HATE_GENDER})),
    **dict.fromkeys(("immig", "ref", "asy", "for", "mex", "ind"), frozenset({HATE_ORIGIN})),
    **dict.fromkeys(("asi.east.chin", "asi.south.pak", "europe.east"), frozenset({HATE_ORIGIN})),
    "indwom": frozenset({HATE_ORIGIN, HATE_GENDER}),
    "wom": frozenset({HATE_GENDER}),
    **dict.fromkeys(("gay", "gayman", "gaywom", "bis", "lgbtqa"), frozenset({HATE_ORIENTATION})),
    "trans": frozenset({HATE_IDENTITY}),
    "dis": frozenset({HATE_DISABILITY}),
    "wc": frozenset(),
}
#: What a code leaves open beside what it is: an ethnic group is often named by where it comes from,
#: Jews are a faith and a people, and whether hate of lesbians or trans people is about sex is a matter of policy.
_OPEN: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(
        ("asi", "asiman", "asi.east", "asi.south", "arab", "african", "hisp", "asiwom"), frozenset({HATE_ORIGIN})
    ),
    **dict.fromkeys(("ethmin", "mix.race", "indig", "abo", "trav", "indigwom"), frozenset({HATE_ORIGIN})),
    **dict.fromkeys(("asi.east.chin", "asi.south.pak", "mex", "ind", "indwom", "europe.east"), frozenset({HATE_RACE})),
    **dict.fromkeys(("immig", "ref", "asy", "for"), frozenset({HATE_RACE})),
    "jew": frozenset({HATE_RACE, HATE_ORIGIN}),
    **dict.fromkeys(("gayman", "gaywom", "blaman", "asiman"), frozenset({HATE_GENDER})),
    "asiman": frozenset({HATE_GENDER, HATE_ORIGIN}),
    "lgbtqa": frozenset({HATE_GENDER, HATE_IDENTITY}),
    "trans": frozenset({HATE_GENDER, HATE_ORIENTATION}),
}
_NATIONALITY: Final = "nat."

_ABUSE_TYPES: Final = {
    "sex_harassment": ABUSE_SEXUAL,
    "sexist": ABUSE_SEXIST,
    "intellectual": ABUSE_INTELLECT,
}
_ANNOTATORS: Final = 8
_SEVERITIES: Final = ("-1", "-2", "-3")


def absent(concept: str) -> dict[str, bool]:
    """Return the labels of a row that is not in a concept: no part of it either."""
    return {concept: False} | dict.fromkeys(PARTS.get(concept, ()), False)


def edos_labels(category: str, vector: str) -> dict[str, bool]:
    """Return the labels of a sexist row, from its category (``1. ...``) and vector (``1.1 ...``)."""
    own, number = _EDOS_CATEGORIES[category[:1]], vector[:3]
    known = {SEXISM: True} | {part: part == own for part in _EDOS_CATEGORIES.values()}
    if number in _SLURS:
        known[SEXISM_SLURS] = _SLURS[number]
    if number in _STEREOTYPES:
        known[SEXISM_STEREOTYPES] = _STEREOTYPES[number]
    return known | ({HATE: True, HATE_GENDER: True} if number in _EDOS_HATE else {})


def hatemoji_labels(kind: str, targets: str) -> dict[str, bool]:
    """Return the labels of a hateful row.

    Args:
        kind: its type, one of four.
        targets: a Python list of codes, as the file has it. A target that any code is, is true; one that
            any code leaves open, or that an unknown code might be, is absent; the rest are false.

    """
    own = _TYPES[kind]
    return {HATE: True} | {part: part == own for part in _TYPES.values()} | _targets(ast.literal_eval(targets))


def _targets(codes: Iterable[str]) -> dict[str, bool]:
    hit: set[str] = set()
    left_open: set[str] = set()
    for code in codes:
        if code.startswith(_NATIONALITY):
            hit.add(HATE_ORIGIN)
            left_open.add(HATE_RACE)
        hit |= _TARGETS.get(code, frozenset())
        left_open |= _OPEN.get(code, frozenset())
        if code not in _TARGETS and not code.startswith(_NATIONALITY):
            left_open |= set(HATE_TARGETS)
    return {part: part in hit for part in HATE_TARGETS if part in hit or part not in left_open}


def convabuse_types(row: Mapping[str, str]) -> dict[str, bool]:
    """Return the types of an abusive message, by those annotators who saw abuse.

    True where more than half of them name the type, false where no annotator at all names it, and
    absent where they disagree.
    """
    known = {ABUSE: True}
    saw = [number for number in range(1, _ANNOTATORS + 1) if _saw_abuse(row, number)]
    for name, part in _ABUSE_TYPES.items():
        shares = [_share(row, number, name) for number in range(1, _ANNOTATORS + 1)]
        votes = sum(_share(row, number, name) > _HALF for number in saw)
        if votes > _HALF * len(saw):
            known[part] = True
        elif not any(shares):
            known[part] = False
    return known


_HALF: Final = 0.5


def _saw_abuse(row: Mapping[str, str], number: int) -> bool:
    return any(_share(row, number, f"is_abuse.{severity}") for severity in _SEVERITIES)


def _share(row: Mapping[str, str], number: int, name: str) -> float:
    """Return how often an annotator ticked a box; some saw a message twice ("0, 1")."""
    ticks = [float(tick) for tick in (row.get(f"Annotator{number}_{name}") or "").split(",") if tick.strip()]
    return sum(ticks) / len(ticks) if ticks else 0.0
