"""``rsafe run`` with the real engine, killed in the middle: nothing missing, no engine process left behind."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import KafkaAddress
from tests.support import planted
from tests.support.outside import Outcomes, alive, engines_of, environment, produce
from tests.support.processes import line_with, started
from tests.support.waiting import wait_until
from worker.demo.samples import policy_bytes
from worker.topics import create_topics

pytestmark = [pytest.mark.broker, pytest.mark.engine, pytest.mark.timeout(3000)]

#: Enough for three kills in the middle; RSAFE_TEST_MESSAGES asks for more.
_COUNT: Final = int(os.environ.get("RSAFE_TEST_MESSAGES", "900"))
_TEXTS: Final = (
    "good game everyone, see you tomorrow",
    "you are such an idiot, uninstall the game",
    "CONGRATS you have won a free prize, call 09061701461 now to claim",
    "does anyone know when the next season starts?",
    "what the hell was that, this damn lag again",
)


def _messages() -> list[tuple[bytes, bytes]]:
    made = []
    for number in range(_COUNT):
        tenant = ("lumen-games", "northbridge", "bazaar")[number % 3]
        text = f"{_TEXTS[number % len(_TEXTS)]} ({number})"
        value: dict[str, Any] = {"tenant_id": tenant, "message_id": f"m{number}", "text": text}
        value["context"] = [{"role": "user", "text": planted.WORDS}]
        made.append((f"{tenant}/{number % 50}".encode(), json.dumps(value).encode()))
    return made


def knowing_a_secret(pids: list[int]) -> list[int]:
    """Return those processes whose environment holds a planted word."""
    return [pid for pid in pids if planted.found(Path(f"/proc/{pid}/environ").read_bytes())]


async def _until_gone(pids: list[int]) -> None:
    await wait_until(lambda: not alive(pids), 20, what="the engine's end")


async def test_killed_three_times_with_the_real_engine(
    broker: KafkaAddress, topic_prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL three times: one judged verdict for each message, and every engine process dies with its worker."""
    await create_topics(broker.bootstrap_servers, topic_prefix, 8)
    floors = [(scope.encode(), policy_bytes(scope)) for scope in ("platform", "lumen-games", "northbridge", "bazaar")]
    await produce(broker.bootstrap_servers, f"{topic_prefix}policies", floors)
    sent = await produce(broker.bootstrap_servers, f"{topic_prefix}messages", _messages())
    env = environment(broker.bootstrap_servers, topic_prefix, session_timeout_s=10, request_timeout_s=600)
    began_s = time.monotonic()
    async with Outcomes(broker.bootstrap_servers, f"{topic_prefix}verdicts") as outcomes:
        for kill, share in enumerate((0.2, 0.5, 0.8, None)):
            with started("run", log=tmp_path / f"run-{kill}.log", env=env) as process:
                await line_with(tmp_path / f"run-{kill}.log", "ready", process, 600)
                engines = engines_of(process.pid)

                assert engines, "the engine is a process of its own"
                assert knowing_a_secret(engines) == []
                assert knowing_a_secret([process.pid]) == [process.pid], "the worker itself was given one"

                if share is None:
                    await outcomes.until(_COUNT, 900)
                    process.terminate()

                    assert await asyncio.to_thread(process.wait, 40) == 0
                else:
                    await outcomes.until(int(_COUNT * share), 900)
                    process.kill()
                    process.wait()

                    assert len(outcomes.counts) < _COUNT, "the kill came too late to prove anything"

                await _until_gone(engines)
        await outcomes.poll()

    assert set(outcomes.counts) == sent
    assert set(outcomes.counts.values()) == {1}
    assert {record.value["status"] for record in outcomes.records} <= {"judged", "truncated", "contradictory"}
    with capsys.disabled():
        took_s = time.monotonic() - began_s
        print(f"\n{_COUNT} messages, 3 SIGKILLs, real engine: {len(outcomes.counts)} verdicts in {took_s:.0f} s")
