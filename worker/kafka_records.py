"""Reading records whose header names are not UTF-8: aiokafka raises there, and one producer would halt a partition.

The Kafka protocol calls a header's name a string and brokers do not look at it, so anybody who may
write to a topic can send such a name. aiokafka has no hook for it. ``install`` therefore puts a reader
around its own: each batch is read by aiokafka's fast parser, and only what stands after its failure by
its slow one, with such names decoded as Python decodes file names (PEP 383: lone surrogates keep the bytes).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

_RECORD_BATCHES: Final = 2


class _Buffer(bytearray):
    """A buffer whose parts decode whatever they hold."""

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        return _Buffer(found) if isinstance(key, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)


class _TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # final for users, and the only parser in Python
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _Buffer(self._buffer)


class _Batch:
    """One batch by the fast parser, and from where that fails by the tolerant one."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._fast = DefaultRecordBatch(raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __next__(self) -> Any:
        return next(self._fast)

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            for record in self._fast:
                given += 1
                yield record
        except UnicodeDecodeError:
            yield from islice(_TolerantBatch(self._raw), given, None)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]  # final for users, as above
    def next_batch(self) -> Any:
        raw = self._next_slice
        if raw is None or len(raw) < self.MIN_SLICE or raw[self.MAGIC_OFFSET] < _RECORD_BATCHES:
            return super().next_batch()
        self._cache_next()
        return _Batch(raw)


def install() -> None:
    """Have every consumer of this process read through it; calling it again changes nothing."""
    fetcher.MemoryRecords = _Records
