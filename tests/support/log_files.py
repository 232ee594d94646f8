"""A broker's log on disk: record batches (format 2, KIP-98), found and changed in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from aiokafka.record.util import calc_crc32c

from worker.broker import Broker

#: Where the parts of a record batch begin, in bytes.
ATTRIBUTES: Final = 22
RECORDS: Final = 61
_LENGTH: Final = slice(8, 12)
_BEFORE_LENGTH_ENDS: Final = 12
_CRC: Final = slice(17, 21)

Harm = Callable[[bytearray], None]


def hurt(broker: Broker, partition: str, number: int, harm: Harm) -> None:
    """Change one batch in the broker's log, and nothing of its size."""
    (segment,) = (broker.config.data_dir / "log" / partition).glob("*.log")
    start, batch = list(batches(segment))[number]
    before = len(batch)
    harm(batch)
    assert len(batch) == before
    with segment.open("r+b") as file:
        file.seek(start)
        file.write(batch)


def batches(segment: Path) -> Iterator[tuple[int, bytearray]]:
    """Yield each batch of a segment and where it begins, in bytes."""
    raw, start = segment.read_bytes(), 0
    while start < len(raw):
        end = start + _BEFORE_LENGTH_ENDS + int.from_bytes(raw[start:][_LENGTH])
        yield start, bytearray(raw[start:end])
        start = end


def sign(batch: bytearray) -> None:
    """Give a batch the checksum of what it holds now."""
    batch[_CRC] = calc_crc32c(bytes(batch[_CRC.stop :])).to_bytes(4)


def rewritten(changes: dict[bytes, bytes]) -> Harm:
    """Return a harm that replaces bytes by as many others, under a checksum that is right."""

    def harm(batch: bytearray) -> None:
        for old, new in changes.items():
            assert len(old) == len(new)
            assert batch.count(old) == 1, f"{old!r} stands {batch.count(old)} times in the batch"
            at = batch.find(old)
            batch[at : at + len(old)] = new
        sign(batch)

    return harm
