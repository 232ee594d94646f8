"""One thing that lint has to say. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Level = Literal["error", "warning", "info"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing to look at.

    Attributes:
        level: an ``error`` would be refused, a ``warning`` should be mended, an ``info`` is good to know.
        field: path of the field; empty for the whole record.
        message: what is wrong, and what to do, in one line.
        cure: what to do, alone.

    """

    level: Level
    field: str
    message: str
    cure: str = ""


def warning(field: str, what: str, cure: str) -> Finding:
    """Return a finding that somebody should mend."""
    return Finding(level="warning", field=field, message=f"{what}; {cure}", cure=cure)


def info(field: str, what: str, cure: str = "") -> Finding:
    """Return a finding that is only good to know."""
    return Finding(level="info", field=field, message=f"{what}; {cure}" if cure else what, cure=cure)
