"""Models that are asked for each category apart: prompts, scores of their own, and what cannot matter any more."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from msgspec import UNSET, structs

from tests.support.fake_engine import FakeEngine, Script
from tests.support.judging import category, floor_and_own, message, policy, prose_alone
from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, save_tokenizer, tiny_tokens
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.judge import asking
from worker.judge.evidence import MAX_SPANS
from worker.judge.judge import CALLS_AT_ONCE, RsafeJudge
from worker.judge.template import Template, read_template
from worker.judge.verdict import decide
from worker.policy.model import EffectivePolicy

APART: Final = read_template(DEMO_TEMPLATE)
TOGETHER: Final = structs.replace(APART, categories="together")
SCORES: Final = {"U7": 0.7, "U8": 0.2, "SPAM": 0.9}
THREE: Final = tuple(category(name) for name in SCORES)


def script_of(text: str) -> Script:
    """Answer as the one category in a prompt says; what its name asks for is quoted, what the message names is cut."""
    name = next((one for one in SCORES if f"Name of {one}" in text), "other")
    score = SCORES.get(name, 0.1)
    quoted = re.search(r"quotes (\w+)", text)
    return Script(
        reasoning=f'{name} "{quoted[1]}"' if quoted else f"{name} hm",
        ends_by="" if f"cut {name}" in text else "<|verdict|>",
        answer=f"unsafe}} {name}" if score >= 0.5 else "safe}",
        p_unsafe=score,
    )


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[tuple[RsafeJudge, FakeEngine]]:
    """Start a judge that asks apart, on a fake engine."""
    save_tokenizer(tmp_path, apart=True)
    engine = FakeEngine(tiny_tokens()[0], script_of)
    judge = RsafeJudge(Settings(model=str(tmp_path)), lambda _settings, _folder: engine)
    await judge.start()
    engine.requests.clear()
    yield judge, engine
    await judge.stop()


def test_the_small_model_is_asked_apart() -> None:
    """The template that training and serving of small models share says so; the one for large models says nothing."""
    assert APART.categories == "apart"
    assert read_template(CHAT_TEMPLATE).categories is UNSET


@pytest.mark.parametrize("template", [TOGETHER, structs.replace(APART, categories=UNSET)], ids=["together", "unset"])
def test_together_the_calls_are_the_policys(template: Template) -> None:
    """Nothing changes for a model that says so, or says nothing."""
    assert asking.calls(template, floor_and_own(), None) == floor_and_own().calls


def test_apart_each_category_has_a_call() -> None:
    """In the policy's order, the floor's and the others, each asked as the call that it comes from."""
    floor = (category("U7", "platform"), category("U8", "platform"))
    effective = policy(*floor, category("SPAM"), category("ADS"), reasoning="never")
    calls = asking.calls(APART, effective, None)

    assert [[one.id for one in call.panel.categories] for call in calls] == [["U7"], ["U8"], ["SPAM"], ["ADS"]]
    assert {call.asking.reasoning for call in calls} == {"never"}


def test_what_has_prose_stays_whole() -> None:
    """Prose may allow or forbid something of any category; the floor without prose is asked apart all the same."""
    floor = (category("U7", "platform"), category("U8", "platform"))
    effective = policy(*floor, category("SPAM"), category("ADS"), prose="We sell garden tools.")
    calls = asking.calls(APART, effective, None)

    assert [[one.id for one in call.panel.categories] for call in calls] == [["U7"], ["U8"], ["SPAM", "ADS"]]
    assert [len(call.panel.prose) for call in calls] == [0, 0, 1]
    assert asking.calls(APART, prose_alone("Be kind."), None) == prose_alone("Be kind.").calls


def test_the_same_id_in_floor_and_channel() -> None:
    """Two categories are two, whatever their ids."""
    effective = policy(category("U7", "platform"), category("U7", "shop"), floor_mode="joined")
    calls = asking.calls(APART, effective, None)

    assert [[(one.scope, one.id) for one in call.panel.categories] for call in calls] == [
        [("platform", "U7")],
        [("shop", "U7")],
    ]


def test_languages_are_heeded() -> None:
    """No call for a message in a language that the policy does not take."""
    effective = policy(*THREE, languages=("de",))
    assert asking.calls(APART, effective, "en") == ()
    assert len(asking.calls(APART, effective, "de-AT")) == len(THREE)


async def test_each_category_has_its_own_score(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """A threshold is compared with its category's score, and not with that of a whole policy."""
    judge, engine = rig
    strict = policy(*(structs.replace(one, threshold=0.8) for one in THREE))
    found = await judge.judge(message("hello"), strict)

    assert [one.score for one in found.findings] == pytest.approx(list(SCORES.values()))
    assert [one.cited for one in found.findings] == [(("shop", "U7"),), (), (("shop", "SPAM"),)]
    assert found.score == found.findings[2].score
    assert found.reasoning == "U7 hm\n\nU8 hm\n\nSPAM hm"
    decision = decide(found, strict)
    assert [(one.id, one.hit) for one in decision.categories] == [("U7", False), ("SPAM", True)]
    assert len(engine.requests) == 2 * len(THREE)


async def test_neither_order_nor_company_matters(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """The prompt of a category is the same, whatever stands beside it."""
    judge, engine = rig
    for size in (1, 2, 3):
        for chosen in itertools.permutations(THREE, size):
            found = decide(await judge.judge(message("hello"), policy(*chosen)), policy(*chosen))
            hits = {one.id for one in found.categories if one.hit}
            assert hits == {one.id for one in chosen if SCORES[one.id] >= 0.5}

    assert len(engine.requests) == 2 * (3 + 6 * 2 + 6 * 3)
    assert len({tuple(request.prompt_ids) for request in engine.requests if request.grammar is None}) == len(THREE)


async def test_admission_counts_every_call(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """A tenant with three categories takes three times of one's share of the engine."""
    judge, _ = rig
    text = message("hello")
    once = judge.estimate_tokens(text)

    def estimate(effective: EffectivePolicy) -> int:
        return judge.estimate_tokens(text, effective)

    assert estimate(policy(THREE[0])) == once
    assert estimate(policy(*THREE)) == 3 * once
    assert estimate(policy(*THREE, languages=("de",))) == 3 * once
    assert judge.estimate_tokens(message("hello", language="en"), policy(*THREE, languages=("de",))) == once


async def test_many_categories_take_turns(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """However many a policy has, a message has only a few calls in the engine at once."""
    judge, engine = rig
    many = policy(*(category(f"C{number}") for number in range(3 * CALLS_AT_ONCE)))
    engine.held.clear()
    task = asyncio.ensure_future(judge.judge(message("hello"), many))
    await wait_until(lambda: len(engine.requests) == CALLS_AT_ONCE)
    for _ in range(20):
        await asyncio.sleep(0)

    assert len(engine.requests) == CALLS_AT_ONCE
    engine.held.set()
    assert (await task).status == "judged"
    assert len(engine.requests) == 2 * 3 * CALLS_AT_ONCE


async def test_one_failure_of_several_is_no_verdict(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """One category that could not be judged: no label, and what was found beside it is kept."""
    judge, _ = rig
    found = await judge.judge(message("cut U8"), policy(*THREE))

    assert (found.status, decide(found, policy(*THREE)).label) == ("truncated", None)
    assert found.cited == (("shop", "U7"), ("shop", "SPAM"))


async def test_evidence_of_what_was_found_comes_first(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """Places in the message are bounded: those of the category that is hit are not crowded out by the others."""
    judge, _ = rig
    words = [f"word{number}" for number in range(MAX_SPANS + 2)]
    text = " ".join((*words, "prize"))
    others = [category(f"C{number}", name=f"quotes {word}") for number, word in enumerate(words)]
    found = await judge.judge(message(text), policy(*others, category("SPAM", name="Name of SPAM quotes prize")))

    assert len(found.spans) == MAX_SPANS
    assert found.spans[-1].start == text.index("prize")
