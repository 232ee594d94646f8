"""Questions through a judge, formats, the probe, and result folders."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.support.evaluating import answer, question_of, row
from tests.support.fake_engine import Script
from tests.support.judges import FailingJudge
from tests.support.probing import probed
from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, tiny_tokens
from worker.errors import EngineAborted, EngineDead
from worker.judge.judgement import Judgement
from worker.judge.parse import Reading
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.records import Message
from worker.train.data.labels import TOXICITY
from worker.train.evaluation import formats
from worker.train.evaluation.cases import effective, message_of
from worker.train.evaluation.judging import (
    Clock,
    answers,
    bounded,
    decode_lines,
    encode_lines,
    judge_all,
    judge_one,
    spread,
)
from worker.train.evaluation.probe import Note, noting
from worker.train.policies.wordings import CONCEPTS

TOX = CONCEPTS[TOXICITY].ids[0]


class CountingJudge(ScriptedJudge):
    """Counts how many it judges at once."""

    def __init__(self) -> None:
        """None yet."""
        super().__init__()
        self.now = self.most = 0

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Let others in while it judges."""
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return await super().judge(message, policy, priority=priority)


async def test_answers_stand_in_order_and_few_run_at_once() -> None:
    """Whatever ends first; never more than allowed; progress ends at the total."""
    judge, heard = CountingJudge(), []
    questions = [question_of(row(f"[unsafe:{TOX}]" if n % 3 else "hello", n)) for n in range(20)]

    found = await judge_all(judge, questions, 4, lambda done, total: heard.append((done, total)))

    assert [one.asked for one in found] == questions
    assert [one.answered.label for one in found] == ["unsafe" if n % 3 else "safe" for n in range(20)]
    assert judge.most == 4
    assert heard[-1] == (20, 20)


async def test_an_answer_keeps_no_text() -> None:
    """What result folders keep is ids, labels and numbers; it comes back as it was."""
    question = question_of(row(f"secret words [unsafe:{TOX}]", 1, known={TOXICITY: True}))
    found = answers([await judge_one(ScriptedJudge(), question)])

    raw = encode_lines(found)

    assert b"secret" not in raw
    assert decode_lines(raw) == found
    assert (found[0].cited, found[0].right_ids, found[0].is_right) == ((TOX,), (TOX,), True)
    with pytest.raises(msgspec.DecodeError):
        decode_lines(b"{}\n")


async def test_cut_short_is_judged_again() -> None:
    """Twice aborted, then answered; aborted for ever, raised. A dead engine ends the run."""
    question = question_of(row("[abort] hello"))

    assert (await judge_one(FailingJudge(aborts=2), question)).answered.label == "safe"
    with pytest.raises(EngineAborted):
        await judge_one(FailingJudge(aborts=3), question)
    with pytest.raises(EngineDead):
        await judge_all(FailingJudge(), [question_of(row("[dead]", n)) for n in range(5)], 2)


async def test_nothing_to_do() -> None:
    """No items, no work."""
    assert await bounded([], judge_one, 4) == []  # type: ignore[arg-type]


def test_spread_keeps_every_part() -> None:
    """Even steps; all of them where there are few."""
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread([1, 2], 5) == [1, 2]


def test_the_clock_says_the_end() -> None:
    """Not every step, but always the last one."""
    said: list[str] = []
    clock = Clock(said.append, "rows", every_s=1000)

    for done in range(1, 4):
        clock(done, 3)

    assert len(said) == 1
    assert said[0].startswith("rows: 3 of 3, ")


def test_the_clock_tells_the_rate_since_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of an earlier try are there at once; the pace of new ones is what somebody waits by."""
    said: list[str] = []
    now_s = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr("worker.train.evaluation.judging.time.monotonic", lambda: next(now_s))
    clock = Clock(said.append, "rows", every_s=5)

    clock(1000, 1050)
    clock(1050, 1050)

    assert said == ["rows: 1000 of 1050, 100.0 a second", "rows: 1050 of 1050, 5.0 a second"]


def test_formats_by_hand() -> None:
    """One free call in four has no verdict, one disagrees."""
    judged = [Judgement(status="judged", model_label=word) for word in ("safe", "unsafe", "safe", "safe")]
    free = [
        Reading(status="judged", model_label="safe"),
        Reading(status="contradictory", model_label="unsafe"),
        Reading(status="judged", model_label="unsafe"),
        Reading(status="truncated"),
    ]

    found = formats.free_format(free, judged)

    assert found is not None
    assert (found.rows, found.unparsed, found.agreement) == (4, 0.25, 0.5)
    assert found.agreement_parsed == pytest.approx(2 / 3)
    assert found.statuses == {"contradictory": 1, "judged": 2, "truncated": 1}
    assert formats.free_format([], []) is None


def test_repeats_by_hand() -> None:
    """One of two labels flips; order does not matter."""
    first = [answer(0, unsafe=True, score=0.51), answer(1, unsafe=True, score=0.9)]
    second = [answer(1, unsafe=True, score=0.9), answer(0, unsafe=True, score=0.49)]

    found = formats.repeated(first, second)

    assert found is not None
    assert (found.rows, found.flips) == (2, 0.5)
    assert found.max_score_change == pytest.approx(0.02)
    assert formats.repeated([], []) is None
    assert formats.unparsed_as_served([*first, answer(3, unsafe=True, status="unparseable")]) == 1


@pytest.mark.parametrize("template", [DEMO_TEMPLATE, CHAT_TEMPLATE], ids=["demo", "chat"])
async def test_a_forced_reasoning_stands_before_the_verdict(tmp_path: Path, template: Path) -> None:
    """The engine is never asked to reason; the verdict's prompt holds the trace; serving judges the result."""
    judge, engine = await probed(tmp_path, Script(answer="unsafe} U7", p_unsafe=0.9), template)
    question = question_of(row("hello"))

    with noting(Note(forced="another row's words")):
        forced = await judge_one(judge, question)

    assert forced.judgement.reasoning == "another row's words"
    assert all(request.grammar is not None for request in engine.requests)
    asked = engine.requests[0].prompt_ids
    tokens, _ = tiny_tokens(template)
    assert "another row's words" in tokens.decode(asked)
    assert judge.engine_facts == engine.facts


async def test_without_a_note_nothing_changes(tmp_path: Path) -> None:
    """The probe is transparent: same requests, same judgement as without it."""
    script = Script(reasoning="U7 not met; so safe.", p_unsafe=0.1)
    judge, engine = await probed(tmp_path, script)
    question = question_of(row("hello"))

    found = await judge_one(judge, question)

    assert (found.judgement.reasoning, found.answered.label) == (script.reasoning, "safe")
    assert [request.grammar is None for request in engine.requests] == [True, False]
    assert judge.masks
    judge.check()
    assert judge.probe is not None
    assert judge.probe.quiet_s() == 0
    await judge.stop()
    assert engine.stopped == 1


async def test_a_free_call_asks_the_same_prompt(tmp_path: Path) -> None:
    """Without grammar, with room for the answer, and read by the parser that serves."""
    judge, engine = await probed(tmp_path, Script(reasoning="U7 not met; so safe.", answer="safe}"))
    question = question_of(row("hello"))
    with noting(Note()) as note:
        await judge_one(judge, question)
    assert judge.probe is not None

    reading, text = await judge.probe.free(note, question.policy.panels[0])

    assert (reading.status, reading.model_label) == ("judged", "safe")
    assert text.startswith("U7 not met; so safe.")
    reasoned, free = engine.requests[0], engine.requests[-1]
    assert (free.prompt_ids, free.grammar, free.copied) == (reasoned.prompt_ids, None, None)
    assert reasoned.copied is not None
    assert free.max_tokens > reasoned.max_tokens
    with pytest.raises(ValueError, match="only a judgement with reasoning"):
        await judge.probe.free(Note(), question.policy.panels[0])


async def test_notes_belong_to_their_own_task(tmp_path: Path) -> None:
    """Many at once: each judgement has the trace that was put into it."""
    judge, _ = await probed(tmp_path, Script(answer="safe}"))

    async def one(number: int) -> str | None:
        with noting(Note(forced=f"trace {number}")):
            return (await judge_one(judge, question_of(row("hello", number)))).judgement.reasoning

    assert await bounded(range(8), one, 8) == [f"trace {number}" for number in range(8)]


def test_a_wording_becomes_one_call() -> None:
    """One panel, whatever stands in it, and the reasoning that makes the score."""
    panel = question_of(row("hello")).policy.panels[0]

    assert effective(panel, "direct").panels == (panel,)
    assert effective(panel, "direct").judging.reasoning == "never"
    assert effective(panel, "trace").judging.reasoning == "always"
    assert message_of(row("hello", 3)).message_id == "made:3"
