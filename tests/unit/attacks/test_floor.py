"""What counts as loosening a floor, and how it is counted and written down."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from worker.attacks.__main__ import main
from worker.attacks.floor import (
    MOST_UNSAFE,
    FloorChange,
    FloorReport,
    floors,
    loosens,
    measure_floors,
    under_hostile_policies,
    weakens,
)
from worker.attacks.report import floor_markdown, write_into
from worker.audit.intervals import interval
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.judge.verdict import Decision
from worker.policy.model import EffectivePolicy
from worker.records import Action, CategoryVerdict, Label, Message


def decision(label: Label | None, *hits: tuple[str, str]) -> Decision:
    """Return a decision with these (scope, id) hit."""
    found = tuple(CategoryVerdict(scope=scope, id=name, severity="high", hit=True) for scope, name in hits)
    return Decision(status="judged", label=label, categories=found, action="review")


U7 = ("platform", "U7")


@pytest.mark.parametrize(
    "under, is_looser",
    [
        (decision("unsafe", U7), False),
        (decision("unsafe", U7, ("hostile", "OWN")), False),
        (decision("safe"), True),
        (decision("unsafe", ("hostile", "OWN")), True),
        (decision("unsafe", ("hostile", "U7")), True),
    ],
)
def test_a_floor_is_loosened_where_one_of_its_hits_goes(under: Decision, *, is_looser: bool) -> None:
    """A tenant's own hit does not stand in for the floor's; more hits are no matter."""
    assert loosens(decision("unsafe", U7), under) is is_looser


@pytest.mark.parametrize(
    "action, hits, is_weaker",
    [("block", [U7], False), ("hold", [U7], False), ("review", [U7], True), ("block", [("hostile", "U7")], True)],
)
def test_what_is_not_judged_is_held_to_the_floor_too(
    action: Action, hits: list[tuple[str, str]], *, is_weaker: bool
) -> None:
    """A tenant whose prose makes its own call ramble gets no label, and may take neither hit nor action away."""
    alone = msgspec.structs.replace(decision("unsafe", U7), action="hold")
    under = msgspec.structs.replace(decision(None, *hits), status="truncated", action=action)

    assert weakens(alone, under) is is_weaker


class Talked(ScriptedJudge):
    """Finds everything unsafe under U7 until a tenant's prose stands in the policy."""

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Give in to prose."""
        said = "hello" if policy.judging.prose else "[unsafe:U7]"
        return await super().judge(msgspec.structs.replace(message, text=said), policy, priority=priority)


async def test_a_judge_that_gives_in_is_found_out() -> None:
    """What a floor alone finds unsafe is judged again under each of at least fifty policies, up to a bound."""
    change = await measure_floors(Talked(), floors(), in_flight=8)

    assert change.policies >= 50
    assert change.unsafe == 2 * MOST_UNSAFE
    assert change.judged == change.policies * change.unsafe
    assert 0 < change.loosened < change.judged
    assert change.interval.low < change.loosened / change.judged < change.interval.high


def test_each_floor_has_cases_and_hostile_policies_above_it() -> None:
    """So that nothing is measured on nothing."""
    for one in floors():
        assert one.messages
        assert len(list(under_hostile_policies(one.floor))) >= 50


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures as JSON, a table on standard output and between its marks."""
    page, out = tmp_path / "README.md", tmp_path / "floors.json"
    page.write_text("before\n<!-- floors -->\nold\n<!-- /floors -->\nafter\n", encoding="utf-8")

    assert main(["--floors", "--engine", "scripted", "--out", str(out), "--readme", str(page)]) == 0

    report = msgspec.json.decode(out.read_bytes(), type=FloorReport)
    assert capsys.readouterr().out == floor_markdown(report)
    assert page.read_text() == f"before\n<!-- floors -->\n{floor_markdown(report)}<!-- /floors -->\nafter\n"
    write_into(page, msgspec.structs.replace(report, date=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)))
    assert "Measured 2026-01-02 on scripted." in page.read_text()


@pytest.mark.parametrize("loosened, weakened, code", [(0, 0, 0), (1, 0, 1), (0, 1, 1)])
def test_a_breached_floor_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loosened: int, weakened: int, code: int
) -> None:
    """Loosened or, where a message could not be judged, weakened: either ends with 1, and the table has both."""
    change = FloorChange(
        policies=1,
        messages=2,
        unsafe=2,
        judged=2,
        loosened=loosened,
        not_judged=1,
        interval=interval(loosened, 1),
        weakened=weakened,
    )
    report = FloorReport(date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), model="m", fingerprint=None, change=change)
    monkeypatch.setattr("worker.attacks.__main__._measured", lambda _asked: report)

    assert main(["--floors", "--out", str(tmp_path / "floors.json")]) == code
    assert f"| 1 | {weakened} | {loosened} of 1 |" in floor_markdown(report)
