"""Keys of the ``policies`` topic: ``platform``, ``<tenant>`` or ``<tenant>/<channel>``, and a state. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct

from worker.errors import PolicyInvalid, UsageError
from worker.records import NAME_PATTERN, PLATFORM

State = Literal["live", "shadow", "draft"]

_NAME: Final = re.compile(NAME_PATTERN)
_STATES: Final[dict[str, State]] = {"shadow": "shadow", "draft": "draft"}
_EXPECTED: Final = "'platform', '<tenant>' or '<tenant>/<channel>', each alone or with '#shadow' or '#draft'"
#: Longest valid key: two names of 128, a slash and a state.
_MAX_CHARS: Final = 264


class Scope(Struct, frozen=True):
    """Whom a policy record speaks for. ``tenant`` is ``platform`` for the floor."""

    tenant: str
    channel: str | None = None
    state: State = "live"

    @property
    def key(self) -> str:
        """The key as it stands in Kafka."""
        return self.live if self.state == "live" else f"{self.live}#{self.state}"

    @property
    def live(self) -> str:
        """The key of the live record that this one is, or is meant to become."""
        return self.tenant if self.channel is None else f"{self.tenant}/{self.channel}"

    @property
    def is_floor(self) -> bool:
        """Whether this is the platform's own record, live or not."""
        return self.tenant == PLATFORM

    @property
    def judges(self) -> bool:
        """Whether messages are judged by it now; records with a state only wait."""
        return self.state == "live"


def shadow_key(live: str) -> str:
    """Return the key under which a live key's next policy is rehearsed."""
    return f"{live}#shadow"


def parse(text: str) -> Scope:
    """Read a key.

    Raises:
        PolicyInvalid: the text is not a scope.

    """
    field = "key"
    if len(text) > _MAX_CHARS:
        raise PolicyInvalid(field, _EXPECTED)
    base, mark, state = text.partition("#")
    tenant, slash, channel = base.partition("/")
    names_fit = _NAME.match(tenant) and (not slash or _NAME.match(channel))
    if not names_fit or (mark and state not in _STATES) or (slash and tenant == PLATFORM):
        raise PolicyInvalid(field, _EXPECTED)
    return Scope(tenant, channel if slash else None, _STATES[state] if mark else "live")


def parse_argument(text: str) -> Scope:
    """Read a scope that a person typed.

    Raises:
        UsageError: the text is not a scope.

    """
    try:
        return parse(text)
    except PolicyInvalid as error:
        message = f"SCOPE is not {error.expected}"
        raise UsageError(message) from None


def parse_key(key: bytes | None) -> Scope:
    """Read a record's key as it stands in Kafka.

    Raises:
        PolicyInvalid: no key, no UTF-8, or not a scope.

    """
    try:
        return parse((key or b"").decode())
    except UnicodeDecodeError:
        field = "key"
        raise PolicyInvalid(field, _EXPECTED) from None


def shown(key: bytes | None) -> str:
    """Return a key as text that fits any record, whatever its bytes are."""
    return (key or b"").decode("utf-8", "backslashreplace")[:_MAX_CHARS]
