"""Attacks on the judge, generated: every wrapping over some violating and some benign carriers.

A wrapping is a row of ``attacks.toml`` (what people write around a text), or a function of
``disguises.py`` (what they do to its characters). Equal seeds give equal cases.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final, Literal

import msgspec
from msgspec import Struct

from worker.attacks.disguises import disguises
from worker.records import Message, Role, Turn

Kind = Literal["benign", "violating"]
KINDS: Final[tuple[Kind, ...]] = ("benign", "violating")
SEED: Final = 20_261_121
#: Carriers of each kind for each wrapping.
PER_KIND: Final = 3
TENANT: Final = "attacked"
_PLACE: Final = "{carrier}"


class Carrier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text whose author vouches for its kind under one of the demonstration's policies."""

    id: str
    policy: str
    kind: Kind
    text: str


class Wrapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is put around a carrier; ``context`` holds (role, text) of earlier turns."""

    family: str
    name: str
    text: str
    role: Role = "user"
    context: tuple[tuple[Role, str], ...] = ()


class Case(Struct, frozen=True, kw_only=True):
    """One attack.

    Attributes:
        id: ``<family>/<wrapping>/<carrier id>``.
        family: the attack's family.
        carrier: what was wrapped.
        message: what is sent.
        alone: the carrier by itself, in the same role.

    """

    id: str
    family: str
    carrier: Carrier
    message: Message
    alone: Message


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    carriers: tuple[Carrier, ...]
    wrappings: tuple[Wrapping, ...]


def _file() -> _File:
    text = files("worker.attacks").joinpath("attacks.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File)


def carriers() -> tuple[Carrier, ...]:
    """Return all carriers."""
    return _file().carriers


def generate(seed: int = SEED, per_kind: int = PER_KIND) -> tuple[Case, ...]:
    """Return the cases of a seed, in a fixed order.

    Args:
        seed: picks the carriers of each wrapping.
        per_kind: how many of each kind; all of them if there are not so many.

    """
    source = _file()
    return tuple(
        case
        for wrapping in source.wrappings
        for carrier in _picked(source.carriers, f"{seed} {wrapping.family} {wrapping.name}", per_kind)
        for case in (_case(wrapping.family, wrapping.name, carrier, _wrapped(wrapping, carrier)),)
    ) + tuple(_disguised(source.carriers, seed, per_kind))


def _disguised(known: Sequence[Carrier], seed: int, per_kind: int) -> Iterator[Case]:
    for disguise in disguises():
        for carrier in _picked(known, f"{seed} {disguise.family} {disguise.name}", per_kind):
            message = _message(disguise.apply(carrier.text))
            yield _case(disguise.family, disguise.name, carrier, message)


def _picked(known: Sequence[Carrier], seed: str, per_kind: int) -> list[Carrier]:
    """Return carriers of both kinds; a text as seed makes each wrapping's choice independent of the others."""
    chance = random.Random(seed)
    found: list[Carrier] = []
    for kind in KINDS:
        group = [carrier for carrier in known if carrier.kind == kind]
        found += chance.sample(group, min(per_kind, len(group)))
    return found


def _wrapped(wrapping: Wrapping, carrier: Carrier) -> Message:
    turns = tuple(Turn(role=role, text=text) for role, text in wrapping.context)
    return _message(wrapping.text.replace(_PLACE, carrier.text), wrapping.role, turns)


def _message(text: str, role: Role = "user", context: tuple[Turn, ...] = ()) -> Message:
    return Message(tenant_id=TENANT, message_id="attack", text=text, role=role, context=context)


def _case(family: str, name: str, carrier: Carrier, message: Message) -> Case:
    identity = f"{family}/{name}/{carrier.id}"
    return Case(
        id=identity,
        family=family,
        carrier=carrier,
        message=msgspec.structs.replace(message, message_id=identity),
        alone=_message(carrier.text, message.role),
    )
