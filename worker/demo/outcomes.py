"""What came of the demonstration's messages: verdicts, traces and dead letters by the place of their message."""

from __future__ import annotations

from aiokafka import ConsumerRecord

from worker.client import DeadLetter, Place, place_of, read_dead_letter, read_trace, read_verdict
from worker.config import Settings
from worker.records import Trace, Verdict


class Outcomes:
    """Collects records of ``verdicts``, ``traces`` and ``dead-letters``; the first for a place counts."""

    def __init__(self, settings: Settings) -> None:
        """Start empty."""
        self._verdict_topic = settings.topic("verdicts")
        self._trace_topic = settings.topic("traces")
        self._input = settings.topic("messages")
        self.verdicts: dict[Place, Verdict] = {}
        self.letters: dict[Place, DeadLetter] = {}
        self.traces: dict[str, Trace] = {}
        self.doubled = 0

    @property
    def places(self) -> set[Place]:
        """Every place that has its outcome."""
        return self.verdicts.keys() | self.letters.keys()

    def take(self, record: ConsumerRecord) -> Verdict | DeadLetter | None:
        """Keep one record; return it if it is the outcome of a message that had none.

        Raises:
            DecodeError: a record is not what its topic should hold.

        """
        if record.topic == self._verdict_topic:
            return self._verdict(read_verdict(record))
        if record.topic == self._trace_topic:
            trace = read_trace(record)
            self.traces[trace.trace_id] = trace
            return None
        return self._letter(read_dead_letter(record))

    def _verdict(self, verdict: Verdict) -> Verdict | None:
        place = place_of(verdict)
        if self._known(place):
            return None
        self.verdicts[place] = verdict
        return verdict

    def _letter(self, letter: DeadLetter) -> DeadLetter | None:
        if letter.topic != self._input or self._known(letter.place):
            return None
        self.letters[letter.place] = letter
        return letter

    def _known(self, place: Place) -> bool:
        known = place in self.verdicts or place in self.letters
        self.doubled += known
        return known
