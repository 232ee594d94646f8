"""What a soak sends: rounds of messages of every kind, and changes of policies between them. Pure.

Each round has names of its own: conversations, message ids, tenants that come and go, strangers without a
policy. Whatever a worker keeps for a name that it will never see again shows as growth.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from msgspec import UNSET, Struct, structs

from worker.client import message_key
from worker.records import PLATFORM, Category, GoldenCase, Message, Policy, encode

#: Tenants that stay and change their policy, and that come in a round and are gone two rounds later.
LASTING: Final = 8
PASSING: Final = 4
_PASSING_ROUNDS: Final = 2
#: Shares of a round's records; the rest are messages of tenants that have a policy.
_STRANGERS: Final = 0.05
_POISON: Final = 0.01
_NULLS: Final = 0.005
_TAGGED: Final = 0.05
_LONGEST_TEXT: Final = 2000
_TAGS: Final = ("[unsafe:OWN]", "[unsafe:U7]", "[fail:timeout]", "[fail:engine_error]")
_HEADERS: Final = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


class Record(Struct, frozen=True, kw_only=True):
    """A record for ``messages``; a null value is a declared skip."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Change(Struct, frozen=True, kw_only=True):
    """A record for ``policies``; a null value ends the scope."""

    scope: str
    value: bytes | None


def floor() -> Change:
    """Return the policy that everybody is judged by at least."""
    return Change(scope=PLATFORM, value=encode(_policy("Floor", 1, "U7")))


def changes(number: int) -> list[Change]:
    """Return what changes in the policies before round ``number`` (from 0)."""
    made = [
        Change(scope=f"lasting-{index}", value=encode(_policy("Own", number + 1, "OWN"))) for index in range(LASTING)
    ]
    made += [
        Change(scope=f"passing-{number}-{index}", value=encode(_policy("Own", 1, "OWN"))) for index in range(PASSING)
    ]
    made += [Change(scope=f"lasting-0/channel-{number}", value=encode(_policy("Channel", 1, "CHAN")))]
    made += [Change(scope="lasting-1#shadow", value=encode(_policy("Tried", number + 1, "TRIED")))]
    made += [Change(scope="lasting-2", value=b"no policy"), _with_golden_case(number)]
    if (old := number - _PASSING_ROUNDS) >= 0:
        gone = [f"passing-{old}-{index}" for index in range(PASSING)] + [f"lasting-0/channel-{old}"]
        made += [Change(scope=scope, value=None) for scope in gone]
    return made


def records(number: int, count: int, seed: int) -> Iterator[Record]:
    """Yield the records of round ``number``; equal arguments give equal records."""
    draw = random.Random(f"{seed}/{number}")
    for index in range(count):
        yield _record(draw, number, index)


def _policy(title: str, version: int, category: str) -> Policy:
    return Policy(
        title=title,
        version=version,
        categories=(Category(id=category, name=f"Name of {category}", definition=f"Version {version}."),),
    )


def _with_golden_case(number: int) -> Change:
    case = GoldenCase(text=f"Buy number {number} [unsafe:OWN]", label="unsafe", categories=("OWN",))
    return Change(
        scope="lasting-golden", value=encode(structs.replace(_policy("Golden", number + 1, "OWN"), golden=(case,)))
    )


def _record(draw: random.Random, number: int, index: int) -> Record:
    kind = draw.random()
    if kind < _NULLS:
        return Record(key=b"null", value=None)
    if kind < _NULLS + _POISON:
        return Record(key=b"poison", value=b'{"tenant_id": "lasting-0", "text": ' + draw.randbytes(20))
    message = _message(draw, number, index)
    return Record(key=message_key(message), value=encode(message), headers=_HEADERS if index % 2 else ())


def _message(draw: random.Random, number: int, index: int) -> Message:
    tag = draw.choice(_TAGS) if draw.random() < _TAGGED else ""
    return Message(
        tenant_id=_tenant(draw, number, index),
        message_id=f"{number}-{index}",
        conversation_id=f"{number}-{index // 3}",
        author_id=f"{number}-{index // 5}",
        text="word " * draw.randrange(_LONGEST_TEXT // 5) + tag,
        channel_id=f"channel-{number - index % 2}" if number and not index % 4 else UNSET,
    )


def _tenant(draw: random.Random, number: int, index: int) -> str:
    kind = draw.random()
    if kind < _STRANGERS:
        return f"stranger-{number}-{index}"
    if kind < _STRANGERS * 2:
        return f"passing-{number}-{index % PASSING}"
    return draw.choice([*(f"lasting-{other}" for other in range(LASTING)), "lasting-golden"])
