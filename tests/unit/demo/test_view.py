"""What a person sees of the demonstration."""

from __future__ import annotations

import io

from rich.console import Console

from tests.support.verdicts import some_verdict
from worker.client import DeadLetter
from worker.demo.view import LiveView, PlainView, View

LETTER = DeadLetter(place=(0, 0), topic="t", stage="decode", error="DecodeError", detail="text: expected a string")


def show_everything(view: View) -> None:
    """Let a view show one of each."""
    with view:
        view.loading("broker", "Kafka starts")
        view.loaded("broker", "Kafka answers")
        view.outcomes("first pass", 2)
        view.outcome(some_verdict(), "hello [bold]there[/bold]")
        view.outcome(LETTER, "")
        view.outcomes("second pass", 1)
        view.outcome(some_verdict(), "again")
        view.settle()
        view.say("the end")


def test_plain_lines_hold_no_control_characters() -> None:
    """A file or a pipe gets text and nothing else, markup as it was written."""
    out = io.StringIO()
    show_everything(PlainView(Console(file=out, width=60)))
    text = out.getvalue()
    assert all(char.isprintable() or char == "\n" for char in text)
    for part in ("Kafka answers", "hello [bold]there[/bold]", "dead letter (decode)", "first pass: 2 of 2", "the end"):
        assert part in text


def test_a_terminal_keeps_the_last_table_and_what_was_said_below_it() -> None:
    """The table stays when it settles, and what follows stands below it."""
    out = io.StringIO()
    show_everything(LiveView(Console(file=out, force_terminal=True, width=140, height=40)))
    text = out.getvalue()
    for part in ("Kafka answers", "hello [bold]there[/bold]", "dead letter (decode)", "second pass"):
        assert part in text
    assert text.rindex("again") < text.rindex("the end")


def test_a_view_that_ends_while_loading_leaves_no_bars() -> None:
    """An error during the start finds a clean line."""
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=140, height=40))
    with view:
        view.loading("broker", "Kafka starts")
    text = out.getvalue()
    assert "\x1b[2K" in text[text.rindex("Kafka starts") :], "the line is not erased"
