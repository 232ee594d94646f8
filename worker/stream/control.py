"""Commands to running workers, from the ``commands`` topic. Every worker sees every command."""

from __future__ import annotations

import logging
from typing import Annotated, Final, Literal, Protocol

from msgspec import Meta, Struct

from worker import kafka
from worker.config import Settings
from worker.errors import DecodeError, TopicMissing
from worker.records import decode, encode

logger: Final = logging.getLogger(__name__)
MOST_REASON_CHARS: Final = 256
Level = Literal["debug", "info", "warning", "error"]


class Command(Struct, frozen=True, kw_only=True):
    """One command; without ``instance_id`` it is for all workers.

    ``pause`` and ``resume`` act on intake: what is in flight is finished, nothing new is read.
    """

    command: Literal["pause", "resume", "log_level"]
    instance_id: str | None = None
    level: Level = "info"
    reason: Annotated[str, Meta(max_length=MOST_REASON_CHARS)] = ""


class Pausable(Protocol):
    """What the commands act on."""

    def pause(self, reason: str) -> None:
        """Read nothing new."""

    def resume(self) -> None:
        """Read on."""


async def order(settings: Settings, command: Command) -> tuple[int, int]:
    """Publish a command for the workers that run now, and return its partition and offset.

    Raises:
        StreamError: Kafka is away, refuses it, or has no such topic.

    """
    async with kafka.writer(settings) as producer:
        headers = kafka.cloud_event("command", settings.instance)
        topic, timeout_s = settings.topic("commands"), settings.kafka_timeout_s
        sent = await kafka.send(producer, topic, encode(command), key=None, headers=headers, timeout_s=timeout_s)
    return sent.partition, sent.offset


async def ends(settings: Settings) -> dict[int, int]:
    """Return where ``commands`` ends now, by partition; nothing where there is no such topic.

    What stands before was given before this worker listened, though one that keeps its name reads on where
    it stopped reading in an earlier life.

    Raises:
        StreamError: Kafka is away.
        ConfigError: this login may not ask.

    """
    async with kafka.reader(settings) as consumer:
        try:
            partitions = await kafka.partitions_of(consumer, settings.topic("commands"))
        except TopicMissing:
            return {}
        found = await kafka.bounds(consumer, partitions)
    return {twin.partition: end for twin, (_, end) in found.items()}


def obey(raw: bytes | None, plane: Pausable, instance: str) -> None:
    """Carry out one record of ``commands``; one that cannot be read is logged and skipped."""
    if raw is None:
        return
    try:
        command = decode(raw, Command, DecodeError)
    except DecodeError as error:
        logger.warning("a command was ignored: %s", error)
        return
    if command.instance_id in (None, instance):
        _carry_out(command, plane)


def _carry_out(command: Command, plane: Pausable) -> None:
    logger.warning("command %s %s", command.command, command.reason)
    if command.command == "pause":
        plane.pause(command.reason or "paused by command")
    elif command.command == "resume":
        plane.resume()
    else:
        logging.getLogger("worker").setLevel(command.level.upper())
