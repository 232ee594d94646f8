"""Which subjects are erased, and up to which messages, as the order of ``erasures`` says. Pure.

What came first counts: a hold voids the beginnings of erasures after it, and those before it that have no end
yet. An erasure that came to its end stands: its keys are gone, and its receipt says so.
"""

from __future__ import annotations

from worker.erasure.records import Erasure


class Erased:
    """What a reader of ``erasures`` knows, record by record."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._held: set[str] = set()
        self._begun_ms: dict[str, int] = {}
        self._open_ms: dict[str, int] = {}
        self._done_ms: dict[str, int] = {}

    def take(self, found: Erasure, at_ms: int) -> None:
        """Take in the next record; ``at_ms`` is Kafka's time of it."""
        name = found.subject
        if found.state == "begun":
            self._begun_ms[found.erasure_id] = at_ms
            if name not in self._held:
                self._open_ms[name] = max(at_ms, self._open_ms.get(name, 0))
        elif found.state == "done":
            # It covers what its beginning says, also one that a hold had voided until then.
            self._done_ms[name] = max(self._begun_ms.pop(found.erasure_id, 0), self._done_ms.get(name, 0))
        elif found.state == "held":
            self._held.add(name)
            self._open_ms.pop(name, None)
        else:
            self._held.discard(name)

    def until_ms(self, name: str) -> int | None:
        """Return the time up to which messages of a subject are erased, that one included; None for no erasure."""
        return max(self._open_ms.get(name, 0), self._done_ms.get(name, 0)) or None
