"""Licences of everything locked: what distributions say of themselves, and what was read and allowed by a person.

``deploy/licences.toml`` is the reviewed part. ``deploy/licences.md`` is generated; a machine sees what is
installed on it, so a row of another platform stays as the last one that saw it wrote it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, Final

from license_expression import ExpressionError, get_spdx_licensing
from msgspec import Struct, convert

from worker.supply.lock import Pin

NOT_SEEN: Final = "not seen"
UNKNOWN: Final = "unknown"
_ROW: Final = re.compile(r"^\| `(?P<name>[^`]+)` \| (?P<version>\S+) \| (?P<licence>[^|]+?) \| (?P<said>[^|]+?) \|$")
_MOST_CHARS: Final = 200
_HEAD: Final = """# Licences

Every distribution in the locks, made by `make generate`; [licences.toml](licences.toml) says which are allowed and what
was read by a person. `not seen`: it is not installed where this was made.

| distribution | version | licence | said by |
| --- | --- | --- | --- |
"""


class Reviewed(Struct, frozen=True, kw_only=True):
    """What a person found for a distribution (``name`` may hold ``*``), and why it may be used.

    ``licence`` counts where the metadata say nothing; ``allowed`` lets that licence pass for this one alone.
    """

    name: str
    licence: str
    reason: str
    allowed: bool = False


class Review(Struct, frozen=True, kw_only=True):
    """The reviewed file.

    Attributes:
        allowed: SPDX ids that any distribution may have.
        names: words of metadata, and the SPDX id that they mean.
        reviewed: distributions whose metadata say too little, or whose licence is allowed for them alone.

    """

    allowed: tuple[str, ...]
    names: dict[str, str]
    reviewed: tuple[Reviewed, ...]

    def of(self, name: str) -> Reviewed | None:
        """Return the entry for a distribution; the first pattern that fits counts."""
        return next((one for one in self.reviewed if fnmatchcase(name, one.name)), None)


class Licence(Struct, frozen=True):
    """One row: a distribution, its licence as an SPDX expression where there is one, and who says so."""

    name: str
    version: str
    licence: str
    said_by: str


def read_review(text: str) -> Review:
    """Read ``deploy/licences.toml``."""
    return convert(tomllib.loads(text), Review)


def licences(lock: Iterable[Pin], review: Review, before: Mapping[tuple[str, str], Licence]) -> list[Licence]:
    """Return a row for each pin: from what is installed here, else as ``before`` has it.

    Args:
        lock: all pins, of any number of locks.
        review: the reviewed file.
        before: rows of the file as it was, by name and version.

    """
    wanted = sorted({(pin.name, pin.version) for pin in lock})
    return [_seen(*one, review) or before.get(one) or Licence(*one, NOT_SEEN, "nobody") for one in wanted]


def _seen(name: str, version: str, review: Review) -> Licence | None:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    if found.version != version:
        return None
    stated, given = _stated(found.metadata, review.names), review.of(name)
    if stated == UNKNOWN and given is not None:
        return Licence(name, version, given.licence, "a person")
    return Licence(name, version, stated, "its metadata")


def _stated(metadata: Any, names: Mapping[str, str]) -> str:
    """Return what the metadata say, the most exact field first."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    line = (metadata.get("License") or "").strip().partition("\n")[0].strip()
    words = [one.rpartition("::")[2].strip() for one in metadata.get_all("Classifier") or () if one[:7] == "License"]
    for said in (line, *words):
        if said in names or _is_spdx(said):
            return names.get(said, said)
    return UNKNOWN


def _is_spdx(text: str) -> bool:
    if not text or len(text) > _MOST_CHARS:
        return False
    try:
        return not get_spdx_licensing().validate(text).errors
    except (ExpressionError, AttributeError):
        return False


def trouble(row: Licence, review: Review) -> str | None:
    """Return why a licence is not allowed, or None."""
    given = review.of(row.name)
    if row.licence == NOT_SEEN or (given and given.allowed and given.licence == row.licence):
        return None
    if row.licence == UNKNOWN:
        return f"{row.name} does not say its licence; read it and add it to reviewed"
    if not _is_spdx(row.licence) or not is_allowed(row.licence, review.allowed):
        return f"{row.name} is under {row.licence}, which is not on the list"
    return None


def is_allowed(expression: str, allowed: Iterable[str]) -> bool:
    """Tell whether an SPDX expression can be met by licences on the list: one side of OR, both of AND."""
    licensing, permitted = get_spdx_licensing(), set(allowed)
    parsed = licensing.parse(expression)
    values = {one: licensing.TRUE if one.render() in permitted else licensing.FALSE for one in parsed.symbols}
    return bool(parsed.subs(values, simplify=True) == licensing.TRUE) if values else False


def page(rows: Iterable[Licence]) -> str:
    """Return the file of all rows."""
    return _HEAD + "".join(f"| `{one.name}` | {one.version} | {one.licence} | {one.said_by} |\n" for one in rows)


def read_page(text: str) -> dict[tuple[str, str], Licence]:
    """Return the rows of the file, by name and version."""
    found = (match for line in text.splitlines() if (match := _ROW.match(line)))
    return {(one["name"], one["version"]): Licence(*one.groups()) for one in found}
