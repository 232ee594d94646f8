"""A small worker process for tests that kill one: data plane, scripted judge, one fixed policy, until SIGTERM.

Run as ``python -m tests.support.plane_process SETTINGS``, the settings as JSON.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec

from tests.support.dataplane import FixedPolicies, running
from worker.config import Settings
from worker.logs import configure


async def main(settings: Settings) -> None:
    """Work until SIGTERM; whatever ends the data plane ends the process with exit 1."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    async with running(settings, policies=FixedPolicies()) as plane:
        await plane.joined.wait()
        print("ready", flush=True)
        ends = [asyncio.create_task(plane.wait_failed()), asyncio.create_task(asked.wait())]
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


if __name__ == "__main__":
    configure("info")
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Settings)))
