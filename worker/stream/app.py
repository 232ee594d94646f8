"""The process around the data plane: a Faust app with web server, sensors, timers and control agent.

Faust's agents do not carry the data: they commit past messages in flight and acknowledge what
failed. They carry the low-volume ``commands`` topic, and Faust's service tree starts and stops
everything in order.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import faust
from faust.app.base import BootStrategy
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.web import Request, Response, View
from mode import Service
from mode.types import ServiceT
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from worker import credentials
from worker.config import Settings
from worker.stream.control import obey
from worker.stream.health import Health
from worker.stream.service import WorkerService

#: Time between two lines of the log that say how the worker is doing.
REPORT_INTERVAL_S: Final = 30.0
#: Time between two heartbeats of the main loop.
BEAT_INTERVAL_S: Final = 1.0


class Boot(BootStrategy):
    """Start the web server before anything that needs Kafka, and Faust's own Kafka part last.

    A worker whose Kafka is away is alive and says why it is not ready.
    """

    def server(self) -> Iterable[ServiceT]:
        """Return what starts with the app; ``WorkerService`` adds the rest once Kafka answers."""
        return self._chain(self.sensors(), self.web_server(), [self.app.rsafe_service])  # type: ignore[attr-defined]

    def control(self) -> Iterable[ServiceT]:
        """Return what the control agent needs, in the order in which it starts."""
        return self._chain(
            self.kafka_producer(), self.kafka_consumer(), self.agents(), self.kafka_conductor(), self.tables()
        )


class RsafeApp(faust.App):
    """A Faust app whose main service is the worker."""

    BootStrategy = Boot
    rsafe_service: Service


def build_app(settings: Settings, service: WorkerService, health: Health) -> RsafeApp:
    """Build the app around a worker's service; nothing is started and nothing connects."""
    app = RsafeApp(
        # Never the data group's id: with an id of its own every worker sees every command.
        id=f"{settings.group_id}.{settings.instance}",
        broker=[f"kafka://{address.strip()}" for address in settings.bootstrap_servers.split(",")],
        broker_credentials=_faust_credentials(settings),
        store="memory://",
        datadir=Path(tempfile.gettempdir()) / f"rsafe-{settings.instance}",
        web_bind=settings.web_host,
        web_port=settings.web_port or _free_port(settings.web_host),
        # The main loop is blocked while an engine is built; health must answer meanwhile.
        web_in_thread=True,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="latest",
        broker_session_timeout=settings.session_timeout_s,
        stream_wait_empty=False,
        autodiscover=False,
    )
    app.rsafe_service = service
    service.control = app.boot_strategy.control  # type: ignore[attr-defined]
    _add_pages(app, health)
    _add_control_agent(app, settings, service)
    _add_timers(app, service, health)
    return app


def _faust_credentials(settings: Settings) -> Credentials | None:
    """Return the login of Faust's own clients: the worker's."""
    login = credentials.options(settings)
    if settings.uses_sasl:
        return SASLCredentials(
            username=login["sasl_plain_username"],
            password=login["sasl_plain_password"],
            mechanism=login["sasl_mechanism"],
            ssl_context=login.get("ssl_context"),
        )
    return SSLCredentials(login["ssl_context"]) if settings.uses_tls else None


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _add_pages(app: RsafeApp, health: Health) -> None:
    @app.page("/livez")
    async def livez(view: View, _request: Request) -> Response:
        """Answer 200 while the main loop turns."""
        alive = health.alive()
        return view.json({"alive": alive}, status=200 if alive else 503)

    @app.page("/readyz")
    async def readyz(view: View, _request: Request) -> Response:
        """Answer 200 when messages are judged, else 503 with the reasons; and what is left out for how many tenants."""
        state = health.readiness()
        return view.json(state, status=200 if state["ready"] else 503)

    @app.page("/metrics")
    async def metrics(view: View, _request: Request) -> Response:
        """Answer with this worker's and its engine's metrics."""
        return view.bytes(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST.partition(";")[0])


def _add_control_agent(app: RsafeApp, settings: Settings, service: WorkerService) -> None:
    topic = app.topic(settings.topic("commands"), value_serializer="raw", key_serializer="raw", allow_empty=True)

    @app.agent(topic, name="rsafe-control")
    async def control(stream: Any) -> None:
        """Obey each command of this life; bad ones are ignored, so the agent never dies of its input."""
        async for event in stream.events():
            if event.message.offset >= service.commands_from.get(event.message.partition, 0):
                obey(event.value, service, settings.instance)


def _add_timers(app: RsafeApp, service: WorkerService, health: Health) -> None:
    @app.timer(interval=BEAT_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def beat() -> None:
        health.beat()

    @app.timer(interval=REPORT_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def report() -> None:
        service.report()
