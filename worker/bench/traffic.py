"""Messages to measure with: the demonstration's, cycled in a fixed random order, each with an id of its own. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from worker.demo.samples import CHANGING, load
from worker.records import Message

Shape = Literal["uniform", "hot"]
#: Share of the messages that one tenant sends in the shape ``hot``.
HOT_SHARE: Final = 0.9


def traffic(shape: Shape, count: int, seed: int) -> list[Message]:
    """Return ``count`` messages; equal arguments give equal messages.

    Args:
        shape: ``uniform``: each tenant sends about as many; ``hot``: one sends nine of ten.
        count: how many.
        seed: of the order.

    """
    rng = random.Random(seed)
    by_tenant: dict[str, list[Message]] = {}
    for sample in load():
        by_tenant.setdefault(sample.message.tenant_id, []).append(sample.message)
    draw = _SHAPES[shape](rng, sorted(by_tenant))
    return [_numbered(rng.choice(by_tenant[draw()]), number) for number in range(count)]


def _uniform(rng: random.Random, tenants: Sequence[str]) -> Callable[[], str]:
    return lambda: rng.choice(tenants)


def _hot(rng: random.Random, tenants: Sequence[str]) -> Callable[[], str]:
    others = [tenant for tenant in tenants if tenant != CHANGING]
    return lambda: CHANGING if rng.random() < HOT_SHARE else rng.choice(others)


_SHAPES: Final[dict[Shape, Callable[[random.Random, Sequence[str]], Callable[[], str]]]] = {
    "uniform": _uniform,
    "hot": _hot,
}


def _numbered(message: Message, number: int) -> Message:
    return msgspec.structs.replace(
        message, message_id=f"b{number:07d}", conversation_id=f"{message.conversation_id}-{number % 97}"
    )
