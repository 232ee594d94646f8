"""A hostile tenant's policy reaches its own panel and nothing else: not other tenants, not the floor."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from tests.support.fake_engine import FakeEngine, Script
from tests.support.policies import accepted, category, policy
from tests.support.tiny_model import DEMO_TEMPLATE, save_tokenizer, tiny_tokens
from worker.attacks.cases import generate
from worker.attacks.floor import under_hostile_policies
from worker.attacks.policies import hostile_policies
from worker.attacks.run import floor_policy
from worker.config import Settings
from worker.errors import PolicyInvalid
from worker.judge.judge import RsafeJudge
from worker.judge.judgement import Finding
from worker.judge.verdict import decide
from worker.policy.accept import Setting, check
from worker.policy.combine import combine
from worker.policy.model import EffectivePolicy
from worker.policy.scope import Scope
from worker.records import Category, FloorMode, Message, Policy

TEXT: Final = "we meet at the bridge"
#: A floor that says itself what it wants, so that no tenant can say it in its place.
FLOOR: Final[Policy] = structs.replace(floor_policy(), reasoning="always")
FAILED: Final = "language_unsupported"
CALM: Final = policy(category("OWN", "Own"), text="We sell garden tools.")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[tuple[RsafeJudge, FakeEngine]]:
    """Start a judge on a fake engine that remembers what it is asked."""
    save_tokenizer(tmp_path, DEMO_TEMPLATE)
    engine = FakeEngine(tiny_tokens()[0], lambda _prompt: Script(names=" OWN"), window_tokens=100_000)
    judge = RsafeJudge(Settings(model=str(tmp_path)), lambda _settings, _folder: engine)
    await judge.start()
    yield judge, engine
    await judge.stop()


def said_by(tenant: str) -> Message:
    """Return a message of a tenant."""
    return Message(tenant_id=tenant, message_id="m", text=TEXT)


def of(tenant: str, record: Policy, floor: Policy = FLOOR) -> EffectivePolicy:
    """Return what a tenant's messages are judged under."""
    effective = combine(accepted("platform", floor), accepted(tenant, record), None)
    assert effective is not None
    return effective


def in_a_channel() -> Iterator[EffectivePolicy]:
    """Yield what a channel's messages are judged under, for each hostile record of the channel itself."""
    for record in hostile_policies():
        with contextlib.suppress(PolicyInvalid):
            check(record, Scope("calm", "lobby"), Setting(floor=FLOOR))
            parts = (accepted("platform", FLOOR), accepted("calm", CALM), accepted("calm/lobby", record))
            effective = combine(*parts)
            assert effective is not None
            yield effective


def digest(prompts: Sequence[Sequence[int]]) -> str:
    """Return a digest over token ids."""
    return hashlib.sha256(repr([list(ids) for ids in prompts]).encode()).hexdigest()


def test_at_least_fifty_hostile_policies_come_into_force() -> None:
    """The others are refused for naming, loosening or redefining a category of the floor."""
    refused = []
    for record in hostile_policies():
        try:
            check(record, Scope("hostile"), Setting(floor=FLOOR))
        except PolicyInvalid as error:
            refused.append(error.field)

    assert len(hostile_policies()) - len(refused) >= 50
    assert len(list(under_hostile_policies(FLOOR))) == len(hostile_policies()) - len(refused)
    assert refused == [
        *("categories[1].action", "categories[1].threshold", "categories[1].severity", "categories[1].name"),
        "on_failure.truncated",
    ]


async def test_no_policy_changes_another_tenants_prompts(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """The same judge serves both; the rival's prompts keep their digest whatever stood before them."""
    judge, _ = rig
    rival = of("rival", CALM)
    before = (await judge.judge(said_by("rival"), rival)).prompt_digest
    own = set()

    for hostile in under_hostile_policies(FLOOR):
        own.add((await judge.judge(said_by("hostile"), hostile)).prompt_digest)
        assert (await judge.judge(said_by("rival"), rival)).prompt_digest == before

    assert before not in own
    assert len(own) >= 50


async def test_no_policy_changes_the_floors_calls(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """Prompts, grammars and budgets of the floor's calls are the same under every policy of a tenant.

    One that lowers the floor's threshold may have the categories asked for besides, which is stricter.
    """
    judge, engine = rig
    seen: set[tuple[str, ...]] = set()

    for effective in (of("calm", CALM), *under_hostile_policies(FLOOR), *in_a_channel()):
        engine.requests.clear()
        assert len(effective.panels) == 2
        await judge.judge(said_by("hostile"), effective)
        floor = [request for request in engine.requests if request.cache_salt is None][:2]
        seen.add((digest([request.prompt_ids for request in floor]), *(str(request.grammar) for request in floor)))
        assert {request.max_tokens for request in floor} == {48, floor[1].max_tokens}

    assert len(seen) == 1


async def test_a_silent_floor_leaves_nothing_to_tenants(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """Where the floor says nothing of reasoning and languages its own call takes the defaults, not the tenant's word.

    What was not judged is reviewed at least, whatever a tenant says: a floor's silence means review.
    """
    judge, engine = rig
    silent = policy(category("U7", "Hate"))
    loose = policy(category("OWN", "Own"), reasoning="never", languages=("tlh",), on_failure={FAILED: "allow"})
    with pytest.raises(PolicyInvalid, match="on_failure"):
        check(loose, Scope("hostile"), Setting(floor=silent))
    stated = structs.replace(silent, reasoning="always")
    prompts = set()
    for floor in (silent, stated):
        for effective in (of("hostile", loose, floor), of("calm", CALM, floor)):
            engine.requests.clear()
            await judge.judge(said_by("hostile"), effective)
            calls = [request for request in engine.requests if request.cache_salt is None]
            assert [request.grammar is not None for request in calls] == [False, True]
            prompts.add((digest([request.prompt_ids for request in calls]), str(calls[1].grammar)))

    assert len(prompts) == 1
    assert of("hostile", loose, silent).judging.languages == ("tlh",)
    assert of("hostile", loose, silent).on_failure(FAILED) == "review"


@pytest.mark.parametrize("own", [(category("OWN", "Own"),), ()], ids=["a call of its own", "no call of its own"])
@pytest.mark.parametrize("floor_mode", ["separate", "joined"])
async def test_a_language_that_only_the_floor_takes(
    rig: tuple[RsafeJudge, FakeEngine], own: tuple[Category, ...], floor_mode: FloorMode
) -> None:
    """The floor's call is made and its hits act; the message was still not judged under all of its policy."""
    judge, engine = rig
    floor = policy(category("U7", "Hate", action="block"), floor_mode=floor_mode)
    effective = of("hostile", policy(*own, languages=("tlh",), on_failure={FAILED: "allow"}), floor)
    in_english = structs.replace(said_by("hostile"), language="en")
    engine.requests.clear()
    judgement = await judge.judge(in_english, effective)
    unsafe = structs.replace(
        judgement, findings=(Finding(score=1.0, cited=(("platform", "U7"),)),), cited=(("platform", "U7"),)
    )

    assert {request.cache_salt for request in engine.requests} == {
        "hostile" if own and floor_mode == "joined" else None
    }
    assert (judgement.status, decide(judgement, effective).label) == (FAILED, None)
    assert (decide(judgement, effective).action, decide(unsafe, effective).action) == ("review", "block")


async def test_a_language_that_the_floor_does_not_take_asks_nothing(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """Languages of the floor hold for everybody: the tenant's call is not made either."""
    judge, engine = rig
    floor = policy(category("U7", "Hate"), languages=("de",))
    engine.requests.clear()
    judgement = await judge.judge(structs.replace(said_by("calm"), language="en"), of("calm", CALM, floor))

    assert (judgement.status, engine.requests) == (FAILED, [])


async def test_messages_change_neither_policy_nor_grammar(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """Under one policy every attack has the same prompt up to the conversation, and the same grammar."""
    judge, engine = rig
    effective = of("calm", CALM)
    engine.requests.clear()
    cases = [case for case in generate(per_kind=1) if case.message.role == "user"]
    for case in cases:
        await judge.judge(case.message, effective)

    plans = {(request.grammar, request.max_tokens) for request in engine.requests if request.grammar}
    tokens, _ = tiny_tokens()
    turn = {tokens.control_ids["<|user|>"], tokens.control_ids["<|agent|>"]}
    beginnings = {tuple(ids[: next(at for at, one in enumerate(ids) if one in turn)]) for ids in _prompts(engine)}

    assert len(plans) == len(beginnings) == len(effective.panels) == 2


def _prompts(engine: FakeEngine) -> list[list[int]]:
    return [request.prompt_ids for request in engine.requests]
