"""The one format that every data set is read into."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from worker.records import Role, Turn
from worker.train.data.sources import FOLDER_SOURCES, source_of

#: Title, licence and origin of each set in the data folder: for NOTICE and the model card.
ATTRIBUTION: Final[dict[str, tuple[str, str, str]]] = {
    key: (source.title, source.licence, source.origin) for key, source in FOLDER_SOURCES.items()
}


class Row(Struct, frozen=True, kw_only=True):
    """One labelled text.

    Attributes:
        source: key of ``SOURCES``, which says licence, origin and whether it is commercial.
        place: ``<file>:<0-based data row>``, with ``#n`` for the nth part of a row that was cut up.
        text: what is judged, with personal data still in it; it is masked before anything is learnt.
        known: concept to label; a concept that is not there is unknown, never false.
        role: who wrote ``text``.
        context: the turns before ``text``, oldest first.
        evidence: quotes that stand in ``text`` word for word and show why it is violating.
        keys: what ties it to other rows (conversation, context, text, pair).
        group: the connected component of its keys; set when all rows are read.

    """

    source: str
    place: str
    text: str
    known: dict[str, bool]
    role: Role = "user"
    context: tuple[Turn, ...] = ()
    evidence: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    group: str = ""

    @property
    def messages(self) -> tuple[Turn, ...]:
        """The context and then the judged text, oldest first."""
        return (*self.context, Turn(role=self.role, text=self.text))

    @property
    def licence(self) -> str:
        """The licence of its set."""
        return source_of(self.source).licence

    @property
    def commercial(self) -> bool:
        """Whether the licence of its set lets a product be built on it."""
        return source_of(self.source).commercial

    @property
    def origin(self) -> str:
        """Who made its set, and where it is."""
        return source_of(self.source).origin


def commercial_only(rows: Iterable[Row]) -> list[Row]:
    """Return the rows whose licence lets a product be built on them."""
    return [row for row in rows if row.commercial]


def non_commercial(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the sources, sorted, that forbid commercial use. A run with any must mark its export."""
    return tuple(sorted({row.source for row in rows if not row.commercial}))
