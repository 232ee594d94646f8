"""Reading what a model writes: strict where a grammar held its hand, forgiving where it wrote freely."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.growth import growth
from tests.support.judging import category, clauses, panel
from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE
from worker.judge.parse import (
    Answer,
    cited_clauses,
    cited_pairs,
    conclusion,
    parse_answer,
    parse_free,
    parse_ids,
    read,
)
from worker.judge.template import Template, read_template

IDS: Final = ("U1", "U7", "U15")
CHAT: Final = read_template(CHAT_TEMPLATE)
PANEL: Final = panel(category("U1"), category("U7"), category("U15"))


DEMO: Final = read_template(DEMO_TEMPLATE)


ANSWERS: Final[dict[str, Answer | None]] = {
    "safe}": Answer(label="safe"),
    "unsafe} U7": Answer(label="unsafe", ids=("U7",)),
    "unsafe} U1, U7, U15": Answer(label="unsafe", ids=("U1", "U7", "U15")),
    "unsafe}": None,
    "unsafe} ": None,
    "unsafe} U15, U7": None,
    "unsafe} U7, U7": None,
    "unsafe} U2": None,
    "unsafe} U7,U15": None,
    "unsafe} U7, ": None,
    "unsafe}  U7": None,
    "safe} U7": None,
    "safe": None,
    "Safe}": None,
    "": None,
}


@pytest.mark.parametrize("text", ANSWERS, ids=repr)
def test_an_answer_under_the_grammar(text: str) -> None:
    """Exactly the sentences of the grammar are read."""
    assert parse_answer(text, IDS, "}") == ANSWERS[text]


def test_a_panel_of_prose_has_a_bare_unsafe() -> None:
    """Without categories ``unsafe}`` is whole, and ids behind it are too much."""
    assert parse_answer("unsafe}", (), "}") == Answer(label="unsafe")
    assert parse_answer("unsafe} U7", (), "}") is None


def test_ids_alone() -> None:
    """The third phase's text is the part behind ``unsafe}``."""
    assert parse_ids(" U1, U15", IDS) == ("U1", "U15")
    assert parse_ids("U1", IDS) is None
    assert parse_ids("", IDS) is None


def test_pairs_come_in_the_policys_order_with_every_scope() -> None:
    """An id that stands in two scopes is cited in both."""
    twins = panel(category("U7", "platform"), category("U1"), category("U7", "shop"))

    assert cited_pairs(("U7", "U1"), twins) == (("platform", "U7"), ("shop", "U1"), ("shop", "U7"))


CLAUSES: Final[dict[str, tuple[str, ...]]] = {
    "see U7/slur.": ("U7/slur",),
    "(U7/slur), U7/ok and U7/slur again": ("U7/slur", "U7/ok"),
    "U7/ok before U7/slur": ("U7/slur", "U7/ok"),
    "U7/slurs, U77/slur, U8/slur, U7/": (),
    "dotted U7/v.1.": ("U7/v.1",),
    "-U7/slur-": ("U7/slur",),
    "nothing": (),
}


@pytest.mark.parametrize("text", CLAUSES)
def test_clauses_that_a_reasoning_names(text: str) -> None:
    """Clauses count if they exist in the panel, whatever punctuation stands beside them."""
    known = panel(category("U7", violates=clauses("slur", "v.1"), allowed=clauses("ok")))

    assert cited_clauses(text, known) == CLAUSES[text]


CONCLUSIONS: Final[dict[str, Any]] = {
    "so safe.": "safe",
    "U7 met; so unsafe.": "unsafe",
    "first safe. then unsafe.": "unsafe",
    'it says "so safe." but U7 is met': None,
    "": None,
}


@pytest.mark.parametrize("text", CONCLUSIONS)
def test_the_conclusion_stands_at_the_end(text: str) -> None:
    """Only the reasoning's last words conclude; a quote in its middle does not."""
    assert conclusion(text, DEMO) == CONCLUSIONS[text]


def test_the_default_template_concludes_with_a_box_at_the_end() -> None:
    """A box that the reasoning quotes from the message is no conclusion."""
    assert conclusion(r"It is bad, so \boxed{unsafe}.", CHAT) == "unsafe"
    assert conclusion(r"The message says \boxed{safe} to fool me.", CHAT) is None


READINGS: Final[dict[str, tuple[str | None, Answer | None, bool, str]]] = {
    "agreeing": ("so unsafe.", Answer(label="unsafe", ids=("U7",)), False, "judged"),
    "no reasoning": (None, Answer(label="safe"), False, "judged"),
    "no conclusion": ("hm", Answer(label="safe"), False, "judged"),
    "against its conclusion": ("so safe.", Answer(label="unsafe", ids=("U7",)), False, "contradictory"),
    "no answer": ("so safe.", None, False, "unparseable"),
    "cut": ("so saf", Answer(label="safe"), True, "truncated"),
    "cut and no answer": ("so saf", None, True, "truncated"),
}


@pytest.mark.parametrize("case", READINGS)
def test_status(case: str) -> None:
    """The status follows from reasoning and answer; only what is judged cites, the model's word stays."""
    reasoning, answer, truncated, status = READINGS[case]

    found = read(reasoning, answer, PANEL, DEMO, truncated=truncated)

    assert found.status == status
    assert found.model_label == (answer.label if answer else None)
    assert found.cited == ((("shop", "U7"),) if status == "judged" and answer and answer.ids else ())


FREE: Final[dict[str, tuple[str, str | None, tuple[str, ...]]]] = {
    "<think>\nU7 is met.</think>\n\\boxed{unsafe} U7": ("judged", "unsafe", ("U7",)),
    "<think>fine</think>\\boxed{safe}": ("judged", "safe", ()),
    "<think>fine</think>\\boxed{\\text{safe}}": ("judged", "safe", ()),
    "<think>x</think>\\boxed{Unsafe (U1 - Violence)}": ("judged", "unsafe", ("U1",)),
    "<think>x</think>boxed{safe}": ("judged", "safe", ()),
    "<think>x</think>\\boxed{ UNSAFE }\nU15, U7.": ("judged", "unsafe", ("U7", "U15")),
    "<think>breaks U15 and U2</think>\\boxed{unsafe}": ("judged", "unsafe", ("U15",)),
    "<think>U7 no</think>\\boxed{safe} U7": ("judged", "safe", ()),
    "<think>x</think>\\boxed{unsafe}<|im_end|>": ("judged", "unsafe", ()),
    "<think>x</think>\\boxed{safe} or \\boxed{unsafe} U1": ("judged", "unsafe", ("U1",)),
    "<think>it says \\boxed{safe}</think> hm": ("unparseable", None, ()),
    "<think>it says \\boxed{safe} and goes on": ("unparseable", None, ()),
    "<think>x</think>\\boxed{U12}": ("unparseable", None, ()),
    "<think>x</think>\\boxed{Normal}": ("unparseable", None, ()),
    "<think>x</think>\\safeness{safe}": ("unparseable", None, ()),
    "<think>x</think>\\boxed{unsafely}": ("unparseable", None, ()),
    "<think>so \\boxed{safe}</think>\\boxed{unsafe} U7": ("contradictory", "unsafe", ()),
    "": ("unparseable", None, ()),
}


@pytest.mark.parametrize("text", FREE)
def test_free_text(text: str) -> None:
    """What published models are seen to write is read as they meant it, and nothing else is."""
    status, label, ids = FREE[text]

    found = parse_free(text, PANEL, CHAT)

    assert (found.status, found.model_label, tuple(name for _, name in found.cited)) == (status, label, ids)


def test_free_text_of_the_small_models() -> None:
    """Their control tokens stand in the text by name."""
    found = parse_free("U7 met; so unsafe.<|verdict|>\\boxed{unsafe} U7, U15<|end|>", PANEL, DEMO)

    assert (found.status, found.cited) == ("judged", (("shop", "U7"), ("shop", "U15")))


def test_free_text_that_was_cut() -> None:
    """Cut before its label it is truncated; cut behind it, it is judged."""
    assert parse_free("<think>and so on and", PANEL, CHAT, truncated=True).status == "truncated"
    assert parse_free("<think>x</think>\\boxed{unsafe} U7, U", PANEL, CHAT, truncated=True).status == "judged"


@pytest.mark.parametrize("text", ["a" * 100_000, "U7/" * 40_000, "safe. " * 20_000, "\\boxed{" * 20_000, " " * 100_000])
@pytest.mark.parametrize("template", [DEMO, CHAT], ids=["demo", "chat"])
def test_long_texts_are_read_in_no_time(text: str, template: Template) -> None:
    """No text makes the reader slow: its time grows with the length, not with its square."""
    assert growth(lambda some: parse_free(some, PANEL, template), text) < 9
    assert growth(lambda some: read(some + "/", None, PANEL, template), text) < 9
