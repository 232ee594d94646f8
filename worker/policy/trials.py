"""Golden cases before a policy takes force: which records wait for them, and who runs them.

A record with golden cases that breaks no other rule stays undecided until one worker has judged the
cases under the effective policy that it would give. That worker writes the decision, with its model's
fingerprint, into ``policy-history``; the others read it there. The same cases under the same effective
policy and model are not judged twice, so a rollback is as quick as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from worker.errors import PolicyInvalid, WorkerError
from worker.policy.golden import GoldenReport
from worker.policy.history import Book, Incoming, Place, accepted_of
from worker.policy.model import EffectivePolicy
from worker.policy.scope import parse
from worker.records import HistoryEntry, Policy

logger: Final = logging.getLogger(__name__)

#: Failed cases that a refusal names.
_NAMED: Final = 5
#: How often a worker that is not the chosen one looks whether it is.
_LOOK_S: Final = 0.2
_RETRY_S: Final = 2.0


class Trier(Protocol):
    """Whoever can judge golden cases: this worker's judge, while this worker is the chosen one."""

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the model that judges."""

    def chosen(self) -> bool:
        """Tell whether this worker is the one that runs the cases now."""

    async def start(self) -> None:
        """Stand for being chosen."""

    async def stop(self) -> None:
        """Give the part to another worker. Safe to call twice."""

    async def run(self, place: Place, policy: Policy, effective: EffectivePolicy) -> GoldenReport:
        """Judge every case of the record at a place.

        Raises:
            PolicyInvalid: they cannot be judged at all; the record is refused.
            WorkerError: the cases could not be judged; they are tried again later.

        """


class Waiting(Struct, frozen=True, kw_only=True):
    """A record whose golden cases decide, and under what they are judged."""

    place: Place
    entry: HistoryEntry
    policy: Policy
    effective: EffectivePolicy


class Tried(Struct, frozen=True, kw_only=True):
    """What the cases gave under one effective policy, or why nobody may judge them."""

    effective_digest: str
    fingerprint: str | None
    report: GoldenReport | PolicyInvalid


class Trials:
    """Records that wait for their golden cases, and the task that judges them one after the other."""

    def __init__(self, trier: Trier | None) -> None:
        """Take whoever judges; None leaves the decision to other workers."""
        self._trier = trier
        self._waiting: dict[Place, Waiting] = {}
        self._tried: dict[Place, Tried] = {}
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Stand for being chosen, and judge what waits."""
        if self._trier is not None:
            await self._trier.start()
            self._task = asyncio.create_task(self._run(self._trier))

    async def stop(self) -> None:
        """End in the middle of a case if need be; what is undecided is judged by the next worker."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._trier is not None:
            await self._trier.stop()

    def gate(self, record: Incoming, entry: HistoryEntry, book: Book) -> HistoryEntry | None:
        """Return the decision about a record that would be accepted; None while its cases are not judged.

        Args:
            record: what waits.
            entry: its acceptance, were there no golden cases.
            book: what is in force.

        """
        if entry.golden_digest is None:
            return entry
        fingerprint = self._trier.fingerprint if self._trier else None
        if book.has_passed(entry, fingerprint):
            return replace(entry, fingerprint=fingerprint)
        tried = self._tried.get(record.place)
        if tried is not None and tried.effective_digest == entry.effective_digest:
            return concluded(entry, tried)
        waiting = self._waiting.get(record.place)
        # Asked at every look into the topic: what is being judged already is not begun anew.
        if waiting is None or waiting.entry.effective_digest != entry.effective_digest:
            self._wait(record, entry, book)
        return None

    def keep(self, undecided: Sequence[Place]) -> None:
        """Forget every record but these."""
        self._waiting = {place: one for place, one in self._waiting.items() if place in undecided}
        self._tried = {place: one for place, one in self._tried.items() if place in undecided}

    def _wait(self, record: Incoming, entry: HistoryEntry, book: Book) -> None:
        accepted = accepted_of(entry)
        assert accepted is not None
        scope = parse(entry.scope)
        effective = book.rehearse(scope, replace(accepted, scope=scope.live))
        self._tried.pop(record.place, None)
        self._waiting[record.place] = Waiting(
            place=record.place, entry=entry, policy=accepted.policy, effective=effective
        )
        self._some.set()

    async def _run(self, trier: Trier) -> None:
        while True:
            await self._some.wait()
            open_ones = [one for place, one in self._waiting.items() if place not in self._tried]
            if not open_ones:
                self._some.clear()
            elif not trier.chosen():
                await asyncio.sleep(_LOOK_S)
            else:
                await self._try(trier, open_ones[0])

    async def _try(self, trier: Trier, one: Waiting) -> None:
        report: GoldenReport | PolicyInvalid
        try:
            report = await trier.run(one.place, one.policy, one.effective)
        except PolicyInvalid as error:
            report = error
        except WorkerError as error:
            logger.warning("golden cases of %s could not be judged: %s", one.entry.scope, error)
            await asyncio.sleep(_RETRY_S)
            return
        # Another worker's word may have come meanwhile, or another effective policy.
        if self._waiting.get(one.place) is one:
            digest = one.effective.digest
            self._tried[one.place] = Tried(effective_digest=digest, fingerprint=trier.fingerprint, report=report)


def concluded(entry: HistoryEntry, tried: Tried) -> HistoryEntry:
    """Return the decision that the cases' outcome gives."""
    judged = replace(entry, fingerprint=tried.fingerprint)
    if isinstance(tried.report, GoldenReport) and tried.report.ok:
        return judged
    why = tried.report.expected if isinstance(tried.report, PolicyInvalid) else _why(tried.report)
    return replace(judged, decision="refused", digest=None, effective_digest=None, field="golden", reason=why)


def _why(report: GoldenReport) -> str:
    """Say which cases failed and how, never with their text."""
    failed = [result for result in report.results if not result.passed]
    named = [
        f"golden[{one.index}] wants {' '.join((one.label, *one.categories))} and gives "
        f"{' '.join((one.answer.label or one.answer.status, *one.answer.hits))}"
        for one in failed[:_NAMED]
    ]
    more = [f"and {len(failed) - _NAMED} more"] if len(failed) > _NAMED else []
    passed = f"{report.passed} of {len(report.results)} do"
    return f"{report.min_pass:.0%} of the golden cases to come out right; {passed}: {'; '.join(named + more)}"
