"""Mask what identifies a person: phone numbers, e-mail and web addresses, handles, long digits. Pure.

Models whose template asks for it are trained and served on masked text, so that they can neither
learn nor need such data. An offset map leads from the masked text back to the original.
"""

from __future__ import annotations

import re
from typing import Final

_PATTERN: Final = re.compile(
    r"""
    (?P<url>\b(?:https?://|www\.)[^\s<>"']{1,2000})
  | (?P<email>(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})
  | (?P<handle>(?<![\w@])@\w{1,50})
  | (?P<phone>(?<!\w)\+?\d{1,4}(?:[\s().-]{1,2}\d{2,5}){2,5}(?!\w))
  | (?P<digits>\d{5,})
    """,
    re.VERBOSE,
)


def mask(text: str) -> tuple[str, list[tuple[int, int, int, int]]]:
    """Replace each find by its kind in brackets.

    Returns:
        The masked text, and one (masked start, masked end, original start, original end) per find,
        in code points, ends excluded.

    """
    parts: list[str] = []
    moves: list[tuple[int, int, int, int]] = []
    cursor = length = 0
    for found in _PATTERN.finditer(text):
        plain, word = text[cursor : found.start()], f"[{found.lastgroup}]"
        start = length + len(plain)
        parts += [plain, word]
        moves.append((start, start + len(word), found.start(), found.end()))
        length, cursor = start + len(word), found.end()
    return "".join(parts) + text[cursor:], moves
