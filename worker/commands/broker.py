"""``rsafe broker``: a real Kafka in the foreground, with every topic, for development and the demo."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

from worker import jars
from worker.broker import Broker, BrokerConfig
from worker.topics import create_topics

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def broker(port: int, data_dir: Path, topic_prefix: str) -> None:
    """Run until SIGTERM or Ctrl-C; prints ``ready HOST:PORT`` when Kafka and all topics are there.

    Raises:
        ConfigError: the port is taken or the folder cannot be written.
        BrokerAway: Kafka could not be fetched or started, or ended by itself.

    """
    for number in _SIGNALS:
        signal.signal(number, _leave)
    # Before the event loop, where a signal still ends a download at once.
    jars.fetch()
    asyncio.run(_serve(Broker(BrokerConfig(port=port, data_dir=data_dir)), topic_prefix))


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


async def _serve(kafka: Broker, topic_prefix: str) -> None:
    stopping = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    running = asyncio.create_task(_run(kafka, topic_prefix))
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        for task in (running, stopped):
            task.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
        await kafka.stop()


async def _run(kafka: Broker, topic_prefix: str) -> None:
    await kafka.start()
    await create_topics(kafka.bootstrap_servers, topic_prefix)
    print(f"ready {kafka.bootstrap_servers}", flush=True)
    await kafka.wait()
