"""The worker's web server in a thread of this process, and what it must answer to any bytes."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import Any, Final

from worker.config import Settings
from worker.judge.scripted import ScriptedJudge
from worker.stream.app import build_app
from worker.stream.health import Health
from worker.stream.service import WorkerService

HOST: Final = "127.0.0.1"
_TIMEOUT_S: Final = 10.0
#: Where the bytes are a beginning only, the server waits for the rest, and so do we: not long.
_WAIT_S: Final = 0.02
_LIVE: Final = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_CHUNK_BYTES: Final = 65536


def answer(data: bytes) -> None:
    """Send bytes and a good request after them; the server never fails inside, and still answers others."""
    port = _served(os.getpid())
    got = _exchange(port, data + _LIVE, _WAIT_S)
    assert not got or got.startswith(b"HTTP/1."), "an answer that is no HTTP"
    assert b"HTTP/1.1 500 " not in got, "the server failed inside"
    assert _exchange(port, _LIVE, _TIMEOUT_S).startswith(b"HTTP/1.1 200 "), "others get no answer any more"


def _exchange(port: int, data: bytes, wait_s: float) -> bytes:
    """Return all that comes back until the server closes, or waits itself for more."""
    got = bytearray()
    connection = socket.create_connection((HOST, port), timeout=_TIMEOUT_S)
    # A server may refuse a bad request before it has read all of it.
    with connection, suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
        connection.sendall(data)
        connection.settimeout(wait_s)
        while chunk := connection.recv(_CHUNK_BYTES):
            got += chunk
    return bytes(got)


@cache
def _served(_process: int) -> int:
    """Start the server in this process and return its port."""
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    port: Future[int] = Future()
    threading.Thread(target=lambda: asyncio.run(_serve(port)), name="fuzz-web", daemon=True).start()
    return port.result(timeout=60)


async def _serve(port: Future[int]) -> None:
    settings = Settings(web_host=HOST, web_port=0, instance_id="fuzz")
    nothing: Any = None
    health = Health()
    service = WorkerService(settings, ScriptedJudge(), nothing, nothing, nothing, health)
    app = build_app(settings, service, health)
    web: Any = app.web
    web.init_server()
    await web.start_server()
    port.set_result(int(app.conf.web_port))
    while True:
        health.beat()
        await asyncio.sleep(1)
