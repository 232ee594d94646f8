"""Verdicts as people see them on a terminal."""

from __future__ import annotations

from rich.cells import cell_len

from tests.support.verdicts import policy_part, some_verdict
from worker import show


def test_a_row_names_label_score_hits_action_and_version() -> None:
    """Categories that were cited and not hit are left out."""
    found = show.row(some_verdict(policy_part("platform", 1), policy_part("t", 4)), "hello")
    assert found.cells == ("t", "hello", "unsafe", "0.88", "U7", "block", "v4")


def test_the_floor_alone_is_named() -> None:
    """A verdict under the floor alone says so, and one under no policy too."""
    assert show.policy_version(some_verdict(policy_part("platform", 3)).policy) == "floor v3"
    assert show.policy_version(some_verdict().policy) == "none"


def test_a_text_cannot_move_the_cursor_or_hide() -> None:
    """Escapes, line ends, zero-width and bidi characters become dots."""
    assert show.visible("a\x1b[2J\nb\u200bc\u202ed") == "a·[2J·b·c·d"


def test_a_long_text_is_cut_by_columns_and_not_by_characters() -> None:
    """A wide script takes two columns a character."""
    assert show.visible("x" * 20, cells=10) == "x" * 9 + "…"
    assert cell_len(show.visible("今" * 20, cells=10)) <= 10


def test_a_message_is_never_read_as_markup() -> None:
    """What looks like a style stays what it is."""
    found = show.styled(show.row(some_verdict(), "[red]x[/red]"))
    assert found[1].plain == "[red]x[/red]"


def test_a_line_stands_in_columns() -> None:
    """Lines of short and of wide texts line up."""
    rows = [show.line(show.row(some_verdict(), text)) for text in ("a", "今今")]
    assert len({cell_len(line) for line in rows}) == 1
