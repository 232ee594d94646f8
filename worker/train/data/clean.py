"""Texts as sets store them, brought to plain text; and rows that say the same or the opposite. Pure."""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from worker.folding import bare
from worker.train.data.labels import is_part
from worker.train.data.rows import Row

#: C1 controls are Windows-1252 read as Latin-1: SMS has quotes and dashes as such.
_WINDOWS: Final = {
    code: char for code in range(0x80, 0xA0) if (char := bytes([code]).decode("cp1252", errors="ignore"))
}
#: Marks without width or meaning; the joiner U+200D stays, emoji are built with it.
_INVISIBLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")
_LOST_APOSTROPHE: Final = re.compile(r"(?<=\w)\ufffd+(?=(?:t|s|m|d|re|ve|ll)\b)")
_LOST: Final = re.compile(r"\ufffd+")
_SPACES: Final = re.compile(r"\s+")


def clean(text: str) -> str:
    """Undo HTML escapes and wrong encodings, bring the sets' own placeholders to ours, fold space.

    What was lost in an earlier conversion (U+FFFD) is an apostrophe where English needs one, else a space.
    """
    plain = html.unescape(html.unescape(text)).translate(_WINDOWS)
    plain = _LOST.sub(" ", _LOST_APOSTROPHE.sub("'", plain))
    plain = _INVISIBLE.sub("", plain).replace("[USER]", "@USER").replace("[URL]", "[url]")
    return _SPACES.sub(" ", plain).strip()


class Settled(Struct, frozen=True, kw_only=True):
    """Rows that say each thing once, and what was dropped on the way, by source."""

    rows: tuple[Row, ...]
    copies: dict[str, int]
    outvoted: dict[str, int]
    tied: dict[str, int]


def settle(rows: Iterable[Row]) -> Settled:
    """Keep one row of each text in its context, with all its labels.

    Copies within a source (same role, text and context but for case, space and punctuation) that
    contradict each other on a concept are settled by majority, concept by concept: outvoted rows are
    dropped, and where votes are even all rows that have the label are. Rows that agree become one row;
    a part of a concept on which they differ is unknown.
    """
    same: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        same[_copy_key(row)].append(row)
    kept: list[Row] = []
    copies, outvoted, tied = Counter[str](), Counter[str](), Counter[str]()
    for group in same.values():
        majority, even = _votes(group)
        usable = [row for row in group if not even & row.known.keys()]
        agreed = [row for row in usable if _agrees(row, majority)]
        source = group[0].source
        tied[source] += len(group) - len(usable)
        outvoted[source] += len(usable) - len(agreed)
        copies[source] += max(0, len(agreed) - 1)
        kept += [_merged(agreed)] if agreed else []
    return Settled(rows=tuple(kept), copies=+copies, outvoted=+outvoted, tied=+tied)


def _copy_key(row: Row) -> tuple[object, ...]:
    return row.source, row.role, bare(row.text) or row.text, tuple((turn.role, bare(turn.text)) for turn in row.context)


def _votes(group: Sequence[Row]) -> tuple[dict[str, bool], set[str]]:
    """Return the majority for each concept, and the concepts whose votes are even."""
    yes, no = Counter[str](), Counter[str]()
    for row in group:
        for key, value in row.known.items():
            if not is_part(key):
                (yes if value else no)[key] += 1
    keys = yes.keys() | no.keys()
    return {key: yes[key] > no[key] for key in keys}, {key for key in keys if yes[key] == no[key]}


def _agrees(row: Row, majority: Mapping[str, bool]) -> bool:
    return all(majority.get(key, value) is value for key, value in row.known.items())


def _merged(group: Sequence[Row]) -> Row:
    """Return the first row, with the labels of all and those quotes that stand in it."""
    first = group[0]
    if len(group) == 1:
        return first
    labels = {label for row in group for label in row.known.items()}
    known = {key: value for row in group for key, value in row.known.items() if (key, not value) not in labels}
    quotes = dict.fromkeys(quote for row in group for quote in row.evidence if quote in first.text)
    return msgspec.structs.replace(first, known=known, evidence=tuple(quotes))
