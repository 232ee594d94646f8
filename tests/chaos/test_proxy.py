"""The network that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import Proxy
from tests.support.waiting import wait_until
from worker import broker


class Echo:
    """A server that gives everything back."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Give back what comes."""
        while chunk := await reader.read(100):
            self.heard += chunk
            writer.write(chunk)
        writer.close()


@pytest.fixture
async def echo() -> Echo:
    """A server that remembers what it heard."""
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """A proxy before that server."""
    near, far = broker._free_port(), broker._free_port()
    async with await asyncio.start_server(echo.serve, broker.HOST, far), Proxy(near, far) as made:
        yield made


async def test_what_is_held_comes_later_and_whole(proxy: Proxy, echo: Echo) -> None:
    """Bytes that are held do not arrive, and arrive in order once they are let go."""
    reader, writer = await asyncio.open_connection(broker.HOST, proxy.port)
    writer.write(b"first ")

    assert await reader.readexactly(6) == b"first "

    proxy.hold()
    writer.write(b"second ")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.readexactly(7)

    assert echo.heard == b"first "

    proxy.release()

    assert await reader.readexactly(7) == b"second "
    writer.close()


async def test_a_cut_ends_connections_and_lets_none_in(proxy: Proxy) -> None:
    """Both sides see the end at once; a new connection works again after the mending."""
    reader, _ = await asyncio.open_connection(broker.HOST, proxy.port)
    await wait_until(lambda: len(proxy._writers) == 2)
    proxy.cut()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    refused, _ = await asyncio.open_connection(broker.HOST, proxy.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await refused.readexactly(1)

    proxy.mend()
    reader, writer = await asyncio.open_connection(broker.HOST, proxy.port)
    writer.write(b"again")

    assert await reader.readexactly(5) == b"again"
    writer.close()
