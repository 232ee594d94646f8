"""From a judged message to the bytes and headers that are published. Pure but for ids and the time of day."""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec
from msgspec import UNSET

from worker import clock, content_digest, dead_letter, kafka, trace_context
from worker.dead_letter import Failure, Headers
from worker.errors import WorkerError
from worker.exceptions.source import ExceptionSource, NoExceptions
from worker.judge.judgement import Judge, Judgement
from worker.judge.verdict import Attempt, verdict
from worker.policy.model import EffectivePolicy, Rehearsal
from worker.records import Message, Mode, Timing, Trace, Verdict, encode
from worker.stream.ledger import PartitionLedger
from worker.stream.protection import NO_PROTECTION, Protection
from worker.stream.work import Outcome, Row, Work, source_of

_TRACE_ID_BYTES: Final = 16


class Outputs:
    """Builds outcomes; holds what is the same in all of them."""

    def __init__(
        self,
        instance: str,
        judge: Judge,
        exceptions: ExceptionSource | None = None,
        protect: Protection = NO_PROTECTION,
    ) -> None:
        """Remember who publishes, what judges, what is excepted, what protects words; the judge need not be built."""
        self._judge = judge
        self._exceptions = exceptions or NoExceptions()
        self._protect = protect
        self._verdict_event = _Event("verdict", instance)
        self._trace_event = _Event("trace", instance)

    def verdict(self, work: Work, judgement: Judgement, policy: EffectivePolicy | None, timing: Timing) -> Outcome:
        """Build the verdict of one message and the trace behind it."""
        attempt = self._attempt(work.record, work.message, timing)
        decided, row, trace = self._rows(work.record, attempt, judgement, policy)
        return Outcome(
            record=work.record,
            ledger=work.ledger,
            topic="verdicts",
            row=row,
            trace=trace,
            labels=(decided.status, decided.label or ""),
            suppressed=bool(decided.suppressed_by),
        )

    def rehearsed(
        self, record: Any, message: Message, judgement: Judgement, rehearsal: Rehearsal, timing: Timing
    ) -> tuple[Row, Row | None]:
        """Build verdict and trace of one message under a policy that is not live."""
        attempt = self._attempt(record, message, timing, mode="shadow", run_id=rehearsal.digest)
        _, row, trace = self._rows(record, attempt, judgement, rehearsal.effective)
        return row, trace

    def _attempt(
        self, record: Any, message: Message, timing: Timing, mode: Mode = "live", run_id: str | None = None
    ) -> Attempt:
        return Attempt(
            message=message,
            source=source_of(record),
            mode=mode,
            run_id=run_id,
            trace_id=os.urandom(_TRACE_ID_BYTES).hex(),
            model=self._judge.model,
            timing=timing,
            permits=self._exceptions.matching(message, record.timestamp),
            digests=self._protect.digests,
        )

    def _rows(
        self, record: Any, attempt: Attempt, judgement: Judgement, policy: EffectivePolicy | None
    ) -> tuple[Verdict, Row, Row | None]:
        """Draw the verdict; return it, its row, and the row of the trace if the policy wants one."""
        decided, trace = verdict(attempt, judgement, policy)
        time = clock.utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
        passed_on = trace_context.passed_on(record.headers)
        row = self._verdict_row(record, decided, time, passed_on)
        if trace is None:
            return decided, row, None
        trace = self._protect.trace(trace, attempt.message, record)
        return decided, row, self._trace_row(record, trace, time, passed_on)

    def _verdict_row(self, record: Any, decided: Verdict, time: bytes, passed_on: Headers) -> Row:
        headers = self._verdict_event.headers(decided.verdict_id, time)
        return _digested(record.key, encode(decided), headers + passed_on)

    def _trace_row(self, record: Any, trace: Trace, time: bytes, passed_on: Headers) -> Row:
        headers = self._trace_event.headers(trace.trace_id, time)
        return _digested(record.key, encode(trace), headers + passed_on)


class _Event:
    """CloudEvents headers of one kind: the fixed ones are made once."""

    def __init__(self, kind: str, source: str) -> None:
        made = kafka.cloud_event(kind, source)
        self._fixed: Headers = [(name, value) for name, value in made if name not in {"ce_id", "ce_time"}]

    def headers(self, event_id: str, time: bytes) -> Headers:
        return [*self._fixed, ("ce_id", event_id.encode()), ("ce_time", time)]


def dead_letter_of(
    record: Any,
    ledger: PartitionLedger,
    stage: str,
    error: WorkerError,
    attempts: int = 1,
    *,
    protect: Protection = NO_PROTECTION,
) -> Outcome:
    """Build the dead letter of a record: its key, value and headers byte for byte (or sealed), and why after them."""
    failure = Failure.of(stage, error, attempts)
    plain = dead_letter.headers(record.headers, failure, source_of(record), clock.utc_now())
    value, headers = protect.letter(record, plain)
    return Outcome(
        record=record,
        ledger=ledger,
        topic="dead-letters",
        row=Row(record.key, value, headers),
        trace=None,
        labels=(stage,),
    )


def without_texts(row: Row) -> Row:
    """Return a trace's row with its texts dropped and their digest kept."""
    trace = msgspec.json.decode(row.value or b"", type=Trace)
    redacted = msgspec.structs.replace(trace, reasoning=None, raw=None, sealed=UNSET, level="redacted")
    return _digested(row.key, encode(redacted), row.headers)


def _digested(key: bytes | None, value: bytes, headers: Headers) -> Row:
    """Return a row with the digest of its content; one that it carried before is replaced."""
    kept = [(name, content) for name, content in headers if name != content_digest.HEADER]
    return Row(key, value, [*kept, content_digest.header(key, value)])
