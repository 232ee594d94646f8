"""Verdicts for people: one row of a table, or one plain line. Pure, and safe for a terminal."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from worker.records import PLATFORM, Action, PolicyRef, Verdict

#: Titles of a row's cells.
COLUMNS: Final = ("tenant", "text", "label", "score", "categories", "action", "policy")
#: Columns of the terminal that the text of a message may take.
TEXT_CELLS: Final = 46
_WIDTHS: Final = (12, TEXT_CELLS, 11, 5, 16, 6, 0)
_ACTION_STYLES: Final[dict[Action, str]] = {
    "allow": "green",
    "label": "cyan",
    "review": "yellow",
    "hold": "magenta",
    "block": "red",
}


class Row(Struct, frozen=True, kw_only=True):
    """One verdict as people read it."""

    cells: tuple[str, ...]
    action: Action


def visible(text: str, cells: int = TEXT_CELLS) -> str:
    """Return a text that cannot move the cursor or hide in a terminal, cut to a number of columns.

    Whatever does not print (line ends, zero-width and bidi characters, escapes) becomes a middle dot.
    """
    clean = "".join(char if char.isprintable() else "·" for char in text)
    return clean if cell_len(clean) <= cells else set_cell_size(clean, cells - 1).rstrip() + "…"


def policy_version(policy: PolicyRef) -> str:
    """Return name and version of the narrowest policy part, such as ``v2`` or ``floor v1``."""
    if not policy.parts:
        return "none"
    last = policy.parts[-1]
    return f"floor v{last.version}" if last.scope == PLATFORM else f"v{last.version}"


def row(verdict: Verdict, text: str, text_cells: int = TEXT_CELLS) -> Row:
    """Return the row of one verdict, its text cut to ``text_cells``; only categories that are hit are named."""
    hits = dict.fromkeys(item.id for item in verdict.categories if item.hit)
    cells = (
        verdict.tenant_id,
        visible(text, text_cells),
        verdict.label or verdict.status,
        "" if verdict.score is None else f"{verdict.score:.2f}",
        " ".join(hits),
        verdict.action,
        policy_version(verdict.policy),
    )
    return Row(cells=cells, action=verdict.action)


def line(shown: Row) -> str:
    """Return a row as one plain line in columns."""
    parts = [set_cell_size(cell, max(width, cell_len(cell))) for cell, width in zip(shown.cells, _WIDTHS, strict=True)]
    return "  ".join(parts).rstrip()


def styled(shown: Row) -> tuple[Text, ...]:
    """Return a row as cells for a table; nothing in a message is read as markup."""
    style = Style.parse(_ACTION_STYLES[shown.action])
    label = COLUMNS.index("label")
    return tuple(Text(cell, style=style if i >= label else Style(), no_wrap=True) for i, cell in enumerate(shown.cells))
