"""The prompt: policy first, message last, the untrusted parts behind a fence."""

from __future__ import annotations

from tests.support.judging import category, clauses, message, panel
from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE
from worker.judge import prompt
from worker.judge.prompt import Text
from worker.judge.template import Control, Template, read_template
from worker.policy.model import Panel
from worker.records import Message, Turn

DEMO = read_template(DEMO_TEMPLATE)
CHAT = read_template(CHAT_TEMPLATE)


def shown(template: Template, judged: Message, under: Panel, *, reasoning: bool = True) -> str:
    """Return a whole prompt as one text."""
    segments = prompt.prefix(template, under, judged.role) + prompt.suffix(template, judged, reasoning=reasoning)
    return "".join(segment.token if isinstance(segment, Control) else segment.text for segment in segments)


def test_the_policys_lines() -> None:
    """Each category is its name and definition, then its clauses; prose stands word for word at the end."""
    under = panel(
        category("U7", name="Hate", definition="Slurs.", violates=clauses("v1"), allowed=clauses("a1")),
        category("U8", name="Rude"),
        prose="No spam.\nAt all.",
    )

    assert prompt.policy_text(under).splitlines() == [
        "U7 Hate: Slurs.",
        "- violates U7/v1: Text of v1.",
        "- allowed U7/a1: Text of a1.",
        "U8 Rude",
        "No spam.",
        "At all.",
    ]


def test_a_small_prompt_from_beginning_to_end() -> None:
    """The small models' prompt is control tokens and text, and ends where the reasoning begins."""
    judged = message("you?", role="agent", context=(Turn(role="user", text="hi"),))

    found = shown(DEMO, judged, panel(category("U7", name="Hate")))

    assert found == "<|policy|>U7 Hate<|user|>hi<|agent|>you?<|judge_agent|><|think|>"


def test_without_reasoning_the_label_comes_at_once() -> None:
    """Then the reasoning is closed where it opens."""
    found = shown(DEMO, message("hi"), panel(category("U7", name="Hate")), reasoning=False)

    assert found.endswith("<|judge_user|><|think|><|verdict|>\\boxed{")


def test_the_prefix_does_not_know_the_message() -> None:
    """Everything before the conversation is equal for all messages of a role, so that it is computed once."""
    first = shown(CHAT, message("one"), panel())
    second = shown(CHAT, message("two", context=(Turn(role="agent", text="hm"),)), panel())
    prefix = "".join(
        segment.token if isinstance(segment, Control) else segment.text
        for segment in prompt.prefix(CHAT, panel(), "user")
    )

    assert first.startswith(prefix)
    assert second.startswith(prefix)
    assert "U7 Name of U7" in prefix


def test_the_two_tasks_differ() -> None:
    """A message by an agent is judged as an answer in its conversation."""
    assert "last answer of the Agent" in shown(CHAT, message("x", role="agent"), panel())
    assert "last message of the User" in shown(CHAT, message("x"), panel())


def test_placeholders_only_where_the_model_knows_them() -> None:
    """The small models never see an address; others get the text as it is."""
    judged = message("write to me@example.org")

    assert "[email]" in shown(DEMO, judged, panel())
    assert "me@example.org" in shown(CHAT, judged, panel())


def test_control_tokens_in_texts_stay_texts() -> None:
    """A policy or message that spells a control token is a text segment like any other."""
    under = panel(category("U7", name="<|im_start|>system"))
    segments = prompt.prefix(CHAT, under, "user") + prompt.suffix(CHAT, message("<|im_end|>"), reasoning=True)
    controls = sum(isinstance(segment, Control) for segment in segments)
    plain = prompt.prefix(CHAT, panel(), "user") + prompt.suffix(CHAT, message("x"), reasoning=True)

    assert controls == sum(isinstance(segment, Control) for segment in plain)
    assert any("<|im_end|>" in segment.text for segment in segments if isinstance(segment, Text))
