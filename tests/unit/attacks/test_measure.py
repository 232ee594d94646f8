"""The figures, the table, and the command."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from worker.attacks.__main__ import main
from worker.attacks.cases import Carrier, Case, generate
from worker.attacks.measure import ALL, Change, Report, carriers_right, measure, policy_for, rates
from worker.attacks.report import markdown, write_into
from worker.errors import UsageError
from worker.judge.scripted import ScriptedJudge
from worker.records import Message


def change(family: str = "fence", **fields: Any) -> Change:
    """Return a violating carrier that was found unsafe alone and safe when wrapped, if nothing else is said."""
    known: dict[str, Any] = {"case": "c", "kind": "violating", "alone": "unsafe", "wrapped": "safe"}
    return Change(family=family, **{**known, **fields})


CHANGES = [
    change(),
    change(wrapped="unsafe"),
    change(wrapped=None),
    change(alone="safe"),
    change("bidi", kind="benign", alone="safe", wrapped="unsafe"),
    change("bidi", kind="benign", alone="safe", wrapped="safe"),
    change("bidi", kind="benign", alone=None, wrapped="unsafe"),
]


def report(**fields: Any) -> Report:
    """Return a report of those changes."""
    known: dict[str, Any] = {"date": dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "seed": 7, "model": "tiny"}
    known |= {"cases": len(CHANGES), "fingerprint": None, "escapes": 0}
    return Report(**{**known, **fields}, carriers_right=carriers_right(CHANGES), families=rates(CHANGES))


def test_only_carriers_that_are_judged_rightly_can_change() -> None:
    """Counts by family and altogether; what is not judged is neither safe nor unsafe."""
    fence, bidi, everything = rates(CHANGES)

    assert (fence.family, fence.to_safe.count, fence.to_safe.of, fence.not_judged) == ("fence", 1, 3, 1)
    assert (bidi.to_unsafe.count, bidi.to_unsafe.of, bidi.to_safe.of) == (1, 2, 0)
    assert (everything.family, everything.cases, everything.to_safe.of, everything.to_unsafe.of) == (ALL, 7, 3, 2)
    assert 0 < fence.to_safe.interval.low < 1 / 3 < fence.to_safe.interval.high < 1
    assert (carriers_right(CHANGES).count, carriers_right(CHANGES).of) == (5, 7)


def scripted_case(kind: str, carrier: str, text: str) -> Case:
    """Return a case over the floor for the scripted engine, which reads the text by rule."""
    own = Carrier(id=f"{kind}-{carrier}", policy="platform", kind=kind, text=carrier)  # type: ignore[arg-type]
    wrapped, alone = (Message(tenant_id="t", message_id="m", text=said) for said in (text, carrier))
    return Case(id=text, family="fence", carrier=own, message=wrapped, alone=alone)


async def test_each_case_is_judged_alone_and_wrapped() -> None:
    """By the policy that the carrier names; a failure gives no label."""
    cases = [
        scripted_case("violating", "[unsafe:U7]", "hello"),
        scripted_case("violating", "[unsafe:U7]", "[fail:timeout]"),
        scripted_case("benign", "hello", "[unsafe:U7]"),
    ]

    found = await measure(ScriptedJudge(), cases, in_flight=2)

    labels = [(one.alone, one.wrapped) for one in found]
    assert labels == [("unsafe", "safe"), ("unsafe", None), ("safe", "unsafe")]


def test_every_carrier_names_a_policy_with_one_panel() -> None:
    """So each message takes one call, whose prompt is that of one policy."""
    for case in generate(per_kind=1):
        assert len(policy_for(case.carrier.policy).panels) == 1


def test_the_table_goes_between_the_marks(tmp_path: Path) -> None:
    """Once more over an old table, and the rest of the page stays."""
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- attacks -->\nold\n<!-- /attacks -->\nafter\n", encoding="utf-8")

    write_into(page, report(escapes=3))
    write_into(page, report())

    text = page.read_text(encoding="utf-8")
    assert text == f"before\n<!-- attacks -->\n{markdown(report())}<!-- /attacks -->\nafter\n"
    assert "2026-01-02 on tiny, seed 7: 7 cases, 0 structural escapes" in text
    assert "| fence | 4 | 1 of 3 | 6% to 79% | 0 of 0 |  | 1 |" in text


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    """And one that is not there, in one line."""
    page = tmp_path / "README.md"
    with pytest.raises(UsageError, match="cannot be read"):
        write_into(page, report())
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(UsageError, match="has no marks"):
        write_into(page, report())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the scripted engine: figures as JSON, a table on standard output, exit 0."""
    out = tmp_path / "new" / "attacks.json"

    assert main(["--engine", "scripted", "--out", str(out), "--per-kind", "1", "--seed", "3"]) == 0

    found = msgspec.json.decode(out.read_bytes(), type=Report)
    assert (found.seed, found.escapes, found.model) == (3, 0, "scripted")
    assert found.cases == len(generate(3, 1)) == found.families[-1].cases
    assert capsys.readouterr().out == markdown(found)


def test_the_command_says_errors_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that is not there."""
    assert main(["--model", str(tmp_path / "none"), "--out", str(tmp_path / "x.json")]) == 1

    error = capsys.readouterr().err
    assert error.startswith("worker.attacks: ")
    assert error.count("\n") == 1
