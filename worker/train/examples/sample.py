"""A training row with what its reasoning may quote and what a teacher says of it. Pure."""

from __future__ import annotations

from msgspec import Struct

from worker.train.data.rows import Row


class Sample(Struct, frozen=True, kw_only=True):
    """A row with the quotes that its reasoning may use, by concept."""

    row: Row
    quotes: dict[str, tuple[str, ...]]
    taught: dict[str, float] = {}


def as_it_stands(quote: str, text: str) -> str:
    """Return a quote with the space that stands before it in the text: copied, it is the same tokens."""
    return f" {quote}" if f" {quote}" in text else quote
