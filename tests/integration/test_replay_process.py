"""``rsafe replay`` as its users meet it: killed, resumed, shared by two processes, printed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import count, make_topics, read_all, settings_for, verdict_of
from tests.support.outside import environment
from tests.support.processes import line_with, started
from tests.support.replaying import U7, judged_live, message, policy
from tests.support.waiting import wait_until
from worker.config import Settings

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.chaos]

_COUNT: Final = 600
#: Slow enough that a kill falls into the middle.
_TEXTS: Final = ("hello [sleep:40]", "[unsafe:U7] hello [sleep:40]")
#: Takes minutes where a partition of these is judged one by one.
_SLOW: Final = "hello [sleep:1000]"


async def _judged(broker: KafkaAddress, topic_prefix: str, texts: Sequence[str]) -> Settings:
    chosen = settings_for(broker.bootstrap_servers, topic_prefix, window=200)
    await make_topics(chosen)
    sent = [message(number, texts[number % len(texts)]) for number in range(_COUNT)]
    await judged_live(chosen, [("platform", policy(U7))], sent)
    return chosen


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings of a log with live verdicts."""
    return await _judged(broker, topic_prefix, _TEXTS)


def _environment(settings: Settings, **more: object) -> dict[str, str]:
    return environment(
        settings.bootstrap_servers,
        settings.topic_prefix,
        engine="scripted",
        session_timeout_s=6,
        rebalance_timeout_s=10,
        kafka_timeout_s=10,
        **more,
    )


async def _until_ended(process: subprocess.Popen[bytes]) -> None:
    await wait_until(lambda: process.poll() is not None, 300, what="the end of the process")


async def _run_id(log: Path, process: subprocess.Popen[bytes]) -> str:
    line = await line_with(log.with_suffix(".err"), "replay r", process, 120)
    return line.split()[1].rstrip(";")


async def _published(settings: Settings) -> Counter[tuple[str, int, int]]:
    found = [verdict_of(record) for record in await read_all(settings, "replay-verdicts")]
    return Counter((one["run_id"], one["source"]["partition"], one["source"]["offset"]) for one in found)


async def _until(settings: Settings, wanted: int) -> None:
    async def there() -> bool:
        return await count(settings, "replay-verdicts") >= wanted

    await wait_until(there, what=f"{wanted} outcomes")


async def test_killed_twice_it_ends_with_each_offset_once(settings: Settings, tmp_path: Path) -> None:
    """SIGKILL twice in the middle, joined again each time: each offset once, and nothing in verdicts."""
    env = _environment(settings)
    arguments = ["replay", "--control", "0.2", "--json"]
    # So few at once that the judging takes far longer than it takes to look and to kill.
    slowly = ("--max-in-flight", "2")
    for number, share in enumerate((0.2, 0.5)):
        log = tmp_path / f"replay-{number}.log"
        with started(*arguments, *slowly, log=log, env=env) as process:
            run_id = await _run_id(log, process)
            await _until(settings, int(share * _COUNT))
            process.kill()
            process.wait()
        assert len(await _published(settings)) < _COUNT, "the kill came too late to prove anything"
        arguments = ["replay", "--join", run_id, "--json"]
    log = tmp_path / "last.log"
    with started(*arguments, log=log, env=env) as process:
        await _until_ended(process)
        assert process.returncode == 0, log.with_suffix(".err").read_text()

    published = await _published(settings)
    control = f"{run_id}~control"
    mine = {key[1:] for key in published if key[0] == run_id}
    again = {key[1:] for key in published if key[0] == control}
    assert set(published.values()) == {1}
    assert {key[0] for key in published} == {run_id, control}
    assert mine == {(record.partition, record.offset) for record in await read_all(settings, "messages")}
    assert again < mine
    assert 0.1 * _COUNT < len(again) < 0.3 * _COUNT
    assert await count(settings, "verdicts") == _COUNT
    report = json.loads(log.read_text())
    assert report["run"]["counts"]["judged"] == report["comparison"]["total"]["messages"] == _COUNT
    assert report["run"]["counts"]["control"] == report["comparison"]["control"]["pairs"] == len(again)
    assert (report["doubled"], report["comparison"]["total"]["to_safe"]) == (0, 0)


async def test_two_processes_share_a_run(broker: KafkaAddress, topic_prefix: str, tmp_path: Path) -> None:
    """A second process joins in the middle and takes partitions over: both end well, each offset once.

    Alone the first one, which judges one at a time, would take minutes over partition 1, however long the second takes
    to start. Kafka's turns go by name, so the second one gets it, and judges all of it at once.
    """
    settings = await _judged(broker, topic_prefix, (_TEXTS[0], _SLOW, _TEXTS[1], _TEXTS[1]))
    one, two = (_environment(settings, instance_id=name) for name in ("first", "second"))
    with ExitStack() as stack:
        log = tmp_path / "first.log"
        first = stack.enter_context(started("replay", "--control", "0", "--max-in-flight", "1", log=log, env=one))
        run_id = await _run_id(log, first)
        await _until(settings, 6)
        join = ("replay", "--join", run_id, "--max-in-flight", str(_COUNT))
        second = stack.enter_context(started(*join, log=tmp_path / "second.log", env=two))
        for process in (first, second):
            await _until_ended(process)
            assert process.returncode == 0, log.with_suffix(".err").read_text()

    published = await _published(settings)
    assert set(published.values()) == {1}
    assert len(published) == _COUNT
    assert "are this worker's" in (tmp_path / "second.err").read_text()
    assert "partition 3 is done" in log.with_suffix(".err").read_text() + (tmp_path / "second.err").read_text()
    assert run_id in log.read_text()
    assert run_id in (tmp_path / "second.log").read_text()


@pytest.mark.long
async def test_one_that_stood_still_doubles_nothing(settings: Settings, tmp_path: Path) -> None:
    """SIGSTOP beyond the session: another process takes over and ends the run; the first wakes up and agrees."""
    env = _environment(settings)
    with ExitStack() as stack:
        log = tmp_path / "first.log"
        first = stack.enter_context(started("replay", "--control", "0", "--max-in-flight", "32", log=log, env=env))
        run_id = await _run_id(log, first)
        await _until(settings, _COUNT // 5)
        first.send_signal(signal.SIGSTOP)
        second = stack.enter_context(started("replay", "--join", run_id, log=tmp_path / "second.log", env=env))
        await _until_ended(second)
        first.send_signal(signal.SIGCONT)
        await _until_ended(first)

        assert (first.returncode, second.returncode) == (0, 0), log.with_suffix(".err").read_text()

    published = await _published(settings)
    assert len(published) == _COUNT
    assert set(published.values()) == {1}


async def test_a_stopped_run_says_how_to_go_on(settings: Settings, tmp_path: Path) -> None:
    """SIGTERM ends it with 1 and one line that names the command to go on; the report of what there is can be had."""
    env = _environment(settings)
    log, page = tmp_path / "stopped.log", tmp_path / "report.html"
    with started("replay", "--control", "0", "--max-in-flight", "1", log=log, env=env) as process:
        run_id = await _run_id(log, process)
        await _until(settings, 10)
        process.terminate()
        await _until_ended(process)
        assert process.returncode == 1
    assert f"rsafe: stopped; go on with 'rsafe replay --join {run_id}'" in log.with_suffix(".err").read_text()

    labels = tmp_path / "labels.csv"
    rows = [f"m{number},{('safe', 'unsafe')[number % 2]}" for number in range(_COUNT)]
    labels.write_text("\n".join(["message_id,label", *rows]))
    arguments = ["replay", "--report", run_id, "--json", "--html", str(page), "--labels", str(labels)]
    with started(*arguments, log=log, env=env) as process:
        await _until_ended(process)
        assert process.returncode == 0, log.with_suffix(".err").read_text()

    report = json.loads(log.read_text())
    assert report["run"]["finished"] is False
    assert 10 <= report["comparison"]["total"]["messages"] < _COUNT
    assert report["comparison"]["quality"]["after"]["precision"]["value"] == 1.0
    assert run_id in page.read_text()
