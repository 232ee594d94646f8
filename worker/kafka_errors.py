"""aiokafka's errors in this program's words: the one table of what each of them means here."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import cramjam
from aiokafka import errors as theirs

from worker.errors import (
    BrokerAway,
    ConfigError,
    CorruptPartition,
    OffsetGone,
    OutputTooLarge,
    OwnershipLost,
    PublishFailed,
    TopicMissing,
    WorkerError,
)

#: What an error's class does not say of itself: where to look.
_CURES: Final[dict[type[WorkerError], str]] = {
    BrokerAway: "is Kafka running, and are bootstrap_servers and security_protocol right?",
    ConfigError: "check the settings and the broker's log",
    CorruptPartition: "look at the broker's log and its disk; nothing is skipped",
    OffsetGone: "retention was faster than the reader",
    OutputTooLarge: "raise max.message.bytes of the topic ('rsafe topics create' sets it)",
    OwnershipLost: "another member owns the partition now",
    PublishFailed: "the producer is replaced and the record sent again",
    TopicMissing: "run 'rsafe topics create'",
}
#: What Kafka's ACLs do not let a login do; the error's own text names topic or group.
_DENIED: Final = (
    theirs.TopicAuthorizationFailedError,
    theirs.GroupAuthorizationFailedError,
    theirs.ClusterAuthorizationFailedError,
    theirs.TransactionalIdAuthorizationFailed,
)
_DENIED_CURE: Final = "this login has no ACL for it; 'rsafe topics acls' prints what each one needs"
_BY_MEANING: Final[dict[type[WorkerError], tuple[type[Exception], ...]]] = {
    # Nobody answers, or the one who answers is not the leader yet: later it may work.
    BrokerAway: (
        theirs.KafkaError,
        theirs.BrokerResponseError,
        theirs.BrokerNotAvailableError,
        theirs.Cancelled,
        theirs.ConcurrentTransactions,
        theirs.CorrelationIdError,
        theirs.FetchSessionIdNotFound,
        theirs.GroupCoordinatorNotAvailableError,
        theirs.GroupLoadInProgressError,
        theirs.InvalidFetchSessionEpoch,
        theirs.KafkaConnectionError,
        theirs.KafkaProtocolError,
        theirs.KafkaStorageError,
        theirs.KafkaTimeoutError,
        theirs.KafkaUnavailableError,
        theirs.LeaderNotAvailableError,
        theirs.ListenerNotFound,
        theirs.LogDirNotFound,
        theirs.MetadataEmptyBrokerList,
        theirs.NoBrokersAvailable,
        theirs.NoError,
        theirs.NodeNotReadyError,
        theirs.NotControllerError,
        theirs.NotCoordinatorForGroupError,
        theirs.NotLeaderForPartitionError,
        theirs.OperationNotAttempted,
        theirs.QuotaViolationError,
        theirs.ReassignmentInProgress,
        theirs.ReplicaNotAvailableError,
        theirs.RequestTimedOutError,
        theirs.StaleControllerEpochError,
        theirs.StaleLeaderEpochCodeError,
        theirs.StaleMetadata,
        theirs.TooManyInFlightRequests,
        theirs.UnknownError,
    ),
    TopicMissing: (theirs.UnknownTopicOrPartitionError,),
    # ProducerFenced is here too: without transactional ids it means a producer that the broker forgot.
    PublishFailed: (
        theirs.DuplicateSequenceNumber,
        theirs.InvalidProducerEpoch,
        theirs.InvalidProducerIdMapping,
        theirs.InvalidTimestampError,
        theirs.InvalidTxnState,
        theirs.NotEnoughReplicasAfterAppendError,
        theirs.NotEnoughReplicasError,
        theirs.OutOfOrderSequenceNumber,
        theirs.ProducerClosed,
        theirs.ProducerFenced,
        theirs.TransactionCoordinatorFenced,
        theirs.UnknownProducerId,
    ),
    OutputTooLarge: (theirs.MessageSizeTooLargeError, theirs.RecordListTooLargeError, theirs.RecordTooLargeError),
    OwnershipLost: (
        theirs.CommitFailedError,
        theirs.ConsumerStoppedError,
        theirs.IllegalGenerationError,
        theirs.IllegalStateError,
        theirs.MemberIdRequired,
        theirs.RebalanceInProgressError,
        theirs.UnknownMemberIdError,
    ),
    OffsetGone: (theirs.NoOffsetForPartitionError, theirs.OffsetOutOfRangeError),
    CorruptPartition: (theirs.CorruptRecordException, theirs.UnsupportedCodecError),
    ConfigError: (
        theirs.AuthenticationFailedError,
        theirs.AuthenticationMethodNotSupported,
        theirs.ClusterAuthorizationFailedError,
        theirs.DelegationTokenAuthDisabled,
        theirs.DelegationTokenAuthorizationFailed,
        theirs.DelegationTokenExpired,
        theirs.DelegationTokenNotFound,
        theirs.DelegationTokenOwnerMismatch,
        theirs.DelegationTokenRequestNotAllowed,
        theirs.GroupAuthorizationFailedError,
        theirs.GroupIdNotFound,
        theirs.IllegalArgumentError,
        theirs.IllegalOperation,
        theirs.IllegalSaslStateError,
        theirs.IncompatibleBrokerVersion,
        theirs.InconsistentGroupProtocolError,
        theirs.InvalidCommitOffsetSizeError,
        theirs.InvalidConfigurationError,
        theirs.InvalidFetchRequestError,
        theirs.InvalidGroupIdError,
        theirs.InvalidPartitionsError,
        theirs.InvalidPrincipalType,
        theirs.InvalidReplicationAssignmentError,
        theirs.InvalidReplicationFactorError,
        theirs.InvalidRequestError,
        theirs.InvalidRequiredAcksError,
        theirs.InvalidSessionTimeoutError,
        theirs.InvalidTopicError,
        theirs.InvalidTransactionTimeout,
        theirs.KafkaConfigurationError,
        theirs.NonEmptyGroup,
        theirs.OffsetMetadataTooLargeError,
        theirs.PolicyViolationError,
        theirs.SaslAuthenticationFailed,
        theirs.SecurityDisabled,
        theirs.TopicAlreadyExistsError,
        theirs.TopicAuthorizationFailedError,
        theirs.TransactionalIdAuthorizationFailed,
        theirs.UnrecognizedBrokerVersion,
        theirs.UnsupportedForMessageFormatError,
        theirs.UnsupportedSaslMechanismError,
        theirs.UnsupportedVersionError,
    ),
}
#: Every error class of aiokafka and what it becomes; a test fails when one is missing.
MEANINGS: Final[dict[type[Exception], type[WorkerError]]] = {
    error: meaning for meaning, errors in _BY_MEANING.items() for error in errors
}
#: What the decompressors raise on bytes that they did not write, and what a header name of the old record
#: format raises that is not UTF-8.
_UNREADABLE: Final = (cramjam.DecompressionError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError)
#: What stays what it is while a record is being sent; all else means that the send failed.
_KEPT_WHILE_SENDING: Final = (OutputTooLarge, TopicMissing, ConfigError)


def meaning(error: BaseException) -> type[WorkerError] | None:
    """Return what an error from aiokafka, a socket or a decompressor is here (None: something else)."""
    found = next((MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS), None)
    if found is not None:
        return found
    if isinstance(error, _UNREADABLE):
        return CorruptPartition
    if isinstance(error, asyncio.CancelledError):
        return None if _cancelled_by_us() else BrokerAway
    return BrokerAway if isinstance(error, OSError) else None


def _cancelled_by_us() -> bool:
    """Tell a cancelled task from a cancelled future inside aiokafka, which ends its clients that way."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _detail(error: BaseException) -> str:
    """Return class and text of an error; aiokafka's own texts begin with the class already."""
    name = type(error).__name__
    text = str(error).rpartition(name)[2].removeprefix(":").strip()
    return f"{name} {text}".strip()


@contextmanager
def translated(what: str, *, sending: bool = False) -> Iterator[None]:
    """Turn foreign errors of the block into this program's.

    Args:
        what: what is being tried, for the message: "reading topic policies".
        sending: a record is on its way out, so that an unclear failure is ``PublishFailed``.

    Raises:
        WorkerError: one of ``BrokerAway``, ``TopicMissing``, ``PublishFailed``, ``OutputTooLarge``,
            ``OwnershipLost``, ``OffsetGone``, ``CorruptPartition``, ``ConfigError``; the foreign error is
            its cause. A deadline that passed is ``BrokerAway`` or ``PublishFailed``.

    """
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        kind = meaning(error)
        if kind is None:
            raise
        if sending and kind not in _KEPT_WHILE_SENDING:
            kind = PublishFailed
        detail = _detail(error)
        cure = _DENIED_CURE if isinstance(error, _DENIED) else _CURES[kind]
        text = f"{what}: {detail}; {cure}"
        raise kind(text) from error
