"""Texts as keyed digests: an exception for a text never holds the text. Pure, but for reading the key once.

Short texts can be guessed, so a plain hash would give them away to whoever reads the topic. An HMAC
(RFC 2104) with a key that only workers and authors have cannot be tried out. The tenant stands in what
is digested: equal texts of two tenants have nothing in common.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from worker import credentials
from worker.config import Settings
from worker.folding import bare
from worker.secret import Secret

#: Says what a digest is for, so that one made for something else with the same key is never one of these.
_PURPOSE: Final = b"rsafe exception text 1"
_KEY_ID_PURPOSE: Final = b"rsafe key id 1"
_KEY_ID_DIGITS: Final = 8


class Fingerprinter:
    """Makes fingerprints with one key."""

    def __init__(self, key: Secret) -> None:
        """Take a key that is not empty."""
        self._key = key.reveal().encode()
        #: Tells fingerprints of other keys apart, which could never match; it says nothing about the key.
        self.key_id: Final = hmac.digest(self._key, _KEY_ID_PURPOSE, hashlib.sha256).hex()[:_KEY_ID_DIGITS]

    def of(self, tenant: str, text: str) -> str:
        """Return the fingerprint of a text for a tenant (``*`` for all): key id, colon, 64 hex digits.

        Texts that differ only by case, width, space and ASCII punctuation have the same one.
        """
        said = bare(text) or text.strip()
        parts = (_PURPOSE, tenant.encode(), said.encode("utf-8", "replace"))
        return f"{self.key_id}:{hmac.digest(self._key, bytes(1).join(parts), hashlib.sha256).hex()}"


def fingerprinter(settings: Settings) -> Fingerprinter | None:
    """Return what makes fingerprints with the key of the settings; None where there is no key.

    Raises:
        ConfigError: the key cannot be used.

    """
    key = credentials.digest_key(settings)
    return Fingerprinter(key) if key else None
