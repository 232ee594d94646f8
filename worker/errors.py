"""Every error this program raises, in one tree.

    WorkerError
    ├── UsageError              stop         wrong use of a command
    ├── ConfigError             stop         a setting that cannot be used
    │   └── WrongDigestKey      stop         another digest_key than that of subject-keys
    ├── RecordError             dead letter  bytes from outside that are not the record they should be
    │   ├── DecodeError         dead letter  a message
    │   ├── PolicyInvalid       dead letter  a policy: the last accepted version stays in force
    │   └── ExceptionInvalid    dead letter  an exception: its key has none from then on
    ├── StreamError
    │   ├── BrokerAway          retry        Kafka cannot be reached
    │   ├── TopicMissing        retry        a topic is not there yet
    │   ├── PublishFailed       retry        an output was refused; the producer is replaced
    │   ├── KeysUnavailable     retry        keys of subjects cannot be read or written; nothing goes out unsealed
    │   ├── OutputTooLarge      dead letter  an output above its topic's limit
    │   ├── OwnershipLost       retry        another member owns the partition now
    │   ├── OffsetGone          retry        the log no longer holds the offset that was asked for
    │   ├── CorruptPartition    stop         a batch that cannot be read; the partition is halted
    │   └── ReadBackFailed      stop         what is already published could not be read
    ├── EngineError
    │   ├── EngineDead          stop         the engine process is gone or hangs
    │   ├── EngineAborted       retry        a request was cut short by a signal; its offset stays open
    │   ├── RequestFailed       verdict      status engine_error
    │   ├── RequestTimeout      verdict      status timeout
    │   ├── FatalMessage        dead letter  it was alone in the judge at two engine deaths
    │   └── PromptTooLong       verdict      status too_long
    ├── ModelError              stop         a model folder that cannot be served or trained
    ├── TrainError              stop         a training run that must not go on
    └── AuditError              stop         a range that cannot be audited
        └── LegalHold           stop         a subject that must not be erased

Each class says what to do with it (``disposition``). Errors of other libraries are translated
where they enter: aiokafka's in ``worker/kafka_errors.py``, vLLM's in ``judge/vllm_engine.py``.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, Literal


class Disposition(Enum):
    """What follows when an error reaches the pipeline."""

    RETRY = "retry"
    DEAD_LETTER = "dead_letter"
    VERDICT = "verdict"
    STOP = "stop"


class WorkerError(Exception):
    """Base of every error raised here; the message names cause and cure."""

    disposition: ClassVar[Disposition] = Disposition.STOP


class UsageError(WorkerError):
    """A command was called in a way it does not take (exit code 2)."""


class ConfigError(WorkerError):
    """A setting has a value that cannot be used."""


class WrongDigestKey(ConfigError):
    """``digest_key`` is not the one that the keys of subjects were named with: an erasure would miss some."""


class RecordError(WorkerError):
    """Bytes from outside are not the record they should be.

    ``field`` is the path of the first wrong field (empty for the whole record) and ``expected`` what
    should stand there. Neither ever holds a value from the record: error texts travel to places
    where a user's words must not.
    """

    disposition = Disposition.DEAD_LETTER

    def __init__(self, field: str, expected: str) -> None:
        """Remember the place and the expected type."""
        self.field = field
        self.expected = expected
        super().__init__(f"{field or 'record'}: expected {expected}")


class DecodeError(RecordError):
    """A record on ``messages`` is not a message."""


class PolicyInvalid(RecordError):
    """A policy record cannot come into force; the last accepted one stays."""


class ExceptionInvalid(RecordError):
    """A record of ``exceptions`` allows nothing; its key has no exception from then on."""


class StreamError(WorkerError):
    """Something between this process and Kafka went wrong."""

    disposition = Disposition.RETRY


class BrokerAway(StreamError):
    """No broker answers; waiting and trying again is right."""


class TopicMissing(StreamError):
    """A topic this worker needs does not exist; ``rsafe topics create`` makes it."""


class PublishFailed(StreamError):
    """An output record was refused or its acknowledgement never came."""


class KeysUnavailable(StreamError):
    """``subject-keys`` or ``erasures`` cannot be read or written; what would be sealed waits, and is never plain."""


class OutputTooLarge(StreamError):
    """An output record is above what its topic takes."""

    disposition = Disposition.DEAD_LETTER


class OwnershipLost(StreamError):
    """The partition belongs to another member now; whatever was in flight is dropped."""


class OffsetGone(StreamError):
    """The log starts after, or ends before, the offset that was asked for."""


class CorruptPartition(StreamError):
    """A batch has a bad checksum or an unknown codec; skipping it would lose messages."""

    disposition = Disposition.STOP


class ReadBackFailed(StreamError):
    """What earlier owners published could not be read, so doubles could not be ruled out."""

    disposition = Disposition.STOP


class EngineError(WorkerError):
    """Base of what the engine answers instead of text."""

    disposition = Disposition.VERDICT
    status: ClassVar[Literal["engine_error", "timeout", "too_long"]] = "engine_error"


class EngineDead(EngineError):
    """The engine process is gone or makes no steps; only a new process helps."""

    disposition = Disposition.STOP


class EngineAborted(EngineError):
    """A request was cut short from outside; it has no answer and is judged again."""

    disposition = Disposition.RETRY


class RequestFailed(EngineError):
    """The engine refused or failed this one request."""


class RequestTimeout(EngineError):
    """This request passed its deadline."""

    status = "timeout"


class FatalMessage(EngineError):
    """A message was alone in the judge each time that the engine died; it is not judged again."""

    disposition = Disposition.DEAD_LETTER


class PromptTooLong(EngineError):
    """The prompt does not fit the model's window; nothing is cut in silence."""

    status = "too_long"


class ModelError(WorkerError):
    """A model folder lacks something that serving or training needs."""


class TrainError(WorkerError):
    """A training run must stop, because going on would teach a bug."""


class AuditError(WorkerError):
    """A range of the log cannot be audited as asked."""


class LegalHold(AuditError):
    """The subject is under a legal hold, which somebody has to release before it can be erased."""
