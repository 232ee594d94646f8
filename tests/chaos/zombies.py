"""Two ways to keep a writer that stood still from doubling, measured: ``python -m tests.chaos.zombies``.

A writer is stopped (SIGSTOP) in the middle of a partition for longer than its session, another one takes over,
reads back and writes the rest, and the first one wakes up. ``guarded`` is what a worker does: the loop's clock and a
fence before the socket. ``transactional`` is one transactional id for each partition (KIP-98): the new owner's id
fences the old one's, and each batch of verdicts and traces is a transaction. Readers read what is committed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from msgspec import Struct, structs
from prometheus_client import CollectorRegistry

from worker import kafka
from worker.broker import Broker, BrokerConfig
from worker.config import Settings
from worker.marked import insert
from worker.metrics import Metrics
from worker.stream.delivery import Delivery
from worker.stream.stall import BEAT_S
from worker.stream.state import State
from worker.stream.work import Row
from worker.topics import create_topics

Choice = Literal["guarded", "transactional"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
RESULTS: Final = Path(__file__).parent / "results" / "zombies.json"
SESSION_S: Final = 3.0
PARTITIONS: Final = 8
#: Rows of one batch, about as many as a worker has ready at once.
BATCH: Final = 8
ROWS: Final = 40_000
#: A verdict and a trace have about this size.
SIZE_BYTES: Final = 1_000
TOPICS: Final = ("verdicts", "traces")
#: The heir writes beyond what the first one has: what that one goes on with is doubled then.
_BEYOND: Final = 50 * BATCH
#: Rows for each partition in a turn without a stop.
_TURN_ROWS: Final = 400


class Round(Struct, frozen=True, kw_only=True):
    """One stop: what was doubled, and what was lost."""

    choice: Choice
    stopped_after_s: float
    written_before: int
    doubled: int
    lost: int


class Speed(Struct, frozen=True, kw_only=True):
    """One turn without a stop: rows per second of each choice."""

    guarded: float
    transactional: float


class Zombies(Struct, kw_only=True):
    """All that was measured."""

    date: str
    seed: int
    session_s: float
    rounds: list[Round] = msgspec.field(default_factory=list)
    speeds: list[Speed] = msgspec.field(default_factory=list)


class Guarded:
    """Writes as a worker does, by its guard."""

    def __init__(self, settings: Settings) -> None:
        """Connect nothing yet."""
        chosen = structs.replace(settings, session_timeout_s=SESSION_S)
        self._state = State(chosen, Metrics(CollectorRegistry()))
        self._delivery = Delivery(chosen, self._state.metrics, self._state.must_not_send)
        self._names = [settings.topic(name) for name in TOPICS]
        self._beating: asyncio.Task[None] | None = None

    async def own(self, _partition: int) -> None:
        """Take a partition over; nobody is told."""
        self._beating = self._beating or asyncio.create_task(self._beat())

    async def write(self, partition: int, rows: list[Row]) -> None:
        """Write rows to both topics."""
        for name in self._names:
            if self._state.must_not_send():
                raise asyncio.CancelledError
            await self._delivery.write(name, partition, rows)

    async def close(self) -> None:
        """End."""
        if self._beating is not None:
            self._beating.cancel()
        await self._delivery.close(1.0)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self._state.check_stall()
            if self._state.stalled.is_set():
                await self._delivery.abandon()


class Transactional:
    """Writes each batch of both topics in a transaction of the partition's own id."""

    def __init__(self, settings: Settings) -> None:
        """Connect nothing yet."""
        self._settings = settings
        self._names = [settings.topic(name) for name in TOPICS]
        self._producers: dict[int, Any] = {}

    async def own(self, partition: int) -> None:
        """Take a partition over: from now on whoever had its id is fenced."""
        name = f"{self._settings.topic_prefix}{partition}"
        producer = self._producers[partition] = kafka.make_producer(self._settings, transactional_id=name)
        await producer.start()

    async def write(self, partition: int, rows: list[Row]) -> None:
        """Write rows to both topics."""
        producer = self._producers[partition]
        async with producer.transaction():
            for name in self._names:
                batch: BatchBuilder = producer.create_batch()
                for row in rows:
                    batch.append(key=row.key, value=row.value, timestamp=None, headers=list(row.headers))
                await (await producer.send_batch(batch, name, partition=partition))

    async def close(self) -> None:
        """End."""
        for producer in self._producers.values():
            await kafka.close(producer, 1.0)


def writer_of(choice: Choice, settings: Settings) -> Guarded | Transactional:
    """Return a writer."""
    return Guarded(settings) if choice == "guarded" else Transactional(settings)


def rows_of(numbers: Iterable[int]) -> list[Row]:
    """Return rows that can be told apart."""
    return [Row(b"%d" % number, b"x" * SIZE_BYTES, []) for number in numbers]


async def fill(writer: Guarded | Transactional, partition: int, numbers: list[int]) -> None:
    """Write these numbers to a partition in batches."""
    for start in range(0, len(numbers), BATCH):
        await writer.write(partition, rows_of(numbers[start : start + BATCH]))


async def child(choice: Choice, settings: Settings) -> None:
    """Write all partitions until their end, or until somebody else owns them."""
    writer = writer_of(choice, settings)
    for partition in range(PARTITIONS):
        await writer.own(partition)
    print("writing", flush=True)
    filling = [asyncio.create_task(fill(writer, partition, list(range(ROWS)))) for partition in range(PARTITIONS)]
    await asyncio.wait(filling, timeout=60)
    for task in filling:
        task.cancel()
    await asyncio.gather(*filling, return_exceptions=True)
    # Whatever still comes, comes now.
    await asyncio.sleep(2 * BEAT_S + 0.5)
    with contextlib.suppress(KafkaError):
        await writer.close()
    print("ended", flush=True)


async def read(settings: Settings, topic: str) -> list[Counter[int]]:
    """Return how often each number stands in each partition."""
    found = []
    async with kafka.reader(settings) as consumer:
        places = [TopicPartition(settings.topic(topic), partition) for partition in range(PARTITIONS)]
        consumer.assign(places)
        for place, (first, end) in (await kafka.bounds(consumer, places)).items():
            consumer.seek(place, first)
            log = kafka.read(consumer, place, end, settings.kafka_timeout_s)
            found.append(Counter([int(record.key or b"") async for record in log]))
    return found


async def take_over(choice: Choice, settings: Settings) -> int:
    """Read back what there is, write what is missing and some more; return how much there was."""
    heir = writer_of(choice, settings)
    try:
        for partition in range(PARTITIONS):
            await heir.own(partition)
        known = await read(settings, TOPICS[0])
        rests = [[one for one in range(max(mine, default=0) + _BEYOND) if one not in mine] for mine in known]
        await asyncio.gather(*(fill(heir, partition, rest) for partition, rest in enumerate(rests)))
    finally:
        await heir.close()
    return sum(map(len, known))


async def one_round(choice: Choice, settings: Settings, rng: random.Random) -> Round:
    """Stop a writer, write the rest as its heir, wake it up, and count."""
    command = ["-m", "tests.chaos.zombies", "--child", choice]
    command += ["--broker", settings.bootstrap_servers, "--prefix", settings.topic_prefix]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    await process.stdout.readline()
    after_s = rng.uniform(0.3, 1.5)
    await asyncio.sleep(after_s)
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(SESSION_S)
    written = await take_over(choice, settings)
    process.send_signal(signal.SIGCONT)
    await process.wait()
    found = await read(settings, TOPICS[0])
    doubled = sum(count > 1 for mine in found for count in mine.values())
    lost = sum(one not in mine for mine in found for one in range(max(mine)))
    return Round(choice=choice, stopped_after_s=round(after_s, 3), written_before=written, doubled=doubled, lost=lost)


async def rows_per_s(choice: Choice, settings: Settings, count: int) -> float:
    """Write to all partitions at once, and return how many rows a second both topics took together."""
    writer = writer_of(choice, settings)
    for partition in range(PARTITIONS):
        await writer.own(partition)
    await asyncio.gather(*(fill(writer, partition, list(range(BATCH))) for partition in range(PARTITIONS)))
    began = time.monotonic()
    await asyncio.gather(*(fill(writer, partition, list(range(count))) for partition in range(PARTITIONS)))
    took_s = time.monotonic() - began
    await writer.close()
    return PARTITIONS * count / took_s


async def fresh(broker: Broker, name: str, partitions: int) -> Settings:
    """Make topics of their own for a round or a turn."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"{name}.", kafka_timeout_s=20.0)
    await create_topics(broker.bootstrap_servers, settings.topic_prefix, partitions)
    return settings


@contextlib.asynccontextmanager
async def kafka_for(folder: Path, port: int) -> AsyncIterator[Broker]:
    """Run a broker for the measurement."""
    broker = Broker(BrokerConfig(port=port, data_dir=folder))
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


async def measure(found: Zombies, rounds: int, turns: int, port: int, save: Callable[[Zombies], None]) -> None:
    """Measure both choices in turns, and go on where ``found`` ends; it is saved after each round."""
    with tempfile.TemporaryDirectory(prefix="rsafe-zombies-") as folder:
        async with kafka_for(Path(folder), port) as broker:
            for number in range(len(found.speeds), turns):
                found.speeds.append(await one_turn(broker, number))
                print(found.speeds[-1], flush=True)
            for number in range(len(found.rounds), len(CHOICES) * rounds):
                choice = CHOICES[number % len(CHOICES)]
                settings = await fresh(broker, f"r{number}", PARTITIONS)
                found.rounds.append(await one_round(choice, settings, random.Random(f"{found.seed}/{number}")))
                found.date = dt.datetime.now(dt.UTC).date().isoformat()
                print(found.rounds[-1], flush=True)
                save(found)


async def one_turn(broker: Broker, number: int) -> Speed:
    """Measure the speed of both, each first in every other turn."""
    each = {}
    for choice in CHOICES if number % 2 else CHOICES[::-1]:
        each[choice] = await rows_per_s(choice, await fresh(broker, f"s{number}{choice}", PARTITIONS), _TURN_ROWS)
    return Speed(**{name: round(value) for name, value in each.items()})


def read_results(path: Path) -> Zombies:
    """Read a file of results."""
    return msgspec.json.decode(path.read_bytes(), type=Zombies)


def write_results(path: Path, found: Zombies) -> None:
    """Write a file of results."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def markdown(found: Zombies) -> str:
    """Return the table of the README."""
    lines = [
        "| Choice | Stops | Doubled | Stops with any | Lost | Rows/s against guarded |",
        "|---|---|---|---|---|---|",
    ]
    ratios = [speed.transactional / speed.guarded for speed in found.speeds]
    for choice in CHOICES:
        mine = [one for one in found.rounds if one.choice == choice]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        doubled, lost = sum(one.doubled for one in mine), sum(one.lost for one in mine)
        any_ = sum(one.doubled > 0 for one in mine)
        cells = [choice, len(mine), doubled, any_, lost, "1" if choice == "guarded" else spread]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", f"Seen on {found.date}, seed {found.seed}, {PARTITIONS} partitions."]) + "\n"


def main() -> None:
    """Read the command line, and measure or be the child."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.zombies", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20, help="stops of each choice")
    parser.add_argument("--turns", type=int, default=5, help="turns for the speed")
    parser.add_argument("--port", type=int, default=19492, help="the broker's")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="file of results; what is there is not measured again"
    )
    parser.add_argument("--page", type=Path, help="page that the table is written into")
    parser.add_argument("--child", choices=CHOICES, help=argparse.SUPPRESS)
    parser.add_argument("--broker", help=argparse.SUPPRESS)
    parser.add_argument("--prefix", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        settings = Settings(bootstrap_servers=asked.broker, topic_prefix=asked.prefix, kafka_timeout_s=20.0)
        asyncio.run(child(asked.child, settings))
        return
    out: Path = asked.out
    found = read_results(out) if out.exists() else Zombies(date="", seed=asked.seed, session_s=SESSION_S)
    asyncio.run(measure(found, asked.rounds, asked.turns, asked.port, lambda done: write_results(out, done)))
    print(markdown(found))
    if asked.page is not None:
        page: Path = asked.page
        page.write_text(insert(page.read_text(encoding="utf-8"), markdown(found), "zombies"), encoding="utf-8")


if __name__ == "__main__":
    main()
