"""What intake does with a client that drops records: it goes back to where its books are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException

from worker.config import Settings
from worker.metrics import Metrics
from worker.stream.intake import Intake
from worker.stream.ledger import Bounds
from worker.stream.state import State

TOPIC = Settings().topic("messages")
NOTHING = Bounds(verdicts=0, dead_letters=0)
END = 10
BAD = 3


class Client:
    """Two partitions of ten records; as in aiokafka, an error drops what was drained of others, and its own fetch."""

    def __init__(self) -> None:
        """Start before the first record."""
        self.positions = {0: 0, 1: 0}
        self.stale = False

    def seek(self, twin: TopicPartition, offset: int) -> None:
        """Go back."""
        self.positions[twin.partition] = offset

    async def getmany(self, *wanted: TopicPartition, timeout_ms: int, max_records: int) -> dict[TopicPartition, Any]:
        """Return records, the second partition's first; the first one's fourth record cannot be read."""
        drained = {}
        for twin in sorted(wanted, reverse=True):
            start = self.positions[twin.partition]
            if twin.partition == 0 and self.stale:
                self.stale = False
                if not timeout_ms:
                    continue
            if twin.partition == 0 and start + max_records > BAD:
                self.stale = start < BAD
                raise CorruptRecordException
            offsets = range(start, min(END, start + max_records))
            self.positions[twin.partition] = offsets.stop
            drained[twin] = [SimpleNamespace(offset=offset, value=b"{}", timestamp=0) for offset in offsets]
        return {twin: records for twin, records in drained.items() if records}


async def test_an_unreadable_batch_costs_no_other_partition_anything() -> None:
    """Asked for both at once, the client loses the second one's records; they are read again."""
    state = State(Settings(), Metrics())
    for partition in (0, 1):
        state.ledger.open(partition, start=0, bounds=NOTHING, ends=NOTHING, published={})
    client, accepted = Client(), []
    group: Any = SimpleNamespace(open={0, 1}, consumer=client)
    pipeline: Any = SimpleNamespace(
        accept=lambda record, ledger: accepted.append((ledger.partition, record.offset)), pump=lambda: None
    )
    intake = Intake(state, group, SimpleNamespace(), pipeline, lambda: None)  # type: ignore[arg-type]

    came = await intake._poll([0, 1], 100)

    assert came == END
    assert sorted(accepted) == [(1, offset) for offset in range(END)]
    assert set(intake._careful) == {0}
    assert [await intake._poll([0], 0) for _ in range(4)] == [0, 1, 1, 1]
    assert sorted(accepted)[:BAD] == [(0, offset) for offset in range(BAD)]
