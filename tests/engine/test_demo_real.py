"""``rsafe demo`` as the README promises it: a real broker, a real engine, the small model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.processes import started

pytestmark = [pytest.mark.engine, pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(1200)]

#: The README promises 90 s on two free cores; a test may share them.
MOST_S = 300


async def test_the_demonstration_ends_well(tmp_path: Path) -> None:
    """Nothing is lost or doubled, most messages are judged, and the policy change changes verdicts."""
    log = tmp_path / "demo.log"
    with started("demo", "--json", log=log) as process:
        code = await asyncio.to_thread(process.wait, MOST_S)
    said = log.with_suffix(".err").read_text()
    assert code == 0, said[-3000:]
    summary = json.loads(log.read_text())
    assert (summary["lost"], summary["doubled"]) == (0, 0)
    assert summary["messages"] == summary["verdicts"] + summary["dead_letters"]
    assert summary["by_status"]["judged"] > 0.8 * summary["verdicts"]
    assert set(summary["by_label"]) >= {"safe", "unsafe"}
    assert summary["cached_share"] > 0
    assert summary["change"]["changed"] > 0
    assert "Reasoning traces" in said
