"""A network that can fail: a TCP proxy between a worker and the broker, which holds bytes or cuts connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, Self

_HOST: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 64 * 1024


class Proxy:
    """Passes bytes on from one port to another; what it holds is never lost, as with TCP."""

    def __init__(self, port: int, target_port: int) -> None:
        """Open nothing yet."""
        self.port = port
        self._target_port = target_port
        self._flows = asyncio.Event()
        self._flows.set()
        self._admits = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, _HOST, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        self._flows.set()
        self._drop()

    def hold(self) -> None:
        """Pass nothing on until ``release``; connections stay open and new ones are let in."""
        self._flows.clear()

    def release(self) -> None:
        """Pass on what was held, in order, and go on."""
        self._flows.set()

    def cut(self) -> None:
        """Cut every connection, and let none in until ``mend``."""
        self._admits = False
        self._drop()

    def mend(self) -> None:
        """Let connections in again."""
        self._admits = True

    def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._admits:
                await self._join(reader, writer)
        except OSError:
            return
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the broker and pass bytes on both ways until one side ends."""
        far_reader, far_writer = await asyncio.open_connection(_HOST, self._target_port)
        self._writers.add(far_writer)
        ways = [asyncio.create_task(way) for way in (self._pass(reader, far_writer), self._pass(far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.discard(far_writer)
            far_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await self._flows.wait()
                writer.write(chunk)
                await writer.drain()
