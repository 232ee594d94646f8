"""Reads deferred messages again, once their tenant's queue has room or they have waited too long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final

from worker.backoff import Backoff
from worker.errors import CorruptPartition, StreamError
from worker.stream.buffer import MIB
from worker.stream.deferred import DeferredOffset, Line, Rooms
from worker.stream.gaps import Gaps
from worker.stream.pipeline import Pipeline
from worker.stream.rereader import Reader, Reread
from worker.stream.room import Room
from worker.stream.state import State

logger: Final = logging.getLogger(__name__)
#: What is read again at once, at most.
MOST_MESSAGES: Final = 1000
MOST_BYTES: Final = 16 * MIB
_POLL_S: Final = 0.05
#: Of the time, one such part may go into looking for what fits, where nothing does.
_LOOKING_PART: Final = 10
#: A partition that did not answer is asked again after this.
_REST_S: Final = 5.0
#: A tenant's messages come back once one such part of its queue is free, and no more of the memory at once.
_PARTS: Final = 4


class Refill:
    """Brings deferred messages back."""

    def __init__(self, state: State, pipeline: Pipeline, gaps: Gaps, halt: Callable[[int, str], None]) -> None:
        """Connect nothing; the first deferred message does. ``halt`` stops a partition for a reason."""
        self._settings = state.settings
        self._deferred = state.deferred
        self._admission = state.admission
        self._pipeline = pipeline
        self._gaps = gaps
        self._halt = halt
        # Partitions that did not answer, and until when they are left alone.
        self._rests_until_s: dict[int, float] = {}
        self._ledger = state.ledger
        self._buffer = state.buffer
        self._reader: Reader | None = None

    async def run(self) -> None:
        """Bring messages back until cancelled."""
        backoff = Backoff()
        while True:
            began_s = time.monotonic()
            chosen = self._choose() if len(self._deferred) else []
            if not chosen:
                # Looking at very many lines takes a while, and the loop has other work.
                await asyncio.sleep(max(_POLL_S, _LOOKING_PART * (time.monotonic() - began_s)))
                continue
            try:
                reread = await self._read(chosen)
            except StreamError as error:
                logger.warning("deferred messages could not be read again: %s", error)
                self._deferred.put_back(chosen)
                await self.close()
                await backoff.wait()
            else:
                backoff.reset()
                if not self._return(chosen, reread):
                    await asyncio.sleep(_POLL_S)

    async def close(self) -> None:
        """Close the reader."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    def _choose(self) -> list[DeferredOffset]:
        """Take what fits now, and what is too old.

        What is too old may take a part more of the memory than all else: intake could fill that for ever.
        """
        free = self._buffer.free(over=1 / _PARTS)
        part_bytes = self._settings.buffer_mib * MIB // _PARTS
        most = Room(min(MOST_MESSAGES, free.messages), min(MOST_BYTES, part_bytes, free.free_bytes))
        now_s = time.monotonic()
        resting = {partition for partition, until_s in self._rests_until_s.items() if until_s > now_s}
        return self._deferred.choose(self._rooms(), most, now_s - self._settings.deferred_max_age_s, resting)

    def _rooms(self) -> Rooms:
        """Return what says how much room a line has; lines of one tenant share its queue's, and all the memory.

        They share what all queues together take, too: promised to each of many tenants, most would be read in vain.
        """
        memory, rest = self._buffer.free(), self._admission.rest()
        tenants: dict[str, Room] = {}

        def rooms(line: Line) -> Iterator[Room]:
            if line.tenant_id not in tenants:
                tenants[line.tenant_id] = self._room(line.tenant_id)
            yield from (memory, rest, tenants[line.tenant_id])
            if line.message_id:
                yield self._admission.room_of_id(line.tenant_id, line.message_id)

        return rooms

    def _room(self, tenant_id: str) -> Room:
        """Return what to bring back of a tenant: many at once, since each time costs a read."""
        room = self._admission.room(tenant_id)
        enough = room.messages * _PARTS >= self._admission.whole().messages
        return room if enough and room.free_bytes * _PARTS >= room.whole_bytes else Room(0, 0)

    async def _read(self, chosen: Iterable[DeferredOffset]) -> Reread:
        """Read the chosen again.

        Raises:
            StreamError: nothing could be read now.

        """
        wanted: defaultdict[int, list[int]] = defaultdict(list)
        for item in chosen:
            wanted[item.partition].append(item.offset)
        if self._reader is None:
            self._reader = await Reader.connect(self._settings)
        self._reader.cover(ledger.partition for ledger in self._ledger)
        return await self._reader.read(wanted)

    def _return(self, chosen: Collection[DeferredOffset], reread: Reread) -> bool:
        """Give what was read to the pipeline; False where nothing of it had room."""
        expired_before_s = time.monotonic() - self._settings.deferred_max_age_s
        unfit: list[DeferredOffset] = []
        unread: list[DeferredOffset] = []
        blocked: set[Line] = set()
        for item in chosen:
            ledger = None if self._pipeline.held else self._ledger.get(item.partition)
            if ledger is None or ledger.epoch != item.epoch:
                self._deferred.settle(item)
                continue
            record = reread.records.get((item.partition, item.offset))
            if record is None and item.partition in reread.failed:
                blocked.add(item.line)
                unread.append(item)
                unfit.append(item)
            elif record is None or record.timestamp != item.timestamp:
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
        self._give_up(unread, reread.failed)
        self._pipeline.pump()
        return len(unfit) < len(chosen)

    def _give_up(self, unread: Iterable[DeferredOffset], failed: Mapping[int, StreamError]) -> None:
        """Leave partitions alone for a while; one with a batch that cannot be read until it is assigned anew."""
        first = {item.partition: item.offset for item in sorted(unread, key=attrgetter("offset"), reverse=True)}
        for partition, offset in first.items():
            error = failed[partition]
            if isinstance(error, CorruptPartition):
                # As where a first read fails: what stands from there on has no outcome, and the watermark stays.
                self._deferred.forget(partition, offset)
                self._halt(partition, str(error))
            else:
                logger.warning("deferred messages of partition %d could not be read again: %s", partition, error)
                self._rests_until_s[partition] = time.monotonic() + _REST_S
