"""Which split a row belongs to: by a hash of its group, so that twins never part. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, Literal

Split = Literal["train", "dev", "calib", "test"]

#: Upper bounds in hundredths: 78 % train, 6 % dev, 6 % calib, 10 % test. Calibration is measured on at
#: least 4,000 rows, so test is not smaller.
BOUNDS: Final[tuple[tuple[int, Split], ...]] = ((78, "train"), (84, "dev"), (90, "calib"), (100, "test"))
_SALT: Final = "rsafe-splits-2"
_NOT_WORD: Final = re.compile(r"[^\w]+")


def normalise(text: str) -> str:
    """Fold case, width and punctuation, so that near copies of a text are one text (emoji stay)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = _NOT_WORD.sub(" ", folded).strip()
    return words or folded.strip()


def split_of(group: str) -> Split:
    """Return the split of a group."""
    digest = hashlib.sha256(f"{_SALT}:{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") % 100
    return next(split for bound, split in BOUNDS if place < bound)


def join_groups(keys: Sequence[Iterable[str]]) -> list[str]:
    """Join rows that share any key (conversation, context, text, pair) into groups.

    Args:
        keys: the keys of each row; each row has at least one.

    Returns:
        One group name per row: the smallest key of its connected component.

    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    rows = [tuple(row) for row in keys]
    for row in rows:
        first = root(row[0])
        for key in row[1:]:
            other = root(key)
            low, high = sorted((first, other))
            parent[high] = low
            first = low
    return [root(row[0]) for row in rows]
