"""Words sealed with AES-256-GCM under a random key of whoever they are about: who loses the key loses the words. Pure.

What a key seals is bound to its record by ``context``: moved to another record, it does not open. Random
nonces of 96 bits are safe for 2**32 uses of one key (NIST SP 800-38D, section 8.3); no subject writes as much.
"""

from __future__ import annotations

import base64
import os
from typing import Annotated, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Struct

KEY_BYTES: Final = 32
_ID_BYTES: Final = 16
_NONCE_BYTES: Final = 12

KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}(?!\n)$")]


class Sealed(Struct, frozen=True, kw_only=True):
    """Words that only their key opens: ``key`` names it, ``data`` is nonce, ciphertext and tag in base64."""

    key: KeyId
    data: str


class SealingKey(Struct, frozen=True):
    """A key and its name, which says nothing about the subject."""

    id: str
    secret: bytes


class Unsealable(Exception):
    """The bytes are not what this key sealed for this place."""


def new_key() -> SealingKey:
    """Make a random key."""
    return SealingKey(os.urandom(_ID_BYTES).hex(), os.urandom(KEY_BYTES))


def seal(secret: bytes, context: str, plain: bytes) -> bytes:
    """Return nonce, ciphertext and tag.

    Args:
        secret: ``KEY_BYTES`` bytes.
        context: the record that this stands in; needed to open it.
        plain: what nobody else shall read.

    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, plain, context.encode())


def unseal(secret: bytes, context: str, data: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        Unsealable: another key, another record, or changed bytes.

    """
    try:
        return AESGCM(secret).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise Unsealable from None


def as_text(key: SealingKey, context: str, plain: bytes) -> Sealed:
    """Seal for a record of JSON."""
    return Sealed(key=key.id, data=base64.b64encode(seal(key.secret, context, plain)).decode())


def of_text(secret: bytes, context: str, sealed: Sealed) -> bytes:
    """Open what ``as_text`` made.

    Raises:
        Unsealable: as for ``unseal``.

    """
    try:
        data = base64.b64decode(sealed.data, validate=True)
    except ValueError:
        raise Unsealable from None
    return unseal(secret, context, data)
