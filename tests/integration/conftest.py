"""What the tests on a real broker share: a broker that a test may stop and hurt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from worker.broker import Broker, BrokerConfig


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker that a test may stop and hurt."""
    kafka = Broker(BrokerConfig(port=0, data_dir=tmp_path / "kafka"))
    await kafka.start()
    yield kafka
    await kafka.stop()
