"""The worker's life: engine, policies, data plane and control agent, brought up in order and ended in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any, Final, Protocol

from mode import Service
from mode.types import ServiceT

from worker.config import Settings
from worker.errors import BrokerAway, ConfigError, StreamError, WorkerError
from worker.judge.judgement import Judge
from worker.kafka_errors import translated
from worker.records import Rung
from worker.stream.control import ends
from worker.stream.health import Health

logger: Final = logging.getLogger(__name__)

#: What stopping may take beyond the drain; after that the process leaves whatever still hangs.
STOP_MARGIN_S: Final = 8.0
#: Time between two attempts to start the control agent.
RETRY_S: Final = 2.0


class Part(Protocol):
    """Something that is started and stopped."""

    async def start(self) -> None:
        """Start, waiting with back-off where Kafka is away."""

    async def stop(self) -> None:
        """Stop within a bounded time."""


class Plane(Part, Protocol):
    """The data plane, as this service sees it."""

    @property
    def joined(self) -> asyncio.Event:
        """Set while this worker is in the group and what it was assigned is open."""

    async def wait_failed(self) -> None:
        """Wait until something fails that must end the process, and raise it."""

    def unready(self) -> list[str]:
        """Return why messages are not being judged."""

    def overload(self) -> Mapping[Rung, int]:
        """Return how many tenants are at each declared rung of the overload ladder."""

    def pause(self, reason: str) -> None:
        """Read nothing new."""

    def resume(self) -> None:
        """Read on."""

    def summary(self) -> str:
        """Return one line that says how the plane is doing."""


class WorkerService(Service):
    """Bring the worker up, watch it, and end it.

    The engine is built and warm before the group is joined: building it blocks the loop for half a
    minute, and no heartbeat would be sent meanwhile.
    """

    def __init__(
        self,
        settings: Settings,
        judge: Judge,
        policies: Part,
        exceptions: Part,
        plane: Plane,
        health: Health,
        **kwargs: Any,
    ) -> None:
        """Hold the parts; nothing starts yet."""
        super().__init__(**kwargs)
        self.settings = settings
        self.judge = judge
        self.policies = policies
        self.exceptions = exceptions
        self.plane = plane
        self.health = health
        self.control: Callable[[], Iterable[ServiceT]] = tuple
        # By partition of ``commands`` the first offset that is meant for this life.
        self.commands_from: Mapping[int, int] = {}
        self.error: WorkerError | None = None

    @Service.task
    async def _live(self) -> None:
        try:
            await self._bring_up()
            await self.plane.wait_failed()
        except WorkerError as error:
            logger.critical("%s: %s", type(error).__name__, error)
            self.error = error
            await self.crash(error)

    async def _bring_up(self) -> None:
        self.health.entering("the engine is being built")
        await self._start_judge()
        self.health.entering("policies are being read")
        await self.policies.start()
        self.health.entering("exceptions are being read")
        await self.exceptions.start()
        self.health.entering("the consumer group is being joined")
        await self.plane.start()
        await self._until_joined()
        await self._start_control()
        self.health.running(self.plane.unready, self.plane.overload)
        # The line that scripts wait for.
        print("ready", flush=True)

    async def _start_judge(self) -> None:
        """Build the engine. The loop is blocked meanwhile, so signals are answered at once."""
        names = (signal.SIGTERM, signal.SIGINT)
        before = {name: signal.signal(name, _leave) for name in names}
        try:
            await self.judge.start()
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    async def _until_joined(self) -> None:
        """Wait for the first assignment, or raise what keeps it from coming."""
        waits = [asyncio.ensure_future(wait) for wait in (self.plane.joined.wait(), self.plane.wait_failed())]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()

    async def _start_control(self) -> None:
        """Start Faust's Kafka part, again and again while Kafka is away: commands are not worth a restart."""
        await self._note_commands()
        for service in self.control():
            while not self.should_stop:
                try:
                    with translated("starting the control agent"):
                        await self.add_runtime_dependency(service)
                    break
                except BrokerAway as error:
                    logger.warning("%s; trying again", error)
                    service.service_reset()
                    await self.sleep(RETRY_S)

    async def _note_commands(self) -> None:
        """Find out which commands stand there already: they are of an earlier life."""
        while not self.should_stop:
            try:
                self.commands_from = await ends(self.settings)
            except StreamError as error:
                logger.warning("%s; trying again", error)
                await self.sleep(RETRY_S)
            except ConfigError as error:
                # Who may not ask where the topic ends may read nothing of it either.
                logger.warning("%s", error)
                return
            else:
                return

    def pause(self, reason: str) -> None:
        """Read nothing new (a command)."""
        self.plane.pause(reason)

    def resume(self) -> None:
        """Read on (a command)."""
        self.plane.resume()

    def report(self) -> None:
        """Log one line that says how the worker is doing."""
        logger.info("%s", self.plane.summary())

    async def on_stop(self) -> None:
        """Drain, commit, leave the group; then policies and engine. Bounded, whatever hangs."""
        self.health.stopping()
        _leave_later(self.settings.drain_timeout_s + STOP_MARGIN_S, failed=self.error is not None)
        for part in (self.plane, self.exceptions, self.policies, self.judge):
            try:
                await part.stop()
            except WorkerError as error:
                logger.warning("while stopping: %s", error)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Nothing is in flight yet, and the engine process dies with this one."""
    sys.stdout.flush()
    os._exit(0)


def _leave_later(after_s: float, *, failed: bool) -> None:
    """End the process after a while although something still hangs; what is not committed is judged again."""
    timer = threading.Timer(after_s, os._exit, (1 if failed else 0,))
    timer.daemon = True
    timer.start()
