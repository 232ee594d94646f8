"""``rsafe run`` as its users meet it: a process, a Kafka, and clients that are not ours."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import count, settings_for
from tests.support.outside import Outcomes, Place, environment, messages, produce
from tests.support.processes import line_with, started
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.stream.control import Command, order
from worker.topics import create_topics

pytestmark = pytest.mark.broker

#: Slow enough that a kill falls into the middle, fast enough for a test.
_TEXT: Final = "hello [sleep:150]"
_COUNT: Final = 5000
_PLATFORM: Final = {"title": "Floor", "version": 1, "categories": [{"id": "U7", "name": "Hate", "action": "block"}]}


def _policy(version: int) -> bytes:
    """Make a version of the floor that judges unlike every other one."""
    return json.dumps(_PLATFORM | {"version": version, "text": f"In doubt see rule {version}."}).encode()


class Worker:
    """Starts ``rsafe run``, again if wanted, always with the same settings."""

    def __init__(self, stack: ExitStack, folder: Path, env: dict[str, str]) -> None:
        self._stack, self._folder, self._env = stack, folder, env
        self._runs = 0

    async def start(self) -> subprocess.Popen[bytes]:
        """Start one and wait for its ``ready``."""
        self._runs += 1
        log = self._folder / f"run-{self._runs}.log"
        process = self._stack.enter_context(started("run", log=log, env=self._env))
        await line_with(log, "ready", process)
        return process


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End whatever a test started."""
    with ExitStack() as entered:
        yield entered


@pytest.fixture
async def worker(broker: KafkaAddress, topic_prefix: str, stack: ExitStack, tmp_path: Path) -> Worker:
    """Make topics and a floor; the worker is started by the test."""
    await create_topics(broker.bootstrap_servers, topic_prefix, 8)
    await produce(broker.bootstrap_servers, f"{topic_prefix}policies", [(b"platform", _policy(1))])
    env = environment(
        broker.bootstrap_servers, topic_prefix, engine="scripted", session_timeout_s=6, kafka_timeout_s=10
    )
    return Worker(stack, tmp_path, env)


async def _kill_in_the_middle(worker: Worker, outcomes: Outcomes, settings: Settings, wanted: int) -> set[Place]:
    """Kill a worker once there are so many verdicts, and return where what was sent meanwhile stands.

    One that had judged everything by then proves nothing: there is more to judge for the next one.
    """
    sent: set[Place] = set()
    for _ in range(5):
        process = await worker.start()
        await outcomes.until(wanted, 240)
        process.kill()
        process.wait()
        done = await count(settings, "verdicts")
        if done < await count(settings, "messages"):
            return sent
        sent |= await produce(settings.bootstrap_servers, settings.topic("messages"), messages(1000, _TEXT))
        wanted = done + 200
    pytest.fail("each kill came too late to prove anything")


async def test_killed_three_times_it_leaves_one_verdict_each(
    broker: KafkaAddress, topic_prefix: str, worker: Worker
) -> None:
    """5,000 messages, SIGKILL three times in the middle: 5,000 verdicts with distinct source offsets, none doubled."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    sent = await produce(broker.bootstrap_servers, f"{topic_prefix}messages", messages(_COUNT, _TEXT))
    async with Outcomes(broker.bootstrap_servers, f"{topic_prefix}verdicts") as outcomes:
        for share in (0.2, 0.45, 0.7):
            sent |= await _kill_in_the_middle(worker, outcomes, settings, int(_COUNT * share))

        process = await worker.start()
        await outcomes.until(len(sent), 240)
        process.terminate()

        assert await asyncio.to_thread(process.wait, 40) == 0
        await outcomes.poll()
        assert set(outcomes.counts) == sent
        assert set(outcomes.counts.values()) == {1}


async def test_signals_for_debugging_tell_no_text(
    broker: KafkaAddress, topic_prefix: str, worker: Worker, tmp_path: Path
) -> None:
    """SIGUSR1 writes where the threads are and no value, SIGUSR2 is nothing; the worker goes on, and ends in order."""
    process = await worker.start()
    sent = await produce(
        broker.bootstrap_servers, f"{topic_prefix}messages", messages(20, "my secret plan [sleep:2000]")
    )
    async with Outcomes(broker.bootstrap_servers, f"{topic_prefix}verdicts") as outcomes:
        await outcomes.until(1, 120)
        process.send_signal(signal.SIGUSR2)
        process.send_signal(signal.SIGUSR1)
        await line_with(tmp_path / "run-1.err", "Current thread", process)
        await outcomes.until(20, 120)
        assert set(outcomes.counts) == sent
    process.terminate()

    assert await asyncio.to_thread(process.wait, 40) == 0
    said = (tmp_path / "run-1.err").read_text()
    assert "secret plan" not in said
    assert "run_forever" in said


async def _until_obeyed(settings: Settings, reason: str, log: Path) -> None:
    """Give a command until a worker writes that it obeys: it begins to listen a moment after it is ready."""

    async def obeyed() -> bool:
        await order(settings, Command(command="log_level", reason=reason))
        return f"command log_level {reason}" in await asyncio.to_thread(log.read_text)

    await wait_until(obeyed, 60, interval_s=0.5, what=f"{reason} is obeyed")


async def test_a_command_given_while_a_worker_was_down_is_none_for_it(
    broker: KafkaAddress, topic_prefix: str, stack: ExitStack, tmp_path: Path
) -> None:
    """A worker that keeps its name obeys what is given while it runs, in each of its lives, and not in between."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await create_topics(broker.bootstrap_servers, topic_prefix, 1)
    await produce(broker.bootstrap_servers, f"{topic_prefix}policies", [(b"platform", _policy(1))])
    env = environment(broker.bootstrap_servers, topic_prefix, engine="scripted", kafka_timeout_s=10, instance_id="same")
    worker = Worker(stack, tmp_path, env)

    process = await worker.start()
    await _until_obeyed(settings, "first", tmp_path / "run-1.err")
    process.terminate()
    assert await asyncio.to_thread(process.wait, 40) == 0

    await order(settings, Command(command="log_level", reason="between"))
    await worker.start()
    await _until_obeyed(settings, "second", tmp_path / "run-2.err")

    assert "between" not in (tmp_path / "run-2.err").read_text()


async def test_a_second_worker_comes_and_goes(broker: KafkaAddress, topic_prefix: str, worker: Worker) -> None:
    """Two workers on 8 partitions, one stopped and started in the middle: none missing, no verdict twice."""
    await worker.start()
    second = await worker.start()
    sent = await produce(broker.bootstrap_servers, f"{topic_prefix}messages", messages(_COUNT, _TEXT))
    async with Outcomes(broker.bootstrap_servers, f"{topic_prefix}verdicts") as outcomes:
        await outcomes.until(_COUNT // 5, 120)
        second.terminate()

        assert await asyncio.to_thread(second.wait, 40) == 0

        await outcomes.until(_COUNT // 2, 120)
        await worker.start()
        await outcomes.until(_COUNT, 240)
        await outcomes.poll()

        assert set(outcomes.counts) == sent
        assert set(outcomes.counts.values()) == {1}


async def test_ctrl_c_in_the_middle_drains_and_loses_nothing(
    broker: KafkaAddress, topic_prefix: str, worker: Worker
) -> None:
    """SIGINT to the whole process group: what is in the judge is published, exit 0, and the next one does the rest."""
    sent = await produce(broker.bootstrap_servers, f"{topic_prefix}messages", messages(1500, "hello [sleep:500]"))
    async with Outcomes(broker.bootstrap_servers, f"{topic_prefix}verdicts") as outcomes:
        first = await worker.start()
        await outcomes.until(200, 120)
        before = len(outcomes.counts)
        os.killpg(first.pid, signal.SIGINT)

        assert await asyncio.to_thread(first.wait, 40) == 0

        await outcomes.until(before + 1, 60)

        assert len(outcomes.counts) < len(sent)

        await worker.start()
        await outcomes.until(len(sent), 240)
        await outcomes.poll()

        assert set(outcomes.counts) == sent
        assert set(outcomes.counts.values()) == {1}


async def test_a_policy_is_in_force_within_two_seconds(broker: KafkaAddress, topic_prefix: str, worker: Worker) -> None:
    """Published by a plain producer, without a restart; the verdicts' digests show where the change fell."""
    process = await worker.start()
    topic = f"{topic_prefix}messages"
    async with Outcomes(broker.bootstrap_servers, f"{topic_prefix}verdicts") as outcomes:
        await produce(broker.bootstrap_servers, topic, messages(20, "before"))
        await outcomes.until(20, 120)
        before = {record.value["policy"]["digest"] for record in outcomes.records}
        await produce(broker.bootstrap_servers, f"{topic_prefix}policies", [(b"platform", _policy(2))])
        published_s = asyncio.get_running_loop().time()
        sent = 20
        while {record.value["policy"]["digest"] for record in outcomes.records} == before:
            assert asyncio.get_running_loop().time() - published_s < 2.0, "not in force after two seconds"
            await produce(broker.bootstrap_servers, topic, messages(1, "after"))
            sent += 1
            await outcomes.until(sent, 120)
        await produce(broker.bootstrap_servers, topic, messages(50, "later"))
        await outcomes.until(sent + 50, 120)

    versions = [record.value["policy"]["parts"][0]["version"] for record in outcomes.records]

    assert len(before) == 1
    assert versions == sorted(versions), "one change, and it fell between two verdicts"
    assert versions[-50:] == [2] * 50
    assert process.poll() is None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ask(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return 0, b""


async def _answer(port: int, path: str) -> tuple[int, Any]:
    """Ask until there is an answer: on a busy machine one may come too late."""

    def asked() -> tuple[tuple[int, Any], ...]:
        answer = _ask(port, path)
        return (answer,) if answer[0] else ()

    (answer,) = await wait_until(asked, what=path)
    return answer


async def test_without_kafka_it_is_alive_and_not_ready(stack: ExitStack, tmp_path: Path) -> None:
    """A worker whose Kafka is away answers /livez, says on /readyz why it waits, and ends with 0 on SIGTERM."""
    port = _free_port()
    env = environment(f"127.0.0.1:{_free_port()}", "away.", engine="scripted", web_port=port, kafka_timeout_s=5)
    process = stack.enter_context(started("run", log=tmp_path / "run.log", env=env))

    assert await wait_until(lambda: _ask(port, "/livez")[0] == 200, what="/livez")

    status, body = await _answer(port, "/readyz")

    assert status == 503
    assert json.loads(body)["reasons"]
    assert process.poll() is None

    process.terminate()

    assert await asyncio.to_thread(process.wait, 40) == 0


async def test_it_shows_its_metrics_and_ends_on_ctrl_c(
    broker: KafkaAddress, topic_prefix: str, stack: ExitStack, tmp_path: Path
) -> None:
    """/readyz is 200 and /metrics counts what was judged; SIGINT to the whole group ends it with 0."""
    port = _free_port()
    await create_topics(broker.bootstrap_servers, topic_prefix, 8)
    env = environment(broker.bootstrap_servers, topic_prefix, engine="scripted", web_port=port)
    process = stack.enter_context(started("run", log=tmp_path / "web.log", env=env))
    await line_with(tmp_path / "web.log", "ready", process)
    await produce(broker.bootstrap_servers, f"{topic_prefix}messages", messages(30, "hello"))
    async with Outcomes(broker.bootstrap_servers, f"{topic_prefix}verdicts") as outcomes:
        await outcomes.until(30, 120)

    # A commit that comes late is a reason for a moment.
    await wait_until(lambda: _ask(port, "/readyz") == (200, b'{"ready":true,"reasons":[]}'), what="/readyz")
    assert b"rsafe_verdicts_total{" in (await _answer(port, "/metrics"))[1]

    process.send_signal(signal.SIGINT)

    assert await asyncio.to_thread(process.wait, 40) == 0
