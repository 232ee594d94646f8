"""What the orders to running workers act on, as a memory of them."""

from __future__ import annotations


class Plane:
    """Remembers what it was told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.told: list[str] = []

    def pause(self, reason: str) -> None:
        """Remember a pause."""
        self.told.append(f"pause: {reason}")

    def resume(self) -> None:
        """Remember a resume."""
        self.told.append("resume")
