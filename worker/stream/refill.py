"""Reads deferred messages again, once their tenant's queue has room or they have waited too long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from worker.backoff import Backoff
from worker.errors import StreamError
from worker.stream.deferred import DeferredOffset, Line
from worker.stream.gaps import Gaps
from worker.stream.pipeline import Pipeline
from worker.stream.rereader import Reader
from worker.stream.state import State

logger: Final = logging.getLogger(__name__)
_MOST_AT_ONCE: Final = 1000
_POLL_S: Final = 0.05
#: A tenant's messages come back once one such part of its queue is free.
_QUEUE_PARTS: Final = 4


class Refill:
    """Brings deferred messages back."""

    def __init__(self, state: State, pipeline: Pipeline, gaps: Gaps) -> None:
        """Connect nothing; the first deferred message does."""
        self._settings = state.settings
        self._deferred = state.deferred
        self._admission = state.admission
        self._pipeline = pipeline
        self._gaps = gaps
        self._ledger = state.ledger
        self._buffer = state.buffer
        self._reader: Reader | None = None

    async def run(self) -> None:
        """Bring messages back until cancelled."""
        backoff = Backoff()
        while True:
            chosen = self._choose() if len(self._deferred) else []
            if not chosen:
                await asyncio.sleep(_POLL_S)
                continue
            try:
                records = await self._read(chosen)
            except StreamError as error:
                logger.warning("deferred messages could not be read again: %s", error)
                self._deferred.put_back(chosen)
                await self.close()
                await backoff.wait()
            else:
                backoff.reset()
                self._return(chosen, records)

    async def close(self) -> None:
        """Close the reader."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    def _choose(self) -> list[DeferredOffset]:
        """Take what fits now, and what is too old in any case."""
        expired_before_s = time.monotonic() - self._settings.deferred_max_age_s
        return self._deferred.choose(self._room, _MOST_AT_ONCE, expired_before_s)

    def _room(self, line: Line) -> int:
        """Return how many to bring back: many at once, since each time costs a read."""
        room = 0 if self._buffer.full else self._admission.room(line.tenant_id)
        if room * _QUEUE_PARTS < self._settings.tenant_queue_messages:
            return 0
        return (
            min(room, self._admission.room_of_id(line.tenant_id, line.message_id).messages) if line.message_id else room
        )

    async def _read(self, chosen: Iterable[DeferredOffset]) -> dict[tuple[int, int], Any]:
        """Return the records by partition and offset; one that is gone is left out.

        Raises:
            StreamError: they could not be read now.

        """
        wanted: defaultdict[int, list[int]] = defaultdict(list)
        for item in chosen:
            wanted[item.partition].append(item.offset)
        if self._reader is None:
            self._reader = await Reader.connect(self._settings)
        self._reader.cover(ledger.partition for ledger in self._ledger)
        return await self._reader.read(wanted)

    def _return(self, chosen: Iterable[DeferredOffset], records: dict[tuple[int, int], Any]) -> None:
        """Give what was read to the pipeline."""
        expired_before_s = time.monotonic() - self._settings.deferred_max_age_s
        unfit: list[DeferredOffset] = []
        blocked: set[Line] = set()
        for item in chosen:
            ledger = None if self._pipeline.held else self._ledger.get(item.partition)
            if ledger is None or ledger.epoch != item.epoch:
                self._deferred.settle(item)
                continue
            record = records.get((item.partition, item.offset))
            if record is None or record.timestamp != item.timestamp:
                self._gaps.deferred(ledger, item.offset, item.timestamp)
                self._deferred.settle(item)
            elif item.line not in blocked and self._pipeline.readmit(
                record, ledger, item, expired=item.since_s < expired_before_s
            ):
                self._deferred.settle(item)
            else:
                # What came later must not overtake it.
                blocked.add(item.line)
                unfit.append(item)
        self._deferred.put_back(unfit)
        self._pipeline.pump()
