"""Digests over people's words. A short text can be guessed and its SHA-256 compared; an HMAC only by who has the key.

Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Literal

from msgspec import UNSET, UnsetType

from worker.secret import NO_SECRET, Secret

Method = Literal["hmac-sha256"]
KEYED: Final[Method] = "hmac-sha256"


class Digests:
    """Digests as the settings want them: HMAC-SHA256 under ``digest_key`` (RFC 2104), or plain SHA-256 without one."""

    def __init__(self, key: Secret = NO_SECRET) -> None:
        """Take the key; none gives plain digests."""
        self._key = key

    def __bool__(self) -> bool:
        """Tell whether there is a key."""
        return bool(self._key)

    @property
    def method(self) -> Method | UnsetType:
        """What a record says of its digests; nothing for plain ones."""
        return KEYED if self._key else UNSET

    def of_text(self, purpose: str, text: str) -> str:
        """Return the digest of a text as 64 hex digits."""
        return self.of_digest(purpose, hashlib.sha256(text.encode()).hexdigest())

    def of_digest(self, purpose: str, plain: str) -> str:
        """Return what is published for a plain digest (64 hex digits): the same without a key, else its HMAC.

        ``purpose`` keeps digests of different things apart, though they be of equal texts.
        """
        return self.keyed(purpose, plain) if self._key else plain

    def keyed(self, purpose: str, text: str) -> str:
        """Return the HMAC of a text for one purpose as 64 hex digits; there must be a key."""
        return hmac.digest(self._key.reveal().encode(), f"{purpose}\0{text}".encode(), "sha256").hex()

    def agree(self, purpose: str, published: str | None, plain: str, method: str | UnsetType) -> bool | None:
        """Tell whether a published digest is that of ``plain``; None where the key to tell is not here."""
        if method is UNSET:
            return published == plain
        return published == self.keyed(purpose, plain) if self._key else None


#: Without a key. One object, for whoever publishes nothing.
PLAIN: Final = Digests()
