"""What ``rsafe audit verify`` holds in memory does not follow the length of its range."""

from __future__ import annotations

from typing import Final

import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import committed, make_topics, message, running, send, settings_for
from tests.support.growth import peak_bytes
from tests.support.waiting import wait_until
from worker.audit.span import Span
from worker.audit.verify import verify as audit
from worker.audit.verify.verify import verify
from worker.config import Settings

pytestmark = [pytest.mark.broker, pytest.mark.slow]

_FEW: Final = 4000
_TIMES: Final = 4
_TEXT: Final = "x" * 2000
#: What the audit may hold of a partition in all: so little that the few fill it, too, and only growth is left to see.
_HELD: Final = 500


async def judged(settings: Settings, count: int, total: int) -> None:
    """Have messages judged until so many are committed in all."""
    await send(settings, [message(number, _TEXT) for number in range(count)])

    async def there() -> bool:
        return sum((await committed(settings)).values()) >= total

    async with running(settings):
        await wait_until(there, 400, what=f"{total} commits")


async def least_peak(settings: Settings) -> int:
    """Return the least peak of a few audits: how much Kafka hands over at once differs from one to the next."""
    return min([await peak_bytes(verify(settings, Span())) for _ in range(3)])


async def test_four_times_the_range_takes_no_more_memory(
    broker: KafkaAddress, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the same partitions; linear memory would be four times as much."""
    monkeypatch.setattr(audit, "LOOKAHEAD", _HELD)
    monkeypatch.setattr(audit, "_MOST_AT_ONCE", _HELD)
    settings = settings_for(broker.bootstrap_servers, topic_prefix, compression="none")
    await make_topics(settings, 2)
    await judged(settings, _FEW, _FEW)
    few = await least_peak(settings)
    await judged(settings, (_TIMES - 1) * _FEW, _TIMES * _FEW)
    report, _ = await verify(settings, Span())
    many = await least_peak(settings)

    assert (report.ok, report.checked) == (True, _TIMES * _FEW)
    assert many < 1.5 * few, (many, few)
