"""Texts that say the same in other letters become one text. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~\s]+")


def bare(text: str) -> str:
    """Fold case, width, space and ASCII punctuation; emoji stay, since they have a meaning."""
    return _PUNCTUATION.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
