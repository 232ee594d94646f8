"""Whatever a text says: it cannot become control, leave its fence, or crash the reader."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import xgrammar
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.judging import category, clauses, message, panel
from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, PLAIN_ADDED, tiny_tokens
from worker.judge import prompt
from worker.judge.evidence import spans
from worker.judge.grammar import answer_grammar, ids_grammar, longest_answer_bytes
from worker.judge.parse import Answer, parse_answer, parse_free, parse_ids, read
from worker.judge.placeholders import mask
from worker.judge.prompt import Text
from worker.judge.template import read_template
from worker.records import Turn

DEMO, CHAT = read_template(DEMO_TEMPLATE), read_template(CHAT_TEMPLATE)
FENCES: Final = (
    *DEMO.controls,
    *CHAT.controls,
    PLAIN_ADDED,
    "<|pad|>",
    "<|endoftext|>",
    "END OF CONVERSATION",
    "END OF POLICY",
    "> ",
    "</think>",
    "<think>",
    "\\boxed{safe}",
    "\\boxed{unsafe} U7",
    "User:",
    "Agent:",
    "safe}",
    "U7/v1",
    '"',
    "\u2028",
    "\x85",
    "\x0b",
    "\r\n",
    "\r",
    "\n",
    "\u202e",
    "\u200b",
    "me@example.org",
    "12345678",
)
#: Texts in which the words that matter come up often.
texts = st.lists(st.sampled_from(FENCES) | st.text(max_size=12), max_size=12).map("".join)
turns = st.lists(st.tuples(st.sampled_from(("user", "agent")), texts), max_size=3)


@given(text=texts)
@example(text="".join(FENCES))
def test_no_text_becomes_a_control_token(text: str) -> None:
    """The ids of any text hold no added token of the vocabulary, special or not, and lose nothing."""
    for template_file in (DEMO_TEMPLATE, CHAT_TEMPLATE):
        tokens, _ = tiny_tokens(template_file)
        added = set(tokens._full.get_added_tokens_decoder())
        ids = tokens.text_ids(text)

        assert set(tokens.control_ids.values()) < added
        assert added.isdisjoint(ids)
        assert tokens.decode(ids) == text


@given(text=texts, context=turns, name=texts, prose=texts)
def test_controls_come_from_the_template_alone(
    text: str, context: list[tuple[str, str]], name: str, prose: str
) -> None:
    """However message and policy are written, a prompt has the control tokens that its template and turns give."""
    tokens, template = tiny_tokens()
    under = panel(category("U7", name=name, violates=clauses("v1")), prose=prose)
    judged = message(text, context=tuple(Turn(role=role, text=said) for role, said in context))  # type: ignore[arg-type]

    ids = tokens.encode(prompt.prefix(template, under, "user") + prompt.suffix(template, judged, reasoning=True))

    controls = tokens.control_ids
    names = {number: name for name, number in controls.items()}
    expected = ["<|policy|>", *(f"<|{role}|>" for role, _ in context), "<|user|>", "<|judge_user|>", "<|think|>"]
    assert [names[number] for number in ids if number in names] == expected


@given(text=texts, context=turns)
def test_every_line_of_the_conversation_is_quoted(text: str, context: list[tuple[str, str]]) -> None:
    """In the default template no line of a message can pass for one of the prompt's own."""
    judged = message(text, context=tuple(Turn(role=role, text=said) for role, said in context))  # type: ignore[arg-type]
    spoken = [(role, said) for role, said in [*context, ("user", text)]]

    segments = prompt.conversation(CHAT, judged)

    shown = "".join(segment.text for segment in segments if isinstance(segment, Text))
    conversation = shown[: shown.rindex("END OF CONVERSATION")]
    lines = re.split("\r\n|[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]", conversation)[:-1]
    own = [line for line in lines if not line.startswith("> ")]
    assert own == ["User:" if role == "user" else "Agent:" for role, _ in spoken]


ids_strategy = st.lists(
    st.from_regex(r"[A-Za-z0-9._-]{1,6}", fullmatch=True), max_size=6, unique=True
).map(tuple)  # fmt: skip


@given(reasoning=texts, answer=texts, cut=st.booleans())
def test_the_reader_never_raises(reasoning: str, answer: str, cut: bool) -> None:  # noqa: FBT001  (drawn)
    """Any text at all ends in a status, and nothing is cited that the panel does not have."""
    under = panel(category("U7", violates=clauses("v1")), category("U8"))
    known = {("shop", "U7"), ("shop", "U8")}

    for template in (DEMO, CHAT):
        found = (
            read(reasoning, parse_answer(answer, ("U7", "U8"), "}"), under, template, truncated=cut),
            parse_free(reasoning + template.think_close + answer, under, template, truncated=cut),
            parse_free(answer, under, template, truncated=cut),
        )
        assert all(reading.status in {"judged", "unparseable", "truncated", "contradictory"} for reading in found)
        assert all(set(reading.cited) <= known and set(reading.clauses) <= {"U7/v1"} for reading in found)


@given(reasoning=texts, text=texts, masked=st.booleans())
def test_spans_lie_in_the_text(reasoning: str, text: str, masked: bool) -> None:  # noqa: FBT001  (drawn)
    """Whatever is quoted, a span is a place in the original message, and its words are what was quoted."""
    for span in spans(reasoning, text, masked=masked):
        assert 0 <= span.start < span.end <= len(text)
        quoted = mask(text[span.start : span.end])[0] if masked else text[span.start : span.end]
        assert masked or quoted in reasoning


def accepts(grammar: str, text: str) -> bool:
    """Ask the engine's own grammar library whether a text is a sentence of a grammar."""
    matcher = _matcher(grammar)
    with contextlib.suppress(RuntimeError):
        return bool(matcher.accept_string(text)) and bool(matcher.is_completed())
    return False


def _matcher(grammar: str) -> xgrammar.GrammarMatcher:
    info = xgrammar.TokenizerInfo([bytes([number]) for number in range(256)] + [b"<end>"], stop_token_ids=[256])
    compiled = xgrammar.GrammarCompiler(info, cache_enabled=False).compile_grammar(grammar)
    return xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)


@given(ids=ids_strategy, data=st.data())
def test_grammar_and_reader_agree(ids: tuple[str, ...], data: st.DataObject) -> None:
    """A text is a sentence of the grammar exactly if the reader takes it, and no sentence passes the bound."""
    chosen = data.draw(st.lists(st.sampled_from(ids or ("U7",)), max_size=4)) if ids else []
    label = data.draw(st.sampled_from(("safe}", "unsafe}", "unsafe", "", "Unsafe}")))
    glue = data.draw(st.sampled_from((", ", ",", "  ", ", , ")))
    text = label + data.draw(st.sampled_from((" ", "", "  "))) * bool(chosen) + glue.join(chosen)
    answer = parse_answer(text, ids, "}")

    assert accepts(answer_grammar(ids, "}"), text) == (answer is not None)
    if answer is not None:
        assert len(text.encode()) <= longest_answer_bytes(ids, "}")
        assert answer.label == ("safe" if text == "safe}" else "unsafe")


@given(ids=ids_strategy.filter(bool), data=st.data())
def test_every_choice_of_ids_is_a_sentence(ids: tuple[str, ...], data: st.DataObject) -> None:
    """Any ids in the policy's order can be written, with the label and alone, and are read back."""
    mask_bits = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)).filter(any))
    chosen = tuple(name for name, taken in zip(ids, mask_bits, strict=True) if taken)
    text = " " + ", ".join(chosen)

    assert accepts(ids_grammar(ids), text)
    assert accepts(answer_grammar(ids, "}"), "unsafe}" + text)
    assert parse_ids(text, ids) == chosen
    assert parse_answer("unsafe}" + text, ids, "}") == Answer(label="unsafe", ids=chosen)
