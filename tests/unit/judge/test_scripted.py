"""The judge that answers by rule."""

from __future__ import annotations

import asyncio
import time
from typing import get_args

import pytest

from tests.support.judging import message, policy
from worker.judge.judgement import Judge
from worker.judge.scripted import ScriptedJudge
from worker.records import Status


async def test_a_text_without_tags_is_safe() -> None:
    """Anything else is safe, with score 0.0 before any reasoning."""
    judge: Judge = ScriptedJudge()
    await judge.start()
    judge.check()
    judgement = await judge.judge(message("hello [world] [unsafe] [other:U7]"), policy())

    assert (judgement.status, judgement.model_label, judgement.score) == ("judged", "safe", 0.0)
    assert judgement.score_method == "direct"
    assert judgement.reasoning == "No rule fired."

    await judge.stop()
    await judge.stop()


async def test_a_tag_cites_a_category_of_the_policy_in_force() -> None:
    """A category that the policy lacks is not cited; several tags cite several."""
    judge = ScriptedJudge()
    several = await judge.judge(message("x [unsafe:U8] y [unsafe:U7] [unsafe:U99]"), policy())
    unknown = await judge.judge(message("[unsafe:U99]"), policy())

    assert (several.model_label, several.score) == ("unsafe", 1.0)
    assert several.cited == (("shop", "U7"), ("shop", "U8"))
    assert several.reasoning == "Rule [unsafe:U7][unsafe:U8] fired."
    assert (unknown.model_label, unknown.score, unknown.cited) == ("safe", 0.0, ())


@pytest.mark.parametrize("status", [status for status in get_args(Status) if status != "judged"])
async def test_a_message_can_end_with_any_status(status: Status) -> None:
    """A failure has no score and no label, whatever else the text says."""
    judgement = await ScriptedJudge().judge(message(f"[unsafe:U7] [fail:{status}]"), policy())

    assert (judgement.status, judgement.score, judgement.model_label) == (status, None, None)


@pytest.mark.parametrize("text", ["[fail:judged]", "[fail:nonsense]", "[sleep:soon]", "[sleep:-5]", "[unsafe:]"])
async def test_tags_that_say_nothing_are_text(text: str) -> None:
    """What is no rule changes nothing."""
    assert (await ScriptedJudge().judge(message(text), policy())).score == 0.0


async def test_sleep_is_slept_once_and_combines() -> None:
    """The first sleep counts; the answer is that of the other tags."""
    began_s = time.perf_counter()
    judgement = await ScriptedJudge().judge(message("[sleep:50] [unsafe:U7] [sleep:60000]"), policy())

    assert judgement.score == 1.0
    assert 0.04 < time.perf_counter() - began_s < 30
    assert judgement.engine_ms >= 40


async def test_a_cancelled_sleep_ends() -> None:
    """Cancelling a judgement ends it at once."""
    task = asyncio.create_task(ScriptedJudge().judge(message("[sleep:60000]"), policy()))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_estimate_follows_the_text() -> None:
    """A longer text is dearer, and nothing is free."""
    judge = ScriptedJudge()

    assert 1 <= judge.estimate_tokens(message("")) < judge.estimate_tokens(message("x" * 1000))
    assert judge.model.name == "scripted"
