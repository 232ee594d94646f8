"""Which tests go to one process when a run is shared by several (``make test``)."""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

#: Starting an engine takes longer than most tests, so all that need one share it.
_WITH_ENGINE: Final = ("tests/engine/", "tests/train/")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """A file goes to one process as a whole, and what needs the engine goes to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "engine" if nodeid.startswith(_WITH_ENGINE) else nodeid.partition("::")[0]


def start(item: pytest.Item) -> int:
    """Tell what comes first: what waits longest, so that no process is left alone with it at the end."""
    return next((place for place, need in enumerate(("engine", "broker")) if item.get_closest_marker(need)), 2)
