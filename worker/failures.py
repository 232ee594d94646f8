"""The catalogue of failures on a message's path: what each becomes, what counts it, and what follows.

``worker/README.md`` shows it as a table. A test holds it against statuses, errors, stages and metrics, so that
a new one of any of these needs its row here.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from worker.errors import (
    BrokerAway,
    CorruptPartition,
    DecodeError,
    EngineAborted,
    EngineDead,
    ExceptionInvalid,
    FatalMessage,
    KeysUnavailable,
    OffsetGone,
    OutputTooLarge,
    OwnershipLost,
    PolicyInvalid,
    PromptTooLong,
    PublishFailed,
    ReadBackFailed,
    RequestFailed,
    RequestTimeout,
    TopicMissing,
    WorkerError,
)
from worker.records import Status

_VERDICTS: Final = "rsafe_verdicts"
_ON_FAILURE: Final = "`on_failure`"


class FailureRow(Struct, frozen=True, kw_only=True):
    """One failure.

    Attributes:
        what: in words.
        errors: the classes that stand for it.
        status: of the verdict that it becomes, if it becomes one.
        stage: of the dead letter that it becomes, if it becomes one.
        outcome: what it becomes where it is neither.
        metrics: what shows it.
        follows: what the worker does.

    """

    what: str
    metrics: tuple[str, ...]
    follows: str
    errors: tuple[type[WorkerError], ...] = ()
    status: Status | None = None
    stage: str | None = None
    outcome: str = ""

    @property
    def becomes(self) -> str:
        """The outcome in words."""
        if self.status is not None:
            return f"status `{self.status}`"
        return f"dead letter, stage `{self.stage}`" if self.stage is not None else self.outcome


def _verdict(what: str, status: Status, *errors: type[WorkerError], follows: str = _ON_FAILURE) -> FailureRow:
    return FailureRow(what=what, status=status, errors=errors, metrics=(_VERDICTS,), follows=follows)


FAILURES: Final[tuple[FailureRow, ...]] = (
    FailureRow(
        what="bytes that are no message",
        errors=(DecodeError,),
        stage="decode",
        metrics=("rsafe_dead_letters",),
        follows="`dlq` shows and resends it",
    ),
    FailureRow(what="a null value", outcome="a declared skip", metrics=("rsafe_skips",), follows="nothing"),
    FailureRow(
        what="a policy record that breaks a rule",
        errors=(PolicyInvalid,),
        stage="policy",
        metrics=("rsafe_dead_letters",),
        follows="the last accepted version stays in force",
    ),
    FailureRow(
        what="an exception's record that breaks a rule",
        errors=(ExceptionInvalid,),
        stage="exception",
        metrics=("rsafe_dead_letters",),
        follows="its key has no exception from then on",
    ),
    _verdict("a policy in force that cannot be judged by", "policy_invalid", follows="reserved: none comes into force"),
    _verdict("no policy of the tenant and no floor", "policy_missing", follows="action `review`"),
    _verdict(
        "a language that not all parts of the policy take",
        "language_unsupported",
        follows="`on_failure`, or stricter where the floor takes it and is hit",
    ),
    _verdict("messages wait too long: past a tenant's bounds, or on the ladder's `hold`", "overloaded"),
    _verdict("prompt, reasoning and answer do not fit the window", "too_long", PromptTooLong),
    _verdict("`request_timeout_s` is over while the engine works", "timeout", RequestTimeout),
    _verdict("the reasoning is cut by its budget", "truncated"),
    _verdict("the verdict contradicts the reasoning's conclusion", "contradictory"),
    _verdict("the answer is no verdict or has no score", "unparseable"),
    _verdict("the engine refuses or fails one request", "engine_error", RequestFailed),
    FailureRow(
        what="an error that nobody foresaw, for one message",
        status="engine_error",
        metrics=(_VERDICTS, "rsafe_judge_failures"),
        follows=_ON_FAILURE,
    ),
    FailureRow(
        what="a request is cut short from outside",
        errors=(EngineAborted,),
        outcome="judged again",
        metrics=("rsafe_engine_aborts",),
        follows="after ten times the engine counts as dead",
    ),
    FailureRow(
        what="the engine is gone or makes no steps",
        errors=(EngineDead,),
        outcome="no outcome yet",
        metrics=("rsafe_suspects",),
        follows="intake waits, not ready, exit 1; the next owner judges what was in the judge one at a time",
    ),
    FailureRow(
        what="a message alone in the judge at two such deaths",
        errors=(FatalMessage,),
        stage="engine",
        metrics=("rsafe_dead_letters",),
        follows="it is not judged again; its neighbours are",
    ),
    FailureRow(
        what="a verdict above its topic's limit",
        errors=(OutputTooLarge,),
        stage="publish",
        metrics=("rsafe_dead_letters", "rsafe_producer_replacements"),
        follows="raise `max.message.bytes`, then `dlq redrive`",
    ),
    FailureRow(
        what="a trace above its topic's limit",
        errors=(OutputTooLarge,),
        outcome="trace without texts",
        metrics=("rsafe_redacted_traces",),
        follows="the verdict is as it would be",
    ),
    FailureRow(
        what="Kafka refuses a send or is away",
        errors=(BrokerAway, PublishFailed),
        outcome="no outcome yet",
        metrics=("rsafe_publish_failures", "rsafe_commit_failures"),
        follows="tried again; intake waits, not ready",
    ),
    FailureRow(
        what="keys of subjects cannot be read or written (`erasure` is on)",
        errors=(KeysUnavailable,),
        outcome="no outcome yet",
        metrics=("rsafe_publish_failures",),
        follows="tried again; intake waits, not ready; nothing goes out unsealed",
    ),
    FailureRow(
        what="the partition has another owner, or the process stood still",
        errors=(OwnershipLost,),
        outcome="the owner's",
        metrics=("rsafe_epoch_drops",),
        follows="everything unsent is dropped",
    ),
    FailureRow(
        what="a topic is missing",
        errors=(TopicMissing,),
        outcome="no outcome yet",
        metrics=("rsafe_halted_partitions",),
        follows="waits, not ready, names `rsafe topics create`",
    ),
    FailureRow(
        what="a batch that cannot be read",
        errors=(CorruptPartition,),
        outcome="no outcome yet",
        metrics=("rsafe_halted_partitions",),
        follows="the partition is halted, not ready; nothing is skipped",
    ),
    FailureRow(
        what="retention was faster than the workers",
        errors=(OffsetGone,),
        outcome="a declared gap",
        metrics=("rsafe_gaps",),
        follows="an alarm; `audit verify` names it lost",
    ),
    FailureRow(
        what="what is published cannot be read back",
        errors=(ReadBackFailed,),
        outcome="no outcome yet",
        metrics=("rsafe_rebalances",),
        follows="exit 1: doubles could not be ruled out",
    ),
    FailureRow(
        what="the policy topic is silent for too long",
        outcome="no outcome yet",
        metrics=("rsafe_policies_stale",),
        follows="intake waits, not ready",
    ),
)
