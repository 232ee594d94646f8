"""Parts of the data plane for tests without Kafka: records, a ledger, a state, a delivery that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry

from worker.config import Settings
from worker.metrics import Metrics
from worker.stream.ledger import Bounds, PartitionLedger
from worker.stream.state import State
from worker.stream.work import Row

NOTHING = Bounds(verdicts=0, dead_letters=0)


def record(offset: int, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = (), **fields: Any) -> Any:
    """Build a record of partition 0 of ``messages``."""
    chosen: dict[str, Any] = {
        "topic": "moderation.messages",
        "partition": 0,
        "offset": offset,
        "timestamp": 1_700_000_000_000,
        "timestamp_type": 1,
        "key": b"k",
        "value": value,
        "checksum": None,
        "serialized_key_size": 1,
        "serialized_value_size": len(value or b""),
        "headers": tuple(headers),
    }
    return ConsumerRecord(**(chosen | fields))


def open_ledger(*offsets: int) -> PartitionLedger:
    """Open partition 0 at offset 0 with these offsets in flight."""
    ledger = PartitionLedger(0, start=0, bounds=NOTHING, ends=NOTHING, epoch=1)
    for offset in offsets:
        assert ledger.register(offset)
    return ledger


def state_with(**settings: Any) -> State:
    """Build a state on a registry of its own."""
    chosen: dict[str, Any] = {"engine": "scripted", "linger_ms": 0} | settings
    return State(Settings(**chosen), Metrics(CollectorRegistry()))


class MemoryDelivery:
    """A ``Delivery`` into lists; what is larger than a topic's limit is refused, as Kafka does.

    Attributes:
        waiting: writes that wait at the gate.

    """

    def __init__(self, **limits: int) -> None:
        """Start empty; ``limits`` are bytes of a value by the topic's short name."""
        self.written: list[tuple[str, Row]] = []
        self.limits = limits
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.abandoned = 0

    async def write(self, topic: str, partition: int, rows: Sequence[Row]) -> list[int | None]:
        """Append rows, once the gate is open."""
        assert partition == 0
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        positions: list[int | None] = []
        for row in rows:
            name = topic.rpartition(".")[2]
            limit = self.limits.get(name.replace("-", "_"))
            if limit is not None and len(row.value or b"") > limit:
                positions.append(None)
            else:
                positions.append(sum(one == name for one, _ in self.written))
                self.written.append((name, row))
        return positions

    async def abandon(self) -> None:
        """Remember that everything on its way was given up."""
        self.abandoned += 1

    def topics(self) -> list[str]:
        """Return the topics in the order in which they were written."""
        return [name for name, _ in self.written]
