"""A producer behind a fence: nothing goes out while it may not, up to the last step before the socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.errors import NodeNotReadyError

from worker.kafka_fence import fence


class Writer:
    """Remembers what was written."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        """Write."""
        self.written.append(data)

    def close(self) -> None:
        """Close."""
        self.closed = True


class Connection:
    """Encodes, then writes, as aiokafka's."""

    def __init__(self) -> None:
        """Open."""
        self._writer: Any = Writer()


class Client:
    """Has one connection for each node and group, as aiokafka's."""

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        """Connect nothing yet."""
        self._conns: dict[tuple[int, ConnectionGroup], Connection] = {}
        self._encode = encode

    async def ready(self, node_id: int, *, group: ConnectionGroup) -> bool:
        """Connect."""
        self._conns.setdefault((node_id, group), Connection())
        return node_id > 0

    async def send(self, node_id: int, request: str, *, group: ConnectionGroup) -> str:
        """Send a request."""
        self._conns[node_id, group]._writer.write(self._encode(request))
        return "answer"

    def written(self) -> list[bytes]:
        """Return what went out."""
        return [data for one in self._conns.values() for data in one._writer.written]


def _fenced(closed: list[bool], encode: Callable[[str], bytes] = str.encode) -> Client:
    class Producer:
        client = Client(encode)

    fence(cast("AIOKafkaProducer", Producer), lambda: closed[0])
    return Producer.client


async def test_a_fenced_producer_sends_nothing() -> None:
    """While a client must not send, its requests are refused as by a node that is not ready; afterwards they go out."""
    closed = [True]
    client = _fenced(closed)

    with pytest.raises(NodeNotReadyError):
        await client.send(1, "produce", group=ConnectionGroup.DEFAULT)
    assert client.written() == []

    closed[0] = False

    assert await client.send(1, "produce", group=ConnectionGroup.DEFAULT) == "answer"
    assert client.written() == [b"produce"]


async def test_a_request_that_was_encoded_when_the_process_stopped_is_not_written() -> None:
    """The question was answered, then the process stood still while it encoded: nothing is written when it wakes."""
    closed = [False]

    def encode_slowly(request: str) -> bytes:
        closed[0] = request == "late"
        return request.encode()

    client = _fenced(closed, encode_slowly)
    await client.send(1, "early", group=ConnectionGroup.DEFAULT)

    with pytest.raises(OSError, match="must not send"):
        await client.send(1, "late", group=ConnectionGroup.DEFAULT)

    assert client.written() == [b"early"]


async def test_each_connection_is_fenced_once_and_stays_what_it_was() -> None:
    """Asking many times wraps no writer twice, and all but writing goes through to it."""
    client = _fenced([False])
    for _ in range(3):
        await client.send(1, "x", group=ConnectionGroup.DEFAULT)
    writer = client._conns[1, ConnectionGroup.DEFAULT]._writer

    writer.close()

    assert isinstance(writer._writer, Writer)
    assert writer.closed
