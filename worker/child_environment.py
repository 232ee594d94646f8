"""What a child process gets to know of this one's environment: everything but passwords. Pure.

Whoever may look into ``/proc/PID/environ`` reads what a process was started with, for as long as it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: Words of a variable's name, between its underscores, that say what it holds.
_WORDS: Final = frozenset(
    {"CREDENTIAL", "CREDENTIALS", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "SECRETS", "TOKEN"}
)
_KEY: Final = re.compile(r"(?:ACCESS|API|DIGEST|ENCRYPTION|PRIVATE|SIGNING)_?KEY", re.IGNORECASE)
#: An address with a login in it, such as a proxy's.
_LOGIN: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a child may have; those that hold a secret, or say where one is, are left out."""
    return {name: value for name, value in environ.items() if not is_secret(name, value)}


def is_secret(name: str, value: str) -> bool:
    """Tell by its name, or by a login in its value, that a variable is nothing for a child process."""
    named = not _WORDS.isdisjoint(name.upper().split("_")) or _KEY.search(name)
    return bool(named or _LOGIN.search(value))
