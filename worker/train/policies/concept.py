"""What one meaning is called and how it is put: the words of a policy's category. Pure."""

from __future__ import annotations

from msgspec import Struct


class Concept(Struct, frozen=True, kw_only=True):
    """One meaning, a concept or a part of one, in words. The first id and the first name are the canonical ones.

    Attributes:
        key: the label key that it asks.
        ids, names: what a category of it is called.
        definitions: each says the whole of it.
        violates, allowed: clauses; each says some of what is in it, or some of what is not.
        opposites: each says all that is not in it; what ``violates`` holds when it changes places with ``allowed``.

    """

    key: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    definitions: tuple[str, ...]
    violates: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    opposites: tuple[str, ...] = ()


class Topic(Struct, frozen=True, kw_only=True):
    """Something that no row of any set is about, for categories that stand in a policy and are never met.

    A policy of topics alone is what is left when a row's own category is taken away; it is kept rare.

    Attributes:
        signs: words of which a text about it has at least one; a test looks for them in all rows.

    """

    id: str
    name: str
    definition: str
    signs: tuple[str, ...]
