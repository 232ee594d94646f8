"""Rows that this project wrote itself: what is known of benign ones, whatever they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from worker.train.data.labels import ABUSE, CIVILITY, HATE, SEXISM, SPAM, TOXICITY, close
from worker.train.data.rows import Row

#: Texts that are drawn for each one that is asked for, until enough of them differ.
_TRIES: Final = 4
_NOT_MET: Final = (HATE, CIVILITY, TOXICITY, ABUSE, SEXISM, SPAM)


def different(count: int, text_of: Callable[[int], str]) -> dict[str, int]:
    """Return so many different texts, each with the number that it was drawn for.

    Raises:
        ValueError: there are not so many.

    """
    texts: dict[str, int] = {}
    for number in range(_TRIES * count):
        texts.setdefault(text_of(number), number)
        if len(texts) == count:
            return texts
    problem = f"only {len(texts)} of {count} sentences differ; ask for fewer, or write more"
    raise ValueError(problem)


def benign(source: str, texts: Iterable[str]) -> list[Row]:
    """Return a row for each text, that is in no concept it could be taken for."""
    known = close(dict.fromkeys(_NOT_MET, False))
    return [
        Row(source=source, place=f"{source}:{number}", text=text, known=known, group=f"{source}:{number}")
        for number, text in enumerate(texts)
    ]
