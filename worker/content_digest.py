"""A digest of key and value in a record's own headers, so that a change of either shows without anything else. Pure.

It is no signature: whoever can write any record can write a fitting digest. It finds decay and careless
edits; what finds the rest are the Merkle roots of ``rsafe audit seal``, kept where the log's owner cannot reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

HEADER: Final = "content_digest"
_NULL: Final = b"\xff\xff\xff\xff"


def digest(key: bytes | None, value: bytes | None) -> str:
    """Return the SHA-256 over key and value as 64 hex digits; the key's length stands first, 4 bytes, big-endian."""
    length = _NULL if key is None else len(key).to_bytes(4)
    return hashlib.sha256(b"".join((length, key or b"", value or b""))).hexdigest()


def header(key: bytes | None, value: bytes | None) -> tuple[str, bytes | None]:
    """Return the header to write with a record."""
    return HEADER, digest(key, value).encode()


def agrees(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bool | None:
    """Tell whether a record is what its digest says; None where it carries none. The last of a name counts."""
    said = None
    for name, content in headers:
        if name == HEADER:
            said = content
    return None if said is None else said == digest(key, value).encode()
