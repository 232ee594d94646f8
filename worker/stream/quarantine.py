"""Messages that were in the judge when an engine died: judged alone, so that the one to blame is found.

Any of them may have killed the engine. The commit names them, the next owner judges them one at a time
with nothing beside them, and a death then is the message's own. After the second one it goes to dead
letters; its neighbours have passed meanwhile. Only an engine that is gone or hangs counts: a worker
that was killed says nothing about its messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from worker.errors import FatalMessage
from worker.stream.work import Work

#: Engine deaths of a message alone after which it is not judged again; one could be chance.
FATAL_DEATHS: Final = 2


def fatal(deaths: int) -> FatalMessage:
    """Return the error that goes with such a message's dead letter."""
    text = f"the engine died {deaths} times with this message alone in it; look at the engine's log before a redrive"
    return FatalMessage(text)


class Quarantine:
    """Suspects that wait for the judge to be empty, and the one that is in it."""

    def __init__(self, others_busy: Callable[[], bool]) -> None:
        """Start empty; ``others_busy`` tells whether anything but live messages is in the judge."""
        self._others_busy = others_busy
        self._waiting: deque[Work] = deque()
        self._alone: Work | None = None
        self._died = False

    @property
    def is_open(self) -> bool:
        """Whether any suspect waits or is judged."""
        return bool(self._waiting) or self._alone is not None

    def takes(self, work: Work) -> bool:
        """Take a message in if it is a suspect."""
        if work.is_suspect:
            self._waiting.append(work)
        return work.is_suspect

    def next(self) -> Work:
        """Return the suspect that is judged now; the judge is empty."""
        self._alone = self._waiting.popleft()
        return self._alone

    def passed(self, work: Work) -> None:
        """Note that a message has left the judge."""
        if work is self._alone:
            self._alone = None

    def drop(self) -> list[Work]:
        """Give back those that wait."""
        dropped = list(self._waiting)
        self._waiting.clear()
        return dropped

    def engine_died(self, in_judge: Sequence[Work]) -> None:
        """Note in the ledgers what was in the judge; what is asked after the first death is not to blame."""
        if self._died:
            return
        self._died = True
        is_alone = len(in_judge) == 1 and not self._others_busy()
        for work in in_judge:
            work.ledger.suspect(work.offset, work.record.timestamp, alone=is_alone)
