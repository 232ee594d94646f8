"""A prose policy published on a real broker, and its prose given back from there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.conftest import KafkaAddress
from tests.support import policy_topics as topics
from tests.support.commands import rsafe
from tests.support.processes import ROOT
from worker.config import Settings

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

QUEUE: Final = ROOT / "tests" / "unit" / "policy" / "packs" / "queue.policy.txt"


async def test_prose_through_kafka(broker: KafkaAddress, topic_prefix: str, tmp_path: Path) -> None:
    """Import, publish, export by scope: the same bytes; a scope without a policy says so."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, kafka_timeout_s=10)
    await topics.create(settings)
    record, prose = tmp_path / "queue.json", tmp_path / "queue.txt"

    for arguments in (
        ("import", str(QUEUE), "--scope", "hall", "--out", str(record)),
        ("put", "hall", str(record), "--wait", "0"),
        ("export", "hall", "--out", str(prose)),
    ):
        code, _, err = await rsafe(settings, "policy", *arguments)
        assert code == 0, err
    code, _, err = await rsafe(settings, "policy", "export", "nobody")

    assert prose.read_bytes() == QUEUE.read_bytes()
    assert (code, "has no policy" in err) == (2, True)
