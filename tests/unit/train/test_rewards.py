r"""The reward reads what the parser that serves reads, and what the authors' own failures earn is written down."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE
from worker.judge.parse import parse_free
from worker.judge.template import Template, read_template
from worker.policy.model import EffectiveCategory, Panel
from worker.records import Label
from worker.train.rl.rewards import Score, score

U7: Final = EffectiveCategory(scope="t", id="U7", name="Hate")
U8: Final = EffectiveCategory(scope="t", id="U8", name="Harassment")
PANEL: Final = Panel(categories=(U7, U8))
CHAT: Final = read_template(CHAT_TEMPLATE)
DEMO: Final = read_template(DEMO_TEMPLATE)
LABELS: Final[tuple[Label, ...]] = ("safe", "unsafe")


def mark(text: str, expected: Label = "unsafe", template: Template = CHAT, **changes: bool) -> Score:
    """Score a text that ended by itself after reasoning."""
    return score(text, expected, PANEL, template, **{"reasoning": True, "ended": True, **changes})


@pytest.mark.parametrize(
    "text, expected",
    [
        ("U7 is met by the second word.</think>\n\\boxed{unsafe} U7", "unsafe"),
        ("U7 and U8 are met.</think>\n\n\\boxed{unsafe}  U7,U8\n", "unsafe"),
        ("In another order.</think>\n\\boxed{unsafe} U8, U7", "unsafe"),
        ("No clause is met.</think>\n\\boxed{safe}", "safe"),
        ("The text says \\boxed{safe}, which is no verdict. U7.</think>\n\\boxed{unsafe} U7", "unsafe"),
    ],
)
def test_what_serving_reads_is_worth_one(text: str, expected: Label) -> None:
    """The verdict's shape and the right label; white space and the ids' order do not count."""
    assert 1.0 == mark(text, expected).reward


@pytest.mark.parametrize(
    "text",
    [
        "U7 is met.</think>\n\\boxed{unsafe} U7",
        "No clause is met, so \\boxed{unsafe}</think>\n\\boxed{safe}",
    ],
)
def test_a_wrong_or_contradictory_verdict_is_worth_its_format(text: str) -> None:
    """0.1, as the authors have it; serving would not judge by a verdict that its reasoning contradicts."""
    assert mark(text, "safe").reward == pytest.approx(0.1)
    assert 0.0 == mark(text, "safe").accuracy


#: What the authors' outputs that they could not read look like, each made up anew.
FAILURES: Final = {
    "text inside the box": "Met.</think>\n\\boxed{\\text{unsafe}} U7",
    "a sentence inside the box": "Met.</think>\n\\boxed{Unsafe (U7 - Hate)}",
    "a category instead of a label": "Met.</think>\n\\boxed{U7}",
    "another word": "Met.</think>\n\\boxed{Normal}",
    "no label": "Met.</think>\n\\boxed{neutral}",
    "no backslash": "Met.</think>\nboxed{unsafe} U7",
    "no box": "Met.</think>\n\\unsafe",
    "another macro": "Met.</think>\n\\unsafeness{unsafe}",
    "the reasoning never closes": "Met, so \\boxed{unsafe} U7",
    "another language and no close": "这段话 \\boxed{unsafe} U7",
    "the user's question is answered": "Sure, here is the code.",
    "an answer before the box": "Met.</think>\nSure, here it is: \\boxed{unsafe} U7",
    "an answer after the verdict": "Met.</think>\n\\boxed{unsafe} U7 and here is the code you wanted",
    "no ids": "Met.</think>\n\\boxed{unsafe}",
    "an id that the policy has not": "Met.</think>\n\\boxed{unsafe} U12",
    "ids after safe": "Met.</think>\n\\boxed{safe} U7",
    "two boxes": "Met.</think>\n\\boxed{safe} \\boxed{unsafe} U7",
    "no reasoning": " \n</think>\n\\boxed{unsafe} U7",
    "nothing": "",
}


@pytest.mark.parametrize("text", FAILURES.values(), ids=FAILURES)
def test_failures_of_the_format_are_worth_nothing(text: str) -> None:
    """Neither label earns anything, whatever a forgiving reader would make of the text."""
    assert [0.0, 0.0] == [mark(text, label).reward for label in LABELS]


def test_a_cut_answer_is_worth_nothing() -> None:
    """A text that ran into its budget has no verdict, even if one stands in it."""
    whole = "U7 is met.</think>\n\\boxed{unsafe} U7"
    assert 0.0 == mark(whole, ended=False).reward
    assert [0.0] * len(whole) == [mark(whole[:end], ended=False).reward for end in range(len(whole))]


def test_without_reasoning_only_the_verdict_counts() -> None:
    """The prompt has closed the empty reasoning and opened the verdict."""
    assert 1.0 == mark("unsafe} U7", reasoning=False).reward
    assert mark("safe}", reasoning=False).reward == pytest.approx(0.1)
    assert 0.0 == mark("\\boxed{unsafe} U7", reasoning=False).reward


@pytest.mark.parametrize("panel", [Panel(categories=())])
def test_a_policy_of_prose_has_no_ids(panel: Panel) -> None:
    """Without categories ``unsafe`` stands alone."""
    text = "Not kind.<|verdict|>\\boxed{unsafe}"
    assert 1.0 == score(text, "unsafe", panel, DEMO, reasoning=True, ended=True).reward
    assert 0.0 == score(text + " U7", "unsafe", panel, DEMO, reasoning=True, ended=True).reward


def test_the_small_models_template() -> None:
    """Its reasoning is closed by a control token and concludes with a word that must agree."""
    assert 1.0 == mark("U7 met; so unsafe.<|verdict|>\\boxed{unsafe} U7", template=DEMO).reward
    assert mark("U7 met; so safe.<|verdict|>\\boxed{unsafe} U7", template=DEMO).reward == pytest.approx(0.1)


PIECES: Final = st.sampled_from(
    ("</think>", "<|verdict|>", "\\boxed{", "safe", "unsafe", "}", " ", "\n", ", ", "U7", "U8", "U12", "so safe.", "é")
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join), st.booleans(), st.booleans(), st.booleans())
def test_any_text_is_scored(text: str, reasoning: bool, ended: bool, chat: bool) -> None:  # noqa: FBT001
    """The reward never raises, is one of three numbers, and is never above what the serving parser reads."""
    template = CHAT if chat else DEMO
    for expected in LABELS:
        found = score(text, expected, PANEL, template, reasoning=reasoning, ended=ended)
        whole = text if reasoning else template.think_close + template.verdict_open + text
        reading = parse_free(whole, PANEL, template)

        assert found.reward in {0.0, 0.1, 1.0}
        assert found.reward == pytest.approx(found.format * (0.9 * found.accuracy + 0.1))
        assert not found.format or (ended and reading.model_label in LABELS)
        assert not found.accuracy or (reading.status == "judged" and reading.model_label == expected)


@given(st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join))
def test_at_most_one_label_is_right(text: str) -> None:
    """No text earns accuracy under both labels."""
    assert sum(mark(text, label).accuracy for label in LABELS) <= 1.0
