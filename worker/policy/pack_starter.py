"""Policies to start from: RSafe's 18 categories in words of our own, and ready sets for kinds of places.

A set is a TOML file in ``starter/``. A category there that has only an id of ``categories.toml`` takes its
fields from it, its own fields winning; under an id of the starter floor a tenant's set only tightens.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import Struct

from worker.errors import UsageError
from worker.policy.crosswalk import dsa_category
from worker.records import PLATFORM, Policy, decode_policy

_FOLDER: Final = Path(__file__).with_name("starter")
_CATEGORIES: Final = "categories"
#: Fields of a set or a category that are for people, and no part of the record.
_FOR_PEOPLE: Final = frozenset({"about", "scope", "note"})

Kind = Literal["platform", "tenant"]


class Starter(Struct, frozen=True, kw_only=True):
    """One ready policy.

    Attributes:
        name: what it is asked for by.
        about: what it is for, in a sentence.
        kind: whether it is meant as the floor, or for a tenant above the floor ``platform``.
        policy: the record, version 1.
        notes: what the person who uses it has to know, by category id.

    """

    name: str
    about: str
    kind: Kind
    policy: Policy
    notes: dict[str, str]


def names() -> tuple[str, ...]:
    """Return the names of all sets: those for the platform first."""
    found = sorted(path.stem for path in _FOLDER.glob("*.toml") if path.stem != _CATEGORIES)
    return tuple(sorted(found, key=lambda name: _fields(name)["scope"] != PLATFORM))


def starter(name: str) -> Starter:
    """Return one set as a policy.

    Raises:
        UsageError: there is no such set.

    """
    if name not in names():
        text = f"there is no starter {name!r}; there are {', '.join(names())}"
        raise UsageError(text)
    fields = _fields(name)
    kind = cast("Kind", fields["scope"])
    kept = frozenset() if kind == PLATFORM else frozenset(one["id"] for one in _fields(PLATFORM)["categories"])
    categories = [_whole(one, kept) for one in fields["categories"]]
    notes = {one["id"]: _base()[one["id"]]["note"] for one in categories if "note" in _base().get(one["id"], {})}
    record = _for_record(fields) | {"categories": categories, "reason": _reason(name, notes)}
    return Starter(
        name=name,
        about=fields["about"],
        kind=kind,
        policy=decode_policy(msgspec.json.encode(record)),
        notes=notes,
    )


def base_ids() -> tuple[str, ...]:
    """Return the ids of RSafe's categories, in its order."""
    return tuple(_base())


def _whole(one: dict[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    """Return a category with what it leaves out; ids of the floor stay as they are."""
    if one["id"] in kept or one["id"] not in _base():
        return one
    statement = dsa_category(one["id"])
    extra = {"ground": "terms"} | ({"dsa_category": statement} if statement else {})
    return _for_record(_base()[one["id"]] | one | extra)


def _reason(name: str, notes: dict[str, str]) -> str:
    return " ".join([f"Starter set {name}.", *(f"{category}: {note}" for category, note in notes.items())])


def _for_record(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in _FOR_PEOPLE}


@cache
def _base() -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in _fields(_CATEGORIES)["categories"]}


@cache
def _fields(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
