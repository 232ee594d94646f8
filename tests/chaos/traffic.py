"""What is sent while things go wrong: messages whose verdict is known beforehand, poison, policies. Pure."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any, Final

from worker.demo.samples import BROKEN

#: Record key and value, as they are produced.
Pair = tuple[bytes, bytes | None]

_FAILURES: Final = ("timeout", "engine_error", "truncated", "contradictory", "unparseable")
_SLEEPS_MS: Final = (0, 100, 200, 400, 600)
_TENANTS: Final = 5
_CONVERSATIONS: Final = 200
_PLAIN: Final = (
    "good game everyone, see you tomorrow",
    "you are such an idiot, uninstall the game",
    "CONGRATS you have won a free prize, call now to claim",
    "does anyone know when the next season starts?",
)
_TAG: Final = re.compile(r"\[(unsafe|fail):([^\[\]]+)\]")


def texts(seed: int, engine: str) -> Iterator[str]:
    """Yield texts without end: tags for the scripted engine, sentences for a real one."""
    rng = random.Random(seed)
    while True:
        yield _tagged(rng) if engine == "scripted" else f"{rng.choice(_PLAIN)} ({rng.randrange(1000)})"


def _tagged(rng: random.Random) -> str:
    text = f"[sleep:{rng.choice(_SLEEPS_MS)}]"
    drawn = rng.random()
    if drawn < 0.2:
        return f"{text} [unsafe:U7]"
    return f"{text} [fail:{rng.choice(_FAILURES)}]" if drawn < 0.26 else f"{text} hello"


def message(number: int, text: str) -> Pair:
    """Return one message; the tenants have no policy of their own, so the floor judges."""
    tenant = f"tenant-{number % _TENANTS}"
    value = {"tenant_id": tenant, "message_id": f"m{number}", "text": text}
    return f"{tenant}/c{number % _CONVERSATIONS}".encode(), json.dumps(value).encode()


def poison(number: int) -> list[Pair]:
    """Return records that are no messages, and two null values, each of which is a declared skip."""
    values: list[bytes | None] = [*BROKEN, b"", b"\xff\xfe", b'{"tenant_id":' * 50, None, None]
    return [(f"poison-{number}-{place}".encode(), value) for place, value in enumerate(values)]


def floor(version: int) -> bytes:
    """Return the platform's policy; each version judges unlike the one before."""
    category = {"id": "U7", "name": "Threats", "action": "block" if version % 2 else "hold"}
    failing = {"timeout": "hold"} if version % 2 else {"engine_error": "block"}
    policy = {"title": "Floor", "version": version, "text": f"Rule {version}.", "categories": [category]}
    return json.dumps(policy | {"on_failure": failing}).encode()


def refused_floor() -> bytes:
    """Return a policy that must never judge: its version was there before, and it knows no category."""
    return json.dumps({"title": "Refused", "version": 1, "categories": []}).encode()


def expected(value: bytes) -> dict[str, Any] | None:
    """Return what the scripted engine must say of a message: its status, and its label if it is judged.

    None for what is no message and must be a dead letter.
    """
    try:
        text = json.loads(value)["text"]
    except (ValueError, KeyError, TypeError):
        return None
    if value in BROKEN:
        return None
    tags = dict(_TAG.findall(text))
    if "fail" in tags:
        return {"status": tags["fail"], "label": None}
    return {"status": "judged", "label": "unsafe" if "unsafe" in tags else "safe"}
