"""Pieces of attacks in any order, in every place that takes a text: nothing leaves its place."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from tests.support.attacked import FOREIGN_TOKENS, all_tokens
from tests.support.judging import category, message, panel
from worker.attacks.cases import generate
from worker.attacks.policies import PROSE
from worker.attacks.structure import faults
from worker.judge.placeholders import mask
from worker.judge.prompt import quoted
from worker.policy.model import EffectiveCategory
from worker.records import Clause, Turn

_SHORT_CHARS: Final = 400
PIECES: Final = tuple(
    dict.fromkeys(
        (
            *FOREIGN_TOKENS,
            *PROSE,
            *(case.message.text[:_SHORT_CHARS] for case in generate(per_kind=1)),
            "\n",
            "\r",
            "> ",
        )
    )
)
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=6).map("".join)
clauses = st.lists(texts, max_size=2).map(
    lambda found: tuple(Clause(id=f"v{number}", text=text) for number, text in enumerate(found))
)
categories = st.builds(
    EffectiveCategory,
    scope=st.just("shop"),
    id=st.sampled_from(("safe", "U7", "unsafe.")),
    name=texts,
    definition=texts,
    violates=clauses,
    allowed=clauses,
)
turns = st.lists(st.builds(Turn, role=st.sampled_from(("user", "agent")), text=texts), max_size=3).map(tuple)


@given(
    text=texts,
    context=turns,
    role=st.sampled_from(("user", "agent")),
    own=categories,
    prose=texts,
    reasoning=st.booleans(),
)
def test_no_piece_leaves_its_place(
    text: str,
    context: tuple[Turn, ...],
    role: str,
    own: EffectiveCategory,
    prose: str,
    reasoning: bool,  # noqa: FBT001
) -> None:
    """Message, context, names, definitions, clauses and prose, on every tokenizer and template."""
    under = panel(own, category("U8"), prose=prose)
    judged = message(text, context=context, role=role)

    for tokens, template in all_tokens():
        assert faults(tokens, template, under, judged, reasoning=reasoning) == []


@given(text=texts)
def test_masking_and_quoting_lose_nothing_but_what_they_say(text: str) -> None:
    """The offset map rebuilds the text; without its quotes a quoted text has the same lines."""
    masked, moves = mask(text)
    rebuilt, cursor = "", 0
    for start, end, original_start, original_end in moves:
        rebuilt += masked[cursor:start] + text[original_start:original_end]
        cursor = end

    assert rebuilt + masked[cursor:] == text
    assert all(line.startswith("> ") for line in quoted(text, "> ").split("\n"))
