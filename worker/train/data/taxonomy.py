"""RSafe's 18 default categories as label keys, and how a set's own categories are told in them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from worker.train.data.labels import CIVILITY, EXPERTISE, HATE, close

VIOLENCE: Final = "violence"
WEAPONS: Final = "weapons"
CRIME: Final = "crime_fraud"
DRUGS: Final = "drugs"
SEXUAL: Final = "sexual"
SEXUAL_MINORS: Final = "sexual_minors"
SELF_HARM: Final = "self_harm"
PRIVACY: Final = "privacy"
PROPERTY: Final = "intellectual_property"
MISINFORMATION: Final = "misinformation"
ANIMALS: Final = "animal_abuse"
CHILD_ABUSE: Final = "child_abuse"
PUBLIC_SAFETY: Final = "public_safety"
COERCION: Final = "coercion_trafficking"
ESPIONAGE: Final = "espionage"
#: A set's own verdict over everything that it forbids; says nothing of a single category.
UNSAFE: Final = "unsafe"

#: Id, label key and name of RSafe's categories, in its order (reference prompt of the authors' code).
#: Nothing is ever labelled with the two about minors: such rows are left out.
RSAFE: Final[tuple[tuple[str, str, str], ...]] = (
    ("U1", VIOLENCE, "Violence & Physical Harm"),
    ("U2", WEAPONS, "Weapons & Illegal Tactics"),
    ("U3", CRIME, "Non-violent Crime & Fraud"),
    ("U4", DRUGS, "Drugs"),
    ("U5", SEXUAL, "Adult Sexual Content"),
    ("U6", SEXUAL_MINORS, "Sexual Content Involving Minors"),
    ("U7", HATE, "Hate & Discrimination"),
    ("U8", CIVILITY, "Harassment & Profanity"),
    ("U9", SELF_HARM, "Self-Harm & Suicide"),
    ("U10", PRIVACY, "Privacy & PII"),
    ("U11", PROPERTY, "IP"),
    ("U12", MISINFORMATION, "Misinformation & Manipulation"),
    ("U13", EXPERTISE, "Unauthorized Professional Advice"),
    ("U14", ANIMALS, "Animal Abuse"),
    ("U15", CHILD_ABUSE, "Child Abuse (non-sexual)"),
    ("U16", PUBLIC_SAFETY, "Environmental & Public-Safety Harm"),
    ("U17", COERCION, "Manipulation & Coercion / Human Trafficking"),
    ("U18", ESPIONAGE, "National-Security Espionage"),
)
MINORS: Final = frozenset({SEXUAL_MINORS, CHILD_ABUSE})
#: What the whole of RSafe's policy asks of a row here, in its order: all but the two about minors.
WHOLE: Final[tuple[str, ...]] = tuple(key for _, key, _ in RSAFE if key not in MINORS)

#: A set's category and what it can mean here. One key: that one. Several: one of them, unknown which.
#: None (``ANY``): any category at all.
Mapped = Mapping[str, tuple[str, ...]]
ANY: Final[tuple[str, ...]] = ()


def covered(mapping: Mapped) -> frozenset[str]:
    """Return the keys that a set's categories speak of; those about minors are never labelled."""
    return frozenset(key for keys in mapping.values() for key in keys) - MINORS


def meant_alone(mapping: Mapped) -> frozenset[str]:
    """Return the keys that one of a set's categories means by itself: no row is known to violate any other."""
    return frozenset(keys[0] for keys in mapping.values() if len(keys) == 1) - MINORS


def safe_labels(mapping: Mapped) -> dict[str, bool]:
    """Return the labels of a row that a set calls safe: outside each category that the set looks for."""
    return {UNSAFE: False} | dict.fromkeys(sorted(covered(mapping)), False)


def unsafe_labels(named: Iterable[str], mapping: Mapped, *, complete: bool) -> dict[str, bool]:
    """Return the labels of a row that a set calls unsafe.

    Args:
        named: the set's categories of the row; one that the mapping does not have may be any.
        mapping: what the set's categories mean here.
        complete: whether the set names every category that a row violates. Then the others are false,
            but for those that an ambiguous category may mean; else they are unknown.

    """
    meanings = [mapping.get(name, ANY) for name in named]
    hit = {keys[0] for keys in meanings if len(keys) == 1} - MINORS
    known = {UNSAFE: True} | dict.fromkeys(sorted(hit), True)
    if not complete or not meanings or ANY in meanings:
        return known
    left_open = {key for keys in meanings for key in keys}
    return known | dict.fromkeys(sorted(covered(mapping) - left_open), False)


def consistent(known: Mapping[str, bool]) -> dict[str, bool]:
    """Leave open what the reviewed relations contradict: a set's "no" to one category under a "yes" to another.

    A text that a set calls hate and not harassment is no text without any insult.
    """
    kept: dict[str, bool] = {key: value for key, value in known.items() if value}
    for key in known.keys() - kept.keys():
        if _goes_with(kept, key):
            kept[key] = False
    return {key: kept[key] for key in known if key in kept}


def _goes_with(positive: Mapping[str, bool], key: str) -> bool:
    try:
        close({name: True for name, value in positive.items() if value} | {key: False})
    except ValueError:
        return False
    return True


def about_minors(named: Iterable[str], mapping: Mapped) -> bool:
    """Whether a row is in a category about minors; such rows are never read."""
    return any(MINORS & set(mapping.get(name, ANY)) for name in named)
