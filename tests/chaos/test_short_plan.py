"""The short plan: a real broker, real workers, a handful of faults from a seed. ``make chaos`` has the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.plan import make_plan
from tests.chaos.report import lines
from tests.chaos.run import run_seed

#: What a fault on every side does: a worker, the network, the broker, the records.
KINDS = ("worker_kill", "network_partition", "broker_pause", "clock_jump", "poison")


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.timeout(1800)
async def test_a_short_plan_breaks_no_guarantee(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every guarantee holds; a failure names the seed and the command that repeats it."""
    plan = make_plan(5, messages=2000, faults=len(KINDS), only=KINDS)
    result = await run_seed(plan, tmp_path, lambda _: None)
    told = "\n".join(lines(result))
    with capsys.disabled():
        print(f"\n{told}")

    assert result.broken == {}, told
    assert {fault.kind for fault in result.faults} == set(KINDS)
    assert result.messages >= 2000
