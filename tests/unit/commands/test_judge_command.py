"""``rsafe judge`` with the scripted engine: what it reads, what it prints, what it refuses."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.policies import category, raw
from worker.commands.judge import JudgeOptions, judge
from worker.config import Settings
from worker.errors import PolicyInvalid, UsageError

SCRIPTED: Final = Settings(engine="scripted")


def printed(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    """Judge and return what ``--json`` printed, which is all of standard output."""
    judge(SCRIPTED, JudgeOptions(as_json=True, **options))
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_verdict_and_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object holds both records, with nothing in ``source`` and ids that belong together."""
    found = printed(capsys, text="hello [unsafe:U7]")

    verdict, trace = found["verdict"], found["trace"]
    assert (verdict["status"], verdict["label"], verdict["action"]) == ("judged", "unsafe", "hold")
    assert verdict["categories"] == [{"scope": "platform", "id": "U7", "severity": "high", "hit": True}]
    assert verdict["source"] == {"topic": None, "partition": None, "offset": None, "timestamp": None}
    assert (trace["verdict_id"], trace["trace_id"]) == (verdict["verdict_id"], verdict["trace_id"])
    assert trace["reasoning"] == "Rule [unsafe:U7] fired."


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_policy_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    """JSON or TOML, it is the tenant's policy: the scope is the tenant and the actions are the file's."""
    file = tmp_path / f"shop.{ending}"
    if ending == "json":
        file.write_bytes(raw(category("SPAM", "Spam", action="block")))
    else:
        file.write_text(
            'title = "t"\nversion = 1\n[[categories]]\nid = "SPAM"\nname = "Spam"\naction = "block"\n',
            encoding="utf-8",
        )

    found = printed(capsys, text="[unsafe:SPAM]", policy_file=str(file), tenant="shop")

    assert [item["scope"] for item in found["verdict"]["categories"]] == ["shop"]
    assert found["verdict"]["action"] == "block"
    assert found["verdict"]["policy"]["parts"][0]["scope"] == "shop"


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A hyphen reads it, whatever bytes are in it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff[unsafe:U7]\n")))

    assert printed(capsys, text="-")["verdict"]["label"] == "unsafe"


def test_an_answer_in_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    """Role and turns are taken as they are given."""
    found = printed(capsys, text="yes", role="agent", context=("user: is it so?", "agent:hm"))

    assert found["verdict"]["role"] == "agent"


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"role": "admin"}, "--role: expected 'user' or 'agent'"),
        ({"tenant": "no/slash"}, "--tenant: expected a string of"),
        ({"tenant": "platform"}, "--tenant: expected a tenant"),
        ({"context": ("hello",)}, "--context 'hello' is not"),
        ({"context": ("system: hello",)}, "is not 'user: TEXT'"),
        ({"policy_file": "no-such-file.json"}, "no-such-file.json cannot be read"),
    ],
    ids=str,
)
def test_wrong_use(options: dict[str, Any], problem: str) -> None:
    """What cannot be meant is refused before anything is loaded, by the name of its option."""
    with pytest.raises(UsageError, match=problem):
        judge(SCRIPTED, JudgeOptions(text="hello", **options))


def test_a_policy_that_could_not_come_into_force(tmp_path: Path) -> None:
    """The same checks as for publishing: a category without a name needs the floor's."""
    file = tmp_path / "shop.json"
    file.write_bytes(raw(category("U99", action="block")))

    with pytest.raises(PolicyInvalid) as refused:
        judge(SCRIPTED, JudgeOptions(text="hello", policy_file=str(file)))

    assert refused.value.field.startswith("categories[0]")


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--json`` the verdict, its reasoning and the policy stand on a few lines, with no control characters."""
    judge(SCRIPTED, JudgeOptions(text="[unsafe:U7]"))

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "unsafe  score 1.000 (direct)  action hold"
    assert lines[1] == "hit: U7 Hate & Discrimination (high)"
    assert "  Rule [unsafe:U7] fired." in lines
    assert lines[-2].startswith("policy: the demonstration's floor")


def test_a_failure_is_a_verdict_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A status other than judged is printed, not raised."""
    judge(SCRIPTED, JudgeOptions(text="[fail:timeout]"))

    assert capsys.readouterr().out.startswith("timeout  action ")


def test_a_policy_without_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the policy wants no trace there is none, for people and as JSON."""
    file = tmp_path / "shop.json"
    file.write_bytes(raw(category("U7", "Hate"), trace="none"))

    found = printed(capsys, text="[unsafe:U7]", policy_file=str(file))
    judge(SCRIPTED, JudgeOptions(text="[unsafe:U7]", policy_file=str(file)))

    assert (found["trace"], found["verdict"]["trace_id"]) == (None, None)
    assert "reasoning:" not in capsys.readouterr().out
