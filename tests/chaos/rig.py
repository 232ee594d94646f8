"""One broker, a network between it and each worker that can fail, the workers, and what is sent to them.

The broker has a listener for each worker, whose advertised address is that worker's proxy, and one more for
those who look on, which no fault touches but those of the broker itself.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from tests.chaos import traffic
from tests.chaos.fleet import Fleet
from tests.chaos.plan import Plan
from tests.chaos.proxy import Proxy
from tests.chaos.watch import Place, Watch
from tests.support.waiting import wait_until
from worker import broker as brokers
from worker import kafka
from worker.broker import Broker, BrokerConfig
from worker.config import Settings
from worker.topics import create_topics

HOST: Final = brokers.HOST
PARTITIONS: Final = 8
#: The shortest session that Kafka takes by default.
SESSION_S: Final = 6.0
DRAIN_S: Final = 5.0
#: What a worker may take to end when it is asked to.
END_S: Final = DRAIN_S + 10.0
_SENDING_S: Final = 60.0
_COMMON: Final[dict[str, Any]] = {
    "session_timeout_s": SESSION_S,
    "rebalance_timeout_s": 10,
    "drain_timeout_s": DRAIN_S,
    "commit_interval_s": 0.5,
    "kafka_timeout_s": 10,
    "linger_ms": 2,
}
_ENGINES: Final[dict[str, dict[str, Any]]] = {
    "scripted": {"engine": "scripted", "window": 16},
    "real": {
        "engine": "vllm",
        "max_num_seqs": 16,
        "reasoning_max_tokens": 16,
        # Longer than the slowest step of a warm-up on a busy machine.
        "engine_stall_timeout_s": 60,
        "session_timeout_s": 10,
    },
}
_WORKERS: Final = {"scripted": 3, "real": 1}


class Rig:
    """Everything of one seed.

    Attributes:
        broker: the real Kafka.
        proxies: the network of each worker.
        fleet: the workers.
        watch: the outcomes so far.
        sent: places of all messages sent, null values excluded.
        policies: offsets of the policies that may judge.

    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Choose ports and names; nothing is started."""
        self.plan = plan
        self.prefix = f"chaos-{plan.seed}-{uuid.uuid4().hex[:8]}."
        slots = range(_WORKERS[plan.engine])
        ports = _free_ports(2 + 2 * len(slots))
        self.broker = Broker(
            BrokerConfig(port=ports[0], data_dir=folder / "kafka", more_settings=_listeners(ports, slots))
        )
        self.proxies = [Proxy(_proxy_port(ports, slot), _door_port(ports, slot)) for slot in slots]
        self.settings = Settings(
            bootstrap_servers=self.broker.bootstrap_servers,
            topic_prefix=self.prefix,
            group_id=f"{self.prefix}group",
            kafka_timeout_s=10.0,
        )
        addresses = [f"{HOST}:{proxy.port}" for proxy in self.proxies]
        self.fleet = Fleet(folder, addresses, self.prefix, _COMMON | _ENGINES[plan.engine])
        self.watch = Watch(self.settings, PARTITIONS)
        self.sent: set[Place] = set()
        self.policies: set[int] = set()
        self._texts = traffic.texts(plan.seed, plan.engine)
        self._count = 0
        self._version = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything; the first policy is in force."""
        await self._stack.__aenter__()
        try:
            self._stack.push_async_callback(self.broker.stop)
            await self.broker.start()
            await create_topics(self.broker.bootstrap_servers, self.prefix, PARTITIONS)
            for proxy in self.proxies:
                await self._stack.enter_async_context(proxy)
            await self._stack.enter_async_context(self.watch)
            await self.send_policy()
            self._stack.callback(self.fleet.kill_all)
            await self.fleet.start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything that still runs."""
        await self._stack.aclose()

    async def send_messages(self, count: int) -> None:
        """Send the next messages."""
        numbers = range(self._count, self._count + count)
        self._count += count
        pairs = [
            traffic.message(number, text) for number, text in zip(numbers, islice(self._texts, count), strict=True)
        ]
        await self.send(pairs)

    async def send(self, pairs: list[traffic.Pair]) -> None:
        """Send records and remember those that need an outcome."""
        places = await self._produce("messages", pairs)
        self.sent |= {place for place, (_, value) in zip(places, pairs, strict=True) if value is not None}

    async def send_policy(self) -> None:
        """Publish the next version of the floor."""
        self._version += 1
        ((_, offset),) = await self._produce("policies", [(b"platform", traffic.floor(self._version))])
        self.policies.add(offset)

    async def send_refused_policy(self) -> None:
        """Publish a floor that must not come into force."""
        await self._produce("policies", [(b"platform", traffic.refused_floor())])

    async def _produce(self, name: str, pairs: list[traffic.Pair]) -> list[Place]:
        """Write records; returns where each stands."""
        producer = kafka.make_producer(self.settings)
        async with asyncio.timeout(_SENDING_S):
            await kafka.start(producer, self.settings)
            try:
                futures = [await producer.send(self.settings.topic(name), value=value, key=key) for key, value in pairs]
                return [(done.partition, done.offset) for done in [await future for future in futures]]
            finally:
                await kafka.close(producer)

    async def until_outcomes(self, count: int, timeout_s: float) -> bool:
        """Wait until so many messages have an outcome; tells whether they have."""
        return await reached(lambda: len(self.watch.places) >= count, timeout_s)

    def settled(self) -> bool:
        """Tell whether all that was sent has its outcome and every worker judges; starts again what has ended."""
        self.fleet.revive()
        return self.sent <= self.watch.places and self.fleet.all_ready


async def reached(condition: Any, timeout_s: float) -> bool:
    """Wait for a condition, and tell whether it came true in time."""
    try:
        await wait_until(condition, timeout_s, interval_s=0.1)
    except AssertionError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = brokers._free_port()
        found += [port] if port not in found else []
    return found


def _door_port(ports: list[int], slot: int) -> int:
    return ports[2 + 2 * slot]


def _proxy_port(ports: list[int], slot: int) -> int:
    return ports[3 + 2 * slot]


def _listeners(ports: list[int], slots: range) -> dict[str, str]:
    """Return the broker's settings: one door for us, one for each worker behind its proxy."""
    inner = {"PLAINTEXT": ports[0], "CONTROLLER": ports[1]} | {f"W{slot}": _door_port(ports, slot) for slot in slots}
    outer = {"PLAINTEXT": ports[0]} | {f"W{slot}": _proxy_port(ports, slot) for slot in slots}
    return {
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in inner.items()),
        "advertised.listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in outer.items()),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in inner),
        "controller.quorum.voters": f"1@{HOST}:{ports[1]}",
        "num.network.threads": "1",
    }
