"""The demonstration's messages. All were written for this project; none was taken from a data set."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct

from worker.errors import DecodeError
from worker.policy.document import fields_of
from worker.records import PLATFORM, Label, Message, decode, decode_message, decode_policy

#: Tenants of the samples that have a policy of their own; any other is judged by the floor alone.
TENANTS: Final = ("lumen-games", "northbridge", "bazaar")
#: The tenant whose policy changes, and the name of what it changes to.
CHANGING: Final = "lumen-games"
STRICT: Final = "lumen-games.strict"

#: Records that are no messages. They stand apart, since a JSON Lines file has to stay valid.
BROKEN: Final[tuple[bytes, ...]] = (
    b"this is not JSON",
    b'{"tenant_id": "lumen-games", "message_id": "lg-broken-1", "text": "cut off in the mid',
    b'{"message_id": "xx-broken-2", "text": "whose message is this?"}',
    b'{"tenant_id": "bazaar", "text": "and which one is this?"}',
    b'{"tenant_id": "northbridge", "message_id": "nb-broken-3", "text": null}',
    b'{"tenant_id": "no such/tenant", "message_id": "xx-broken-4", "text": "a name with a slash"}',
    b'{"tenant_id": "platform", "message_id": "xx-broken-5", "text": "the floor is no tenant"}',
    b'["tenant_id", "message_id", "text"]',
)


class _Expectation(Struct, frozen=True):
    """The field of a row that is no part of the message."""

    expect: dict[str, Label] = {}


class Sample(Struct, frozen=True, kw_only=True):
    """A message, and the label that its author vouches for under each policy named."""

    message: Message
    expect: dict[str, Label]


def load() -> tuple[Sample, ...]:
    """Read all samples, in the order in which they are sent."""
    return tuple(_sample(line) for line in raw_lines())


def raw_lines() -> tuple[bytes, ...]:
    """Return the rows of the file, one JSON object each."""
    return tuple(files("worker.demo").joinpath("messages.jsonl").read_bytes().splitlines())


def _sample(line: bytes) -> Sample:
    return Sample(message=decode_message(line), expect=decode(line, _Expectation, DecodeError).expect)


def policy_name(tenant_id: str) -> str:
    """Return the name of the policy that a tenant starts with."""
    return tenant_id if tenant_id in TENANTS else PLATFORM


def policy_bytes(name: str) -> bytes:
    """Return a sample policy as it is published: ``platform``, a tenant's, or ``STRICT``.

    Without its golden cases, which ``rsafe policy test`` judges: they would hold the change back that
    the demonstration shows, and the scripted engine cannot pass them.
    """
    raw = files("worker.demo").joinpath("policies", f"{name}.json").read_bytes()
    fields = fields_of(raw)
    return msgspec.json.encode({field: value for field, value in fields.items() if field != "golden"})


def version_of(name: str) -> int:
    """Return the version that a sample policy says it is."""
    return decode_policy(policy_bytes(name)).version
