"""How much of a place that all tenants fill together one of them may fill. Pure."""

from __future__ import annotations


class Share:
    """Of messages, or of bytes. From half of it on all tenants have equal shares, and a new one's stays free."""

    __slots__ = ("_most", "_of_one")

    def __init__(self, most: int, of_one: int) -> None:
        """Take what fits of all tenants together, and of one as long as there is room enough."""
        self._most = most
        self._of_one = of_one

    def of_one(self, taken: int, tenants: int) -> int:
        """Return what one tenant may fill, while ``tenants`` have filled so much together."""
        return self._of_one if 2 * taken < self._most else min(self._of_one, max(1, self._most // (tenants + 1)))

    def spare(self, tenants: int) -> int:
        """Return what those tenants may fill together: all but the share that a new one would have."""
        return self._most - self._most // (tenants + 1)

    def rest(self, taken: int, tenants: int) -> int:
        """Return how much more they fill before each one's share shrinks, or a new one's alone is left."""
        return max(0, (self._most // 2 if 2 * taken < self._most else self.spare(tenants)) - taken)
