"""``rsafe demo`` as the README promises it: a real broker, a real engine, the small model."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, started

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


async def test_the_verdict_that_the_readme_shows_is_the_one_that_comes_out() -> None:
    """Its message, its policies and its command, with the small model: label, category, severity and action."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^Without Kafka: `rsafe (judge .*)`\.$", page, re.MULTILINE)
    shown = re.search(r'^{"verdict_id": .*?}}$', page, re.MULTILINE | re.DOTALL)
    assert command is not None
    assert shown is not None
    wanted = json.loads(shown[0])
    text = json.loads(page[page.index('{"tenant_id":"bazaar"') :].partition("'")[0])["text"]
    arguments = shlex.split(command[1])

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments, "--tenant", "bazaar"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    verdict = json.loads(out)["verdict"]
    assert text in arguments
    assert [verdict[name] for name in ("label", "categories", "action")] == [
        wanted[name] for name in ("label", "categories", "action")
    ]
    assert verdict["score"] == pytest.approx(wanted["score"], abs=0.01)
