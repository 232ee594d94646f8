"""Where the words that a reasoning quotes stand in the message. Pure.

A quote counts only if it stands in the prompt's text word for word. What the model saw may be masked
(``placeholders.py``); places are given in the original text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from worker.judge.placeholders import mask
from worker.records import Span

#: (masked start, masked end, original start, original end) of each placeholder.
Moves = Sequence[tuple[int, int, int, int]]
MAX_SPANS: Final = 8
_MAX_QUOTES: Final = 64
_QUOTE: Final = re.compile(r'"([^"]{2,400})"|\u201c([^\u201c\u201d]{2,400})\u201d')


def spans(reasoning: str, text: str, *, masked: bool) -> tuple[Span, ...]:
    """Find quoted evidence in a message.

    Args:
        reasoning: what the model wrote.
        text: the message as it came in.
        masked: whether the model saw it with placeholders.

    Returns:
        At most ``MAX_SPANS`` places in the original text, in code points, ends excluded, in the text's order.

    """
    quotes = quotes_in(reasoning)
    if not quotes:
        return ()
    shown, moves = mask(text) if masked else (text, [])
    places = [place for quote in quotes if (place := _find(quote, shown))]
    found = dict.fromkeys(_original(start, end, moves) for start, end in places)
    chosen = list(found)[:MAX_SPANS]
    return tuple(Span(start=start, end=end) for start, end in sorted(chosen))


def quotes_in(reasoning: str) -> list[str]:
    """Return what a reasoning puts in quotation marks, distinct, in its order."""
    found: Iterator[re.Match[str]] = _QUOTE.finditer(reasoning)
    quotes = dict.fromkeys((match[1] or match[2]).strip() for match in found)
    return [quote for quote in quotes if quote][:_MAX_QUOTES]


def stands(quote: str, text: str, *, masked: bool) -> bool:
    """Tell whether one of ``quotes_in`` stands in a message as the model saw it."""
    return _find(quote, mask(text)[0] if masked else text) is not None


def _find(quote: str, shown: str) -> tuple[int, int] | None:
    """Find a quote as whole words, or else anywhere (some scripts set no spaces)."""
    first = start = shown.find(quote)
    while start >= 0 and not _stands_alone(shown, start, start + len(quote)):
        start = shown.find(quote, start + 1)
    start = first if start < 0 else start
    return (start, start + len(quote)) if start >= 0 else None


def _stands_alone(shown: str, start: int, end: int) -> bool:
    return not (shown[start - 1 : start].isalnum() or shown[end : end + 1].isalnum())


def _original(start: int, end: int, moves: Moves) -> tuple[int, int]:
    """Lead a place in the masked text back; a placeholder that is touched counts as a whole."""
    return _back(start, moves, is_end=False), _back(end, moves, is_end=True)


def _back(place: int, moves: Moves, *, is_end: bool) -> int:
    shift = 0
    for masked_start, masked_end, original_start, original_end in moves:
        if place >= masked_end:
            shift = original_end - masked_end
        elif place > masked_start or (place == masked_start and not is_end):
            return original_end if is_end else original_start
        else:
            break
    return place + shift
