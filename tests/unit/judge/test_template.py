"""Templates: read from a folder, and refused where they could not make a prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE
from worker.errors import ModelError
from worker.judge.template import FILE_NAME, Control, Hole, load_template, read_template

SMALL: Final[dict[str, str]] = {
    "name": "small",
    "user": "[{policy}{context}{message}]",
    "agent": "({policy}{context}{message})",
    "user_turn": "u{text}",
    "agent_turn": "a{text}",
    "think_open": "t",
    "think_close": "/t",
    "verdict_open": "v",
    "verdict_close": "}",
    "end": "<end>",
}


def written(path: Path, **changes: Any) -> Path:
    """Write a template file."""
    fields = {**SMALL, **changes}
    lines = ['controls = ["<end>"]', *(f"{key} = '{value}'" for key, value in fields.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", [CHAT_TEMPLATE, DEMO_TEMPLATE], ids=["chat", "demo"])
def test_the_shipped_templates_are_templates(path: Path) -> None:
    """Both files can be read, and find a conclusion at the reasoning's end."""
    template = read_template(path)

    assert template.end in template.controls
    assert template.conclusion_pattern is not None


def test_a_folder_brings_its_own(tmp_path: Path) -> None:
    """A template in the model's folder is taken; without one it is the default."""
    assert load_template(tmp_path).name == load_template(None).name

    written(tmp_path / FILE_NAME)

    assert load_template(tmp_path).name == "small"


def test_pieces(tmp_path: Path) -> None:
    """A text is cut into control tokens, holes and what is left."""
    template = read_template(written(tmp_path / "t.toml", user="a<end>{policy}{context}{message}{else}"))

    assert template.task("user") == (
        "a", Control("<end>"), Hole("policy"), Hole("context"), Hole("message"), "{else}",
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"user": "{message}"}, "user must have the holes policy, context, message"),
        ({"agent": "{message}{context}{policy}"}, "agent must have the holes"),
        ({"user_turn": "{text}{text}"}, "user_turn must have the holes text"),
        ({"agent_turn": "nothing"}, "agent_turn must have the holes text"),
        ({"end": "<other>"}, "end must be one of the controls"),
        ({"verdict_close": "<end>"}, "verdict_close must be plain text"),
        ({"verdict_close": ""}, "verdict_close must be plain text"),
        ({"conclusion": "("}, "not a regular expression"),
        ({"conclusion": "safe"}, "must have a group 'label'"),
        ({"typo": "x"}, "typo"),
    ],
)
def test_what_could_not_make_a_prompt_is_refused(tmp_path: Path, changes: dict[str, str], problem: str) -> None:
    """The error names the key and what it lacks."""
    with pytest.raises(ModelError, match=problem):
        read_template(written(tmp_path / "t.toml", **changes))


def test_no_toml(tmp_path: Path) -> None:
    """A broken file is a wrong model folder, not a crash."""
    (tmp_path / FILE_NAME).write_text("name = ", encoding="utf-8")

    with pytest.raises(ModelError, match=r"rsafe\.toml of the model is not a prompt template"):
        load_template(tmp_path)
