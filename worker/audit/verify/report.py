"""What ``audit verify`` says: the lists, what waits, and what was looked at. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from worker.audit.verify.coverage import Coverage, Fault, Place

#: Lines of one list; beyond it only the count goes on.
MAX_LISTED: Final = 100_000
_NO_OUTCOME: Final = "no outcome"
_NO_WORKER: Final = "no outcome yet, and no worker of the group is running"
_OVERTAKEN: Final = "retention took it before it had an outcome"
_DECLARED: Final = "retention took it before it was judged, as its worker declared"
_CONTRADICTED: Final = "declared as lost, and there is another outcome"


class Audited(Struct, frozen=True, kw_only=True):
    """One partition of the range: offsets, the end excluded, and the group's commit (null: none)."""

    topic: str
    partition: int
    start: int
    end: int
    committed: int | None


class Pending(Struct, frozen=True, kw_only=True):
    """Inputs of one partition that wait for their outcome: the lowest, and how many."""

    topic: str
    partition: int
    offset: int
    count: int


class Report(Struct, frozen=True, kw_only=True):
    """What ``audit verify`` prints.

    Attributes:
        checked: input offsets of the range at which a record stands or stood (null values, pending and lost
            ones included).
        skipped: null values, which are declared skips.
        missing, doubled, misplaced, altered: see ``Fault``; at most ``MAX_LISTED`` lines each.
        counts: how many lines each list would have in full.
        pending: inputs above the group's commit that have no outcome yet while a worker is running.
        ranges: what was looked at.
        sealed: records that a seal covers and that were checked against it; null without seals.
        records: records read from all topics.
        elapsed_s: how long it took.

    """

    checked: int
    skipped: int
    missing: tuple[Fault, ...]
    doubled: tuple[Fault, ...]
    misplaced: tuple[Fault, ...]
    altered: tuple[Fault, ...]
    counts: dict[str, int]
    pending: tuple[Pending, ...]
    ranges: tuple[Audited, ...]
    records: int
    elapsed_s: float
    sealed: int | None = None

    @property
    def ok(self) -> bool:
        """Whether no list has a line."""
        return not any(self.counts.values())


class Part(Struct, frozen=True, kw_only=True):
    """One audited partition.

    Attributes:
        coverage: finished.
        first: the first offset in its log.
        committed: the group's commit.
        working: whether a worker may have something in flight.

    """

    coverage: Coverage
    first: int
    committed: int | None
    working: bool

    @property
    def watermark(self) -> int:
        """From here on an input without an outcome is pending.

        Without a commit, what lies below an outcome was passed over.
        """
        return self.coverage.highest + 1 if self.committed is None else self.committed

    def missing(self, topic: str) -> Iterator[Fault]:
        """Iterate over the inputs that must have an outcome and have none, or none but a word that they are lost."""
        lost = self.coverage.lost()
        for offset, places in lost.items():
            if offset < self.coverage.start:
                yield self._declared(topic, offset, places)
        for offset in self.coverage.unmet():
            if offset in lost:
                yield self._declared(topic, offset, lost[offset])
            elif offset < self.first:
                yield Fault(topic=topic, partition=self.coverage.partition, offset=offset, reason=_OVERTAKEN)
            elif offset < self.watermark:
                yield Fault(topic=topic, partition=self.coverage.partition, offset=offset, reason=_NO_OUTCOME)
            elif not self.working:
                yield Fault(topic=topic, partition=self.coverage.partition, offset=offset, reason=_NO_WORKER)

    def doubled(self, topic: str) -> Iterator[Fault]:
        """Iterate over the inputs with more than one outcome; that it is lost is one."""
        yield from self.coverage.doubled()
        lost = self.coverage.lost()
        unmet = set(self.coverage.unmet()) if lost else set()
        for offset, places in lost.items():
            others = places[1:] if offset < self.coverage.start or offset in unmet else places
            if others:
                partition, reason = self.coverage.partition, _CONTRADICTED
                yield Fault(topic=topic, partition=partition, offset=offset, reason=reason, outcomes=tuple(others))

    def _declared(self, topic: str, offset: int, places: list[Place]) -> Fault:
        partition, outcomes = self.coverage.partition, tuple(places[:1])
        return Fault(topic=topic, partition=partition, offset=offset, reason=_DECLARED, outcomes=outcomes)

    @property
    def checked(self) -> int:
        """Inputs that were looked at, and those below them that a worker declared as lost."""
        return self.coverage.checked + sum(offset < self.coverage.start for offset in self.coverage.lost())

    def pending(self, topic: str) -> Iterator[Pending]:
        """Yield what waits, if anything does."""
        from_offset = max(self.first, self.watermark)
        lowest, count = None, 0
        for offset in self.coverage.unmet() if self.working else ():
            if offset >= from_offset:
                lowest = offset if lowest is None else lowest
                count += 1
        if lowest is not None:
            yield Pending(topic=topic, partition=self.coverage.partition, offset=lowest, count=count)

    def audited(self, topic: str) -> Audited:
        """Say what was looked at."""
        one = self.coverage
        return Audited(topic=topic, partition=one.partition, start=one.start, end=one.end, committed=self.committed)


def report(
    topic: str,
    parts: Collection[Part],
    misplaced: Iterable[Fault],
    altered: Iterable[Fault],
    records: int,
    elapsed_s: float,
) -> Report:
    """Put everything together.

    Args:
        topic: the full name of the messages' topic.
        parts: the partitions, each one finished.
        misplaced: lines beside those of the partitions.
        altered: the same.
        records: records that were read.
        elapsed_s: how long it took.

    """
    lists = {
        "missing": _sorted(line for part in parts for line in part.missing(topic)),
        "doubled": _sorted(line for part in parts for line in part.doubled(topic)),
        "misplaced": _sorted(chain(misplaced, *(part.coverage.misplaced for part in parts))),
        "altered": _sorted(chain(altered, *(part.coverage.altered for part in parts))),
    }
    return Report(
        checked=sum(part.checked for part in parts),
        skipped=sum(part.coverage.skipped for part in parts),
        missing=tuple(islice(lists["missing"], MAX_LISTED)),
        doubled=tuple(islice(lists["doubled"], MAX_LISTED)),
        misplaced=tuple(islice(lists["misplaced"], MAX_LISTED)),
        altered=tuple(islice(lists["altered"], MAX_LISTED)),
        counts={name: len(lines) for name, lines in lists.items()},
        pending=tuple(line for part in parts for line in part.pending(topic)),
        ranges=tuple(part.audited(topic) for part in parts),
        records=records,
        elapsed_s=elapsed_s,
    )


def with_altered(before: Report, found: Iterable[Fault], *, sealed: int | None = None) -> Report:
    """Return a report with further lines of ``altered``; a record that is listed already is not listed twice.

    Args:
        before: the report so far.
        found: the further lines.
        sealed: how many records were compared with a seal.

    """
    lines = {_order(line): line for line in found} | {_order(line): line for line in before.altered}
    more = len(lines) - len({_order(line) for line in before.altered})
    counts = before.counts | {"altered": before.counts["altered"] + more}
    return replace(before, altered=tuple(_sorted(lines.values())[:MAX_LISTED]), counts=counts, sealed=sealed)


def _sorted(lines: Iterable[Fault]) -> list[Fault]:
    return sorted(lines, key=_order)


def _order(line: Fault) -> tuple[str, int, int]:
    return line.topic, line.partition, line.offset
