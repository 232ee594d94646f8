"""A short soak: a real worker, real Kafka, tenants and policies that come and go; nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.bench.soak import SoakOptions, soak
from worker.bench.soak_results import blocks_per_message
from worker.config import Settings

pytestmark = [pytest.mark.broker, pytest.mark.slow]

#: A leak of one object for each message is one block; caches that fill in so short a run are less.
_MOST_BLOCKS = 0.75
_MESSAGES = 24_000


async def test_a_worker_at_rest_is_as_it_was(tmp_path: Path) -> None:
    """After many messages a worker has the objects, descriptors and tasks that it had after few; none is lost."""
    report = await soak(Settings(), SoakOptions(messages=_MESSAGES, rounds=8), tmp_path)
    grown = {one.name: one for one in report.growth}

    assert report.messages == _MESSAGES
    assert report.audit.checked == _MESSAGES
    assert report.audit.faults == 0
    assert blocks_per_message(report.samples) < _MOST_BLOCKS, report.samples
    assert grown["open file descriptors"].ratio < 1.1, report.samples
    assert grown["tasks"].ratio < 1.1, report.samples
