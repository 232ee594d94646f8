"""``rsafe bench`` in small: it measures and prints; how fast this machine is, is no test."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from tests.support.processes import started
from worker.bench.results import Report

pytestmark = [pytest.mark.broker, pytest.mark.slow]


async def run(tmp_path: Path, *arguments: str) -> tuple[list[dict[str, object]], Report]:
    """Run the command; return its lines and its file."""
    log, out = tmp_path / "bench.log", tmp_path / "bench.json"
    with started("bench", "--json", "--out", str(out), *arguments, log=log) as process:
        assert await asyncio.to_thread(process.wait, 200) == 0, log.with_suffix(".err").read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return lines, msgspec.json.decode(out.read_bytes(), type=Report)


async def test_the_data_plane_is_compared_with_a_bare_loop(tmp_path: Path) -> None:
    """One line of four members comes out, and the file holds a rate of each side per repeat."""
    lines, report = await run(tmp_path, "--only", "data_plane_over_bare", "--messages", "500", "--repeats", "2")
    (line,) = lines
    assert list(line) == ["name", "ratio", "low", "high"]
    assert line["name"] == "data_plane_over_bare"
    (comparison,) = report.comparisons
    assert len(comparison.upper) == len(comparison.lower) == 2
    assert min(comparison.upper + comparison.lower) > 0
    assert report.plane_messages == 500


async def test_everything_is_measured_in_one_run(tmp_path: Path) -> None:
    """All five ratios come out, in their order; rules stand in for the model here."""
    lines, report = await run(tmp_path, "--set", "engine=scripted", "--messages", "60", "--repeats", "1")
    names = [line["name"] for line in lines]
    plane = ["data_plane_over_bare", "audit_over_bare", "peak_rss_4n_over_n"]
    assert names == ["e2e_over_judge", "e2e_over_single", *plane]
    assert all(min(found.upper + found.lower) > 0 for found in report.comparisons)
    assert report.memory.worker_peak_mib is not None
    assert report.model == "scripted"
    few, many = report.memory.peaks
    assert (few.messages, many.messages) == (60, 240)
    assert few.peak_mib >= few.idle_mib > 0


async def test_an_unknown_name_is_wrong_use(tmp_path: Path) -> None:
    """Exit code 2, and the names that there are."""
    log = tmp_path / "bench.log"
    with started("bench", "--only", "speed", log=log) as process:
        assert await asyncio.to_thread(process.wait, 60) == 2
    assert "e2e_over_judge" in log.with_suffix(".err").read_text()
