"""Reading batches that aiokafka's parsers stumble over: hostile header names, and garbled records.

The Kafka protocol calls a header's name a string and brokers do not look at it, so anybody who may
write to a topic can send one that is not UTF-8: aiokafka raises there, and one producer would halt a
partition. And its fast parser trusts the lengths in a record: a batch that is garbled under a checksum
that fits (a broken disk or broker) ends the process with a segmentation fault (seen). aiokafka has no
hook for either. ``install`` therefore puts a reader around its own: lengths are followed before the fast
parser sees a batch, and what stands after its failure at a name is read by its slow one, with such
names decoded as Python decodes file names (PEP 383: lone surrogates keep the bytes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.legacy_records import _LegacyRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

_RECORD_BATCHES: Final = 2
_HEAD_BYTES: Final = _DefaultRecordBatchPy.HEADER_STRUCT.size
_ATTRIBUTES_AT: Final = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET
_CODEC_MASK: Final = _DefaultRecordBatchPy.CODEC_MASK
#: A number may be read beyond the end of a buffer, but by no more than it has bytes.
_SLACK: Final = bytes(16)
#: Above this a byte of a number says that more follow.
_LAST: Final = 0x80
#: The key of a transaction's end: version and kind.
_MARKER_BYTES: Final = 4
#: What reading bytes that are no records may raise.
_GARBLED: Final = (ValueError, IndexError, OverflowError, AssertionError, struct.error)


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
        self._reading: Iterator[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __next__(self) -> Any:
        """Return the next record; only asked where a transaction's end has to be in it."""
        if self._reading is None:
            self._reading = iter(self)
        record = next(self._reading, None)
        if record is None or len(record.key or b"") < _MARKER_BYTES:
            text = "a transaction's end without its kind"
            raise CorruptRecordException(text)
        return record

    def __iter__(self) -> Iterator[Any]:
        plain = _checked(self._raw)
        given = 0
        try:
            for record in DefaultRecordBatch(plain):
                given += 1
                yield record
        except UnicodeDecodeError:
            yield from islice(_TolerantBatch(plain), given, None)


class _OldBatch(_LegacyRecordBatchPy):  # type: ignore[misc]  # final for users, and the one that cannot crash
    """A batch of the formats before Kafka 0.11, which brokers of version 4 no longer send."""

    def __init__(self, raw: memoryview, magic: int) -> None:
        try:
            super().__init__(raw, magic)
        except _GARBLED as error:
            raise _corrupt(error) from None

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from super().__iter__()
        except UnicodeDecodeError:
            raise
        except _GARBLED as error:
            raise _corrupt(error) from None


def _checked(raw: memoryview) -> bytes:
    """Return a batch without compression whose every length stays within it.

    Raises:
        CorruptRecordException: one does not.

    """
    batch = _DefaultRecordBatchPy(raw)
    try:
        batch._maybe_uncompress()  # noqa: SLF001  (the fast parser's own does not tell what came of it)
        records = bytes(batch._buffer[batch._pos :])  # noqa: SLF001
        _follow(records + _SLACK, len(records), batch._num_records)  # noqa: SLF001
    except _GARBLED as error:
        raise _corrupt(error) from None
    head = bytearray(raw[:_HEAD_BYTES])
    head[_ATTRIBUTES_AT + 1] &= ~_CODEC_MASK
    return bytes(head) + records


def _follow(buffer: bytes, end: int, count: int) -> None:
    """Walk over ``count`` records, length by length; they have to fill the buffer up to ``end``.

    Raises:
        ValueError: a length leads out of its record, or the records do not fill the buffer.

    """
    at = 0
    for _ in range(count):
        length, at = decode_varint(buffer, at)
        stop = at + length
        if length < 0 or stop > end or buffer[at] >= _LAST:
            raise ValueError
        _, at = decode_varint(buffer, at + 1)
        _, at = decode_varint(buffer, at)
        at = _over(buffer, _over(buffer, at, stop), stop)
        headers, at = decode_varint(buffer, at)
        if headers < 0:
            raise ValueError
        for _ in range(headers):
            if buffer[at] & 1:
                # A name has no negative length: its number would be odd.
                raise ValueError
            at = _over(buffer, _over(buffer, at, stop), stop)
        if at != stop:
            raise ValueError
    if at != end:
        raise ValueError


def _over(buffer: bytes, at: int, stop: int) -> int:
    """Return where the bytes end whose length stands here; a negative length means none at all."""
    length, at = decode_varint(buffer, at)
    at += max(length, 0)
    if at > stop:
        raise ValueError
    return at


def _corrupt(error: Exception) -> CorruptRecordException:
    return CorruptRecordException(f"records that are none: {type(error).__name__}")


class _Records(_MemoryRecordsPy):  # type: ignore[misc]  # final for users, as above
    def next_batch(self) -> Any:
        raw = self._next_slice
        if raw is None or len(raw) < self.MIN_SLICE:
            return super().next_batch()
        old = raw[self.MAGIC_OFFSET] < _RECORD_BATCHES
        if not old and len(raw) < _HEAD_BYTES:
            text = "a batch shorter than its head"
            raise CorruptRecordException(text)
        self._cache_next()
        return _OldBatch(raw, raw[self.MAGIC_OFFSET]) if old else _Batch(raw)


def install() -> None:
    """Have every consumer of this process read through it; calling it again changes nothing."""
    fetcher.MemoryRecords = _Records
