"""Foreign errors are translated in one place, and none is forgotten."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import zlib

import cramjam
import pytest
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
from worker.kafka_errors import MEANINGS, translated

ALL = sorted(
    {kind for kind in vars(theirs).values() if inspect.isclass(kind) and issubclass(kind, Exception)},
    key=lambda kind: kind.__name__,
)


def raised(error: Exception, *, sending: bool = False) -> WorkerError:
    """Return what an error becomes."""
    with pytest.raises(WorkerError) as caught, translated("reading it", sending=sending):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_of_aiokafka_has_a_meaning(kind: type[Exception]) -> None:
    """A class that a new version of aiokafka brings has to be put into the table by a person."""
    assert kind in MEANINGS, f"put {kind.__name__} into worker/kafka_errors.py"


@pytest.mark.parametrize(
    "error,kind",
    [
        (theirs.KafkaConnectionError("x"), BrokerAway),
        (theirs.UnknownTopicOrPartitionError(), TopicMissing),
        (theirs.MessageSizeTooLargeError(), OutputTooLarge),
        (theirs.CommitFailedError("x"), OwnershipLost),
        (theirs.OffsetOutOfRangeError({}), OffsetGone),
        (theirs.CorruptRecordException("crc"), CorruptPartition),
        (theirs.TopicAuthorizationFailedError("t"), ConfigError),
        (theirs.OutOfOrderSequenceNumber(), PublishFailed),
        (ConnectionResetError("x"), BrokerAway),
        (TimeoutError(), BrokerAway),
        (gzip.BadGzipFile("x"), CorruptPartition),
        (zlib.error("x"), CorruptPartition),
        (cramjam.DecompressionError("x"), CorruptPartition),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), CorruptPartition),
    ],
)
def test_an_error_becomes_ours(error: Exception, kind: type[WorkerError]) -> None:
    """Brokers away, topics missing, bytes that cannot be read: each has its class, its cause and a cure."""
    assert type(raised(error)) is kind
    assert str(raised(error)).startswith(f"reading it: {type(error).__name__}")


@pytest.mark.parametrize("error", [TimeoutError(), theirs.KafkaTimeoutError(), theirs.CorruptRecordException()])
def test_an_unclear_failure_of_a_send_is_a_failed_publish(error: Exception) -> None:
    """The record may or may not be there; the producer has to be replaced."""
    assert type(raised(error, sending=True)) is PublishFailed
    assert type(raised(theirs.MessageSizeTooLargeError(), sending=True)) is OutputTooLarge
    assert type(raised(theirs.UnknownTopicOrPartitionError(), sending=True)) is TopicMissing


async def test_a_future_that_aiokafka_cancels_is_not_our_cancellation() -> None:
    """Its clients end that way; a task that is cancelled by us still is."""
    loop = asyncio.get_running_loop()

    async def wait_for(future: asyncio.Future[None]) -> None:
        with translated("reading it"):
            await future

    theirs_, ours = loop.create_future(), loop.create_future()
    first, second = asyncio.create_task(wait_for(theirs_)), asyncio.create_task(wait_for(ours))
    await asyncio.sleep(0)
    theirs_.cancel()
    second.cancel()
    with pytest.raises(BrokerAway):
        await first
    with pytest.raises(asyncio.CancelledError):
        await second


def test_errors_of_others_pass() -> None:
    """What is neither Kafka's nor a socket's is a bug and stays one."""
    with pytest.raises(ZeroDivisionError), translated("reading it"):
        raise ZeroDivisionError
    with pytest.raises(BrokerAway) as caught, translated("outer"), translated("inner"):
        raise theirs.NodeNotReadyError
    assert str(caught.value).startswith("inner: ")
