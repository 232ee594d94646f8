"""What ``rsafe audit export|retract|overrides`` say on a terminal."""

from __future__ import annotations

import pytest

from worker.audit.export.export import ExportReport, Reason
from worker.audit.intervals import interval
from worker.audit.overrides.overrides import OverridesReport, Precision, Proposal
from worker.audit.retract import RetractReport
from worker.commands.audit_export import MOST_LINES, export_lines, retract_lines
from worker.commands.audit_overrides import overrides_lines
from worker.commands.common import tell
from worker.records import Source

REASONS = tuple(Reason(tenant_id=f"t{n}", category=None, reason="no notice", count=n) for n in range(MOST_LINES + 5))
EXPORT = ExportReport(
    format="dsa",
    file="s.jsonl",
    exported=3,
    tenants=dict.fromkeys((f"t{n}" for n in range(MOST_LINES + 2)), 1),
    unrestricted=7,
    left_out=REASONS,
    left_out_file="s.jsonl.left-out.jsonl",
)
RETRACT = RetractReport(
    policy="acme@3",
    action="hold",
    planned=4,
    published=0,
    already=2,
    not_applicable=1,
    tenants={"acme": 4},
    categories={},
    actions={"block": 4},
    examples=(),
)


def test_long_lists_are_cut_and_say_so() -> None:
    """The rest is in --json."""
    first, *rest = export_lines(EXPORT)

    assert first.startswith("3 dsa records in s.jsonl: t0 1, ")
    assert first.endswith("and 2 more; see --json")
    assert rest[0] == "7 verdicts restrict nothing"
    assert rest[1].startswith(f"{sum(range(MOST_LINES + 5))} restrict a message and cannot be stated")
    assert rest[-1] == "  and 5 more reasons; see --json"


def test_a_plan_says_that_nothing_was_written() -> None:
    """And how to write it; what was published does not."""
    plan, done = list(retract_lines(RETRACT, publish=False)), list(retract_lines(RETRACT, publish=True))

    assert plan[0] == "acme@3: 4 verdicts to supersede with action hold; 2 have it already"
    assert plan[1:3] == ["  by tenant: acme 4", "  by action: block 4"]
    assert plan[3:] == [
        "  1 safe verdicts cannot be hold; they stay as they are",
        "  nothing was written; --publish does it",
    ]
    assert done == ["acme@3: 0 superseding verdicts published with action hold; 2 have it already", *plan[1:4]]


def test_precision_stands_with_its_interval() -> None:
    """And each proposal with its place."""
    source = Source(topic="moderation.messages", partition=3, offset=40, timestamp=1)
    case = Proposal(
        scope="acme",
        tenant_id="acme",
        verdict_id="a" * 32,
        label="safe",
        categories=(),
        role="user",
        source=source,
        text=None,
    )
    report = OverridesReport(
        decisions={"uphold": 6, "overturn": 4, "modify": 0},
        revised=0,
        joined=10,
        gone=0,
        unreadable=0,
        missed=0,
        precision=(
            Precision(scope="acme", version=5, category="U7", reviewed=10, upheld=6, precision=interval(6, 10)),
        ),
        proposals=(case,) * (MOST_LINES + 1),
    )

    lines = list(overrides_lines(report))

    assert lines[0].startswith("6 uphold, 4 overturn, 0 modify")
    assert "  acme@5 U7: 6 of 10, 60.0 % (31.3 to 83.2)" in lines
    assert "message moderation.messages/3/40; write one with" in lines[4]
    assert lines[-1] == "  and 1 more; see --json"


def test_what_records_hold_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Wide characters are not cut, escapes are shown as dots."""
    tell(RETRACT, ["表" * 100 + "\x1b[2J"], as_json=False)

    assert capsys.readouterr().out == "表" * 100 + "·[2J\n"
