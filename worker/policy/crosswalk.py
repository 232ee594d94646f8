"""RSafe's 18 categories in the words of OpenAI, MLCommons and the Digital Services Act.

The mapping is data (``crosswalk.json``) with a reason for every line; "none" is an answer. Nothing is
guessed at run time: a category that is not in the file has no counterpart.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

_FILE: Final = Path(__file__).with_name("crosswalk.json")
_DSA_PREFIX: Final = "STATEMENT_CATEGORY_"

Match = Literal["same", "part", "none"]
TaxonomyName = Literal["openai", "mlcommons", "dsa"]
TAXONOMIES: Final[tuple[TaxonomyName, ...]] = ("openai", "mlcommons", "dsa")


class Taxonomy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another party's categories: id to name, and where they are published."""

    name: str
    version: str
    sources: tuple[str, ...]
    ids: dict[str, str]


class Counterpart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one category is called elsewhere; ``ids`` is empty for ``none``, the best one first."""

    match: Match
    ids: tuple[str, ...]
    why: str


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of RSafe's categories (arXiv 2506.07736) and its counterparts."""

    id: str
    name: str
    openai: Counterpart
    mlcommons: Counterpart
    dsa: Counterpart


class Crosswalk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    version: int
    about: str
    taxonomies: dict[TaxonomyName, Taxonomy]
    categories: tuple[Row, ...]


@cache
def crosswalk() -> Crosswalk:
    """Read the file; the same value each time."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Crosswalk)


def dsa_categories() -> frozenset[str]:
    """Return every value that a statement of reasons may have in ``category``."""
    return frozenset(crosswalk().taxonomies["dsa"].ids)


def dsa_category(category_id: str) -> str | None:
    """Return the best category of a statement of reasons for one of RSafe's ids; None where there is none."""
    row = next((row for row in crosswalk().categories if row.id == category_id), None)
    return row.dsa.ids[0] if row and row.dsa.ids else None


def nearest_dsa(text: str) -> str | None:
    """Return the statement category that somebody probably meant, if any is near."""
    wanted = text.strip().upper().replace(" ", "_").replace("-", "_").removeprefix(_DSA_PREFIX)
    known = sorted(name.removeprefix(_DSA_PREFIX) for name in dsa_categories())
    near = get_close_matches(wanted, known, n=1)
    return _DSA_PREFIX + near[0] if near else None
