"""What the demonstration plays on: a real broker with its topics, and a real worker. Both end with it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from worker import credentials, kafka
from worker.broker import HOST, Broker, BrokerConfig
from worker.config import Settings
from worker.demo.child import WorkerProcess
from worker.demo.samples import TENANTS, policy_bytes
from worker.demo.view import View
from worker.records import PLATFORM
from worker.topics import create_topics

#: Time between two lines that say that something still loads.
_HEARTBEAT_S: Final = 5.0
_LOG_LINES_SHOWN: Final = 20


class Stage:
    """Broker, topics, policies and worker; entering it starts them all at the same time."""

    def __init__(self, settings: Settings, view: View) -> None:
        """Take the worker's settings; addresses and ports are replaced by free ones on this machine."""
        self._folder = Path(tempfile.mkdtemp(prefix="rsafe-demo-"))
        port = free_port()
        self.settings = msgspec.structs.replace(
            credentials.without(settings),
            bootstrap_servers=f"{HOST}:{port}",
            group_id="rsafe-demo",
            web_port=free_port(),
        )
        self._view = view
        config = BrokerConfig(port=port, data_dir=self._folder / "kafka")
        self._broker = Broker(config, say=lambda text: view.loading("broker", text))
        self.worker = WorkerProcess(self.settings, self._folder / "worker.log")

    async def __aenter__(self) -> Self:
        """Return when the worker judges.

        Raises:
            WorkerError: something did not come up.

        """
        try:
            # The engine takes longest: it loads while Kafka starts, and waits for it.
            await self.worker.start()
            await _together(self._bring_up_kafka(), self._wait_for_worker())
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End worker and broker, in this order, and remove their files."""
        await self._close()

    async def _close(self) -> None:
        if self.worker.failed():
            self._view.say("\n".join(["The worker's last words:", *self.worker.log_lines()[-_LOG_LINES_SHOWN:]]))
        await self.worker.stop()
        await self._broker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _bring_up_kafka(self) -> None:
        self._view.loading("broker", "Kafka starts")
        await self._broker.start()
        self._view.loaded("broker", f"Kafka answers on {self.settings.bootstrap_servers}")
        self._view.loading("topics", "are being created")
        report = await create_topics(self.settings.bootstrap_servers, self.settings.topic_prefix)
        self._view.loaded("topics", f"{len(report.created)} with {report.partitions} partitions")
        for name in (PLATFORM, *TENANTS):
            await publish_policy(self.settings, name, policy_bytes(name))
        self._view.loaded("policies", f"the platform's floor, {', '.join(TENANTS)}")

    async def _wait_for_worker(self) -> None:
        began = time.monotonic()
        waiting = asyncio.create_task(self.worker.ready())
        try:
            while not waiting.done():
                self._view.loading("worker", f"starts, and its engine loads ({time.monotonic() - began:.0f} s)")
                await asyncio.wait({waiting}, timeout=_HEARTBEAT_S)
            await waiting
        finally:
            waiting.cancel()
        self._view.loaded("worker", f"ready after {time.monotonic() - began:.0f} s")


async def _together(*parts: Coroutine[None, None, None]) -> None:
    """Run all parts at the same time; the first that fails ends the others."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def free_port() -> int:
    """Return a port on this machine that nobody listens on right now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def publish_policy(settings: Settings, scope: str, value: bytes | None) -> float:
    """Publish a policy as any Kafka client would; return when Kafka acknowledged it, on the monotonic clock.

    Raises:
        StreamError: Kafka refused it or is away.

    """
    async with kafka.writer(settings) as producer:
        topic = settings.topic("policies")
        await kafka.send(producer, topic, value, key=scope.encode(), timeout_s=settings.kafka_timeout_s)
        return time.monotonic()
