"""Contradictions and ties in a policy: two places that say the same, or the opposite. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from msgspec import UNSET, Struct

from worker.policy.finding import Finding, warning
from worker.records import Category, Policy

_WORD: Final = re.compile(r"[^\W_]+")
#: Words that change nothing about what a clause covers.
_ARTICLES: Final = frozenset({"a", "an", "the", "any", "all", "some", "this", "these", "that", "those", "it", "its"})
_LINKS: Final = frozenset({"of", "to", "for", "in", "on", "at", "by", "with", "or", "and", "which", "who"})
_CARRIERS: Final = frozenset({"is", "are", "be", "being", "content", "text", "message", "post", "posting", "comment"})
_FEWEST_FOR_PLURAL: Final = 4
_HISSING: Final = ("ches", "shes", "sses", "xes")


class _Said(Struct, frozen=True, kw_only=True):
    """One clause and where it stands; ``scope`` is empty for the policy that is linted."""

    path: str
    category: str
    side: Literal["violates", "allowed"]
    floor: bool


def plain(text: str) -> frozenset[str]:
    """Return a sentence as the words that carry its meaning: case, order, plural and filling words apart."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return frozenset(_singular(word) for word in words) - _ARTICLES - _LINKS - _CARRIERS


def clashes(policy: Policy, floor: Policy | None) -> Iterator[Finding]:
    """Yield every two places that contradict each other or cannot be told apart, the later one's path first."""
    base = floor.categories if floor else ()
    yield from _names(policy.categories, base)
    yield from _definitions(policy.categories)
    yield from _clauses(policy.categories, base)
    yield from _cases(policy)


def _names(own: Iterable[Category], base: Iterable[Category]) -> Iterator[Finding]:
    seen = {plain(item.name): ("the floor's", item.id) for item in base if item.name}
    for index, item in enumerate(own):
        if not item.name or not plain(item.name):
            continue
        whose, twin = seen.setdefault(plain(item.name), ("the", item.id))
        if twin != item.id:
            cure = "give each its own name, or make them one category"
            yield warning(f"categories[{index}].name", f"{whose} category {twin} has the same name", cure)


def _definitions(own: Iterable[Category]) -> Iterator[Finding]:
    seen: dict[frozenset[str], str] = {}
    for index, item in enumerate(own):
        if not item.definition or not plain(item.definition):
            continue
        twin = seen.setdefault(plain(item.definition), item.id)
        if twin != item.id:
            cure = "say in each what the other does not cover"
            yield warning(f"categories[{index}].definition", f"category {twin} has the same definition: a tie", cure)


def _clauses(own: Iterable[Category], base: Iterable[Category]) -> Iterator[Finding]:
    seen: dict[frozenset[str], list[_Said]] = {}
    for text, said in (*_said(base, floor=True), *_said(own, floor=False)):
        words = plain(text)
        if not words:
            continue
        earlier = seen.setdefault(words, [])
        if not said.floor:
            yield from _against(said, earlier)
        earlier.append(said)


def _said(categories: Iterable[Category], *, floor: bool) -> Iterator[tuple[str, _Said]]:
    for index, item in enumerate(categories):
        sides: tuple[Literal["violates", "allowed"], ...] = ("violates", "allowed")
        for side in sides:
            clauses = getattr(item, side)
            for at, clause in enumerate(() if clauses is UNSET else clauses):
                path = f"categories[{index}].{side}[{at}].text"
                yield clause.text, _Said(path=path, category=item.id, side=side, floor=floor)


def _against(said: _Said, earlier: Iterable[_Said]) -> Iterator[Finding]:
    for other in earlier:
        where = f"the floor's {other.category}" if other.floor else other.path
        if said.side != other.side:
            what = f"says the opposite of {where}: a contradiction"
            cure = "keep one; the floor's counts in any case" if other.floor else "keep one, or say where each holds"
            yield warning(said.path, what, cure)
            return
        if said.side == "violates" and (said.category != other.category or said.floor == other.floor):
            yield warning(said.path, f"says the same as {where}: a tie", "leave it to one category")
            return


def _cases(policy: Policy) -> Iterator[Finding]:
    seen: dict[object, tuple[int, str]] = {}
    for index, case in enumerate(policy.golden or ()):
        key = (case.text, case.role, tuple((turn.role, turn.text) for turn in case.context))
        first, label = seen.setdefault(key, (index, case.label))
        if first != index:
            opposite = label != case.label
            what = f"the text of golden[{first}] again{', with the other label' if opposite else ''}"
            yield warning(f"golden[{index}].text", what, "one of the two cannot pass" if opposite else "take it out")


def _singular(word: str) -> str:
    if word.endswith(_HISSING):
        return word.removesuffix("es")
    plural = len(word) >= _FEWEST_FOR_PLURAL and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word
