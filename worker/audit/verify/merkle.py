"""Merkle roots over records, as in RFC 6962, section 2.1. Pure.

A *segment* is what was sealed at once: up to ``SEGMENT_RECORDS`` records of one partition. Its root proves
all of them; its tags, the first 8 bytes of each leaf, say which one differs. Who can find another record with
the same 8 bytes hides which record it is, not that the segment was changed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

SEGMENT_RECORDS: Final = 1024
TAG_BYTES: Final = 8
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_NULL_LENGTH: Final = 2**32 - 1


class Segment(Struct, frozen=True, kw_only=True):
    """One line of a seal file.

    Attributes:
        topic, partition: where the records stand.
        start, end: their offsets, the end excluded.
        holes: offsets in between at which nothing stood (transaction markers).
        root: the Merkle root over the records, as hex.
        tags: 8 bytes of each leaf in order, base64.
        sealed_at: when, RFC 3339.
        previous: SHA-256 of the file's line before, as hex; empty for the first.

    """

    topic: str
    partition: int
    start: int
    end: int
    holes: tuple[int, ...]
    root: str
    tags: str
    sealed_at: str
    previous: str


def leaf(record: Any) -> bytes:
    """Return a record's leaf: SHA-256 over offset, timestamp, and key, value and headers, each with its length."""
    digest = hashlib.sha256(_LEAF)
    digest.update(record.offset.to_bytes(8) + record.timestamp.to_bytes(8, signed=True))
    for part in _parts(record):
        digest.update((_NULL_LENGTH if part is None else len(part)).to_bytes(4) + (part or b""))
    return digest.digest()


def _parts(record: Any) -> Iterator[bytes | None]:
    yield record.key
    yield record.value
    for name, value in record.headers:
        yield name.encode(errors="surrogateescape")
        yield value


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaves in order; that of none is the SHA-256 of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    level = list(leaves)
    # Pairing level by level, with an odd one carried up, gives the tree that RFC 6962 defines by halving.
    while len(level) > 1:
        paired = [
            hashlib.sha256(_NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def seal(
    topic: str, partition: int, start: int, end: int, leaves: Mapping[int, bytes], sealed_at: str, previous: str
) -> Segment:
    """Return the segment of records whose leaves are given by offset, in order."""
    return Segment(
        topic=topic,
        partition=partition,
        start=start,
        end=end,
        holes=tuple(offset for offset in range(start, end) if offset not in leaves),
        root=root(list(leaves.values())).hex(),
        tags=base64.b64encode(b"".join(one[:TAG_BYTES] for one in leaves.values())).decode(),
        sealed_at=sealed_at,
        previous=previous,
    )


def expected(segment: Segment) -> dict[int, bytes]:
    """Return the tag of each offset of a segment.

    Raises:
        ValueError: the segment contradicts itself.

    """
    holes = set(segment.holes)
    offsets = [offset for offset in range(segment.start, segment.end) if offset not in holes]
    tags = base64.b64decode(segment.tags, validate=True)
    if len(tags) != len(offsets) * TAG_BYTES:
        text = "tags and offsets do not fit"
        raise ValueError(text)
    return {offset: tags[at * TAG_BYTES : (at + 1) * TAG_BYTES] for at, offset in enumerate(offsets)}


def differences(segment: Segment, leaves: Mapping[int, bytes], first: int) -> list[tuple[int, str]]:
    """Compare a segment with what stands there now.

    Args:
        segment: as it was sealed.
        leaves: by offset, in order, of the records that stand there now.
        first: the first offset that the log still holds; what retention took is no difference.

    Returns:
        Offsets and what is wrong with each; empty if nothing is.

    Raises:
        ValueError: the segment contradicts itself.

    """
    tags = {offset: tag for offset, tag in expected(segment).items() if offset >= first}
    found = [(offset, _difference(tags.get(offset), leaves.get(offset))) for offset in sorted({*tags, *leaves})]
    wrong = [(offset, reason) for offset, reason in found if reason is not None]
    if not wrong and first <= segment.start and root(list(leaves.values())).hex() != segment.root:
        return [(segment.start, f"the records up to {segment.end - 1} do not fit their root, though their tags do")]
    return wrong


def _difference(tag: bytes | None, now: bytes | None) -> str | None:
    if tag is None:
        return "it was not there when its place was sealed"
    if now is None:
        return "it was sealed and is gone"
    return None if now[:TAG_BYTES] == tag else "it is not what was sealed"


def total(segments: Iterable[Segment]) -> int:
    """Count the records of segments."""
    return sum(segment.end - segment.start - len(segment.holes) for segment in segments)
