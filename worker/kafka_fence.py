"""A producer that is cut off from its broker for as long as somebody says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.errors import NodeNotReadyError

_REFUSAL: Final = "this client must not send"


def fence(producer: AIOKafkaProducer, must_not_send: Callable[[], bool]) -> None:
    """Ask before each request of a producer whether it may go out; while it may not, none does.

    What a process had handed to its producer when it was stopped goes no further when it wakes up; aiokafka tries
    such a batch again later. The question is asked before a request is encoded, which leaves the connection alone,
    and once more when its bytes are about to be written: between the two a process can be stopped as well.
    """
    client = producer.client
    send = client.send

    async def asked(node_id: int, request: Any, *, group: Any = ConnectionGroup.DEFAULT) -> Any:
        if must_not_send():
            raise NodeNotReadyError(_REFUSAL)
        if await client.ready(node_id, group=group):
            connection = client._conns[node_id, group]  # noqa: SLF001  (where the bytes are written)
            if not isinstance(connection._writer, _FencedWriter):  # noqa: SLF001  (as above)
                connection._writer = _FencedWriter(connection._writer, must_not_send)  # noqa: SLF001  (as above)
        return await send(node_id, request, group=group)

    client.send = asked


class _FencedWriter:
    """A connection's writer that asks before it writes; else as it was."""

    def __init__(self, writer: asyncio.StreamWriter, must_not_send: Callable[[], bool]) -> None:
        self._writer = writer
        self._must_not_send = must_not_send

    def write(self, data: bytes) -> None:
        """Write.

        Raises:
            ConnectionAbortedError: it may not; aiokafka closes the connection then, as after any failure to write.

        """
        if self._must_not_send():
            raise ConnectionAbortedError(_REFUSAL)
        self._writer.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)
