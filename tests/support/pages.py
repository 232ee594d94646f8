"""What a worker's web server answers."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request


async def page(port: int, name: str) -> bytes:
    """Return what a worker answers, whatever the status; empty where nothing came in time: ask again."""
    return await asyncio.to_thread(_page, port, name)


def _page(port: int, name: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()
    except OSError:  # refused, reset, too late
        return b""
