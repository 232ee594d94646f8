"""The way outcomes take to Kafka: what is told of it while nothing comes through."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from prometheus_client import CollectorRegistry

from tests.support.waiting import wait_until
from worker.config import Settings
from worker.metrics import Metrics
from worker.stream.delivery import Delivery
from worker.stream.work import Row


async def test_trouble_ends_with_what_was_to_be_written() -> None:
    """Intake waits for it to end; after a rebalance nobody here writes what failed, so no success would end it."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings = Settings(bootstrap_servers=f"127.0.0.1:{nobody.getsockname()[1]}", kafka_timeout_s=1)
        delivery = Delivery(settings, Metrics(CollectorRegistry()))
        writes = [asyncio.create_task(delivery.write("verdicts", part, [Row(b"k", b"v", [])])) for part in range(2)]
        await wait_until(lambda: delivery.trouble, what="Kafka is away")

        for given_away, trouble in zip(writes, (True, False), strict=True):
            given_away.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await given_away
            assert (delivery.trouble is not None) is trouble
        await delivery.close(1)
