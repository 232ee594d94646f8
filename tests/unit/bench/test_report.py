"""What the benchmark prints and writes."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import msgspec
import pytest

from worker.bench import report
from worker.bench.results import Memory, Peak, Report, compare
from worker.errors import UsageError
from worker.marked import insert


def _report() -> Report:
    return Report(
        date=dt.datetime(2025, 1, 2, tzinfo=dt.UTC),
        seed=1,
        shape="uniform",
        engine="vllm",
        model="rsafe-demo-1",
        engine_messages=10,
        plane_messages=20,
        repeats=2,
        machine=report.machine(),
        versions=report.versions(),
        comparisons=(compare("e2e_over_judge", "messages/s", [9.0, 8.0], [10.0, 10.0]),),
        memory=Memory(peaks=(Peak(messages=20, idle_mib=100.0, peak_mib=120.0),)),
    )


def test_a_line_has_name_ratio_low_and_high() -> None:
    """Other programs read exactly these four members."""
    line = report.line(_report().comparisons[0])
    assert json.loads(line) == {"name": "e2e_over_judge", "ratio": 0.85, "low": 0.8, "high": 0.9}


def test_a_saved_report_reads_back(tmp_path: Path) -> None:
    """The file holds everything that was measured, and where."""
    path = tmp_path / "new" / "bench.json"
    report.save(_report(), path)
    assert msgspec.json.decode(path.read_bytes(), type=Report) == _report()


def test_a_readme_gets_its_figures_from_the_file(tmp_path: Path) -> None:
    """Only what stands between the marks is replaced."""
    source, readme = tmp_path / "bench.json", tmp_path / "README.md"
    report.save(_report(), source)
    readme.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    report.main(source, readme)
    text = readme.read_text()
    assert "| `e2e_over_judge` | 0.85 | 0.80 to 0.90 |" in text
    assert "old" not in text
    assert text.startswith("before\n<!-- bench -->\n")
    assert text.endswith("<!-- /bench -->\nafter\n")


def test_a_readme_without_marks_is_refused() -> None:
    """The table has to have its place."""
    with pytest.raises(UsageError, match="bench"):
        insert("no marks", "table")
