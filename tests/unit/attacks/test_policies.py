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
from worker.attacks.policies import hostile_policies
from worker.attacks.run import floor_policy, under_hostile_policies
from worker.config import Settings
from worker.errors import PolicyInvalid
from worker.judge.judge import RsafeJudge
from worker.policy.accept import Setting, check
from worker.policy.combine import combine
from worker.policy.model import EffectivePolicy
from worker.policy.scope import Scope
from worker.records import Message, Policy

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


async def test_a_silent_floor_leaves_two_things_to_tenants(rig: tuple[RsafeJudge, FakeEngine]) -> None:
    """Known and stated: what a floor leaves out, tenants may say: reasoning and languages.

    A platform that wants them out of reach says them in its floor; then the strictest counts. What was
    not judged is reviewed at least, whatever a tenant says: a floor's silence means review.
    """
    judge, engine = rig
    silent = policy(category("U7", "Hate"))
    loose = policy(category("OWN", "Own"), reasoning="never", languages=("tlh",), on_failure={FAILED: "allow"})
    with pytest.raises(PolicyInvalid, match="on_failure"):
        check(loose, Scope("hostile"), Setting(floor=silent))
    open_floor, stated = of("hostile", loose, silent), of("hostile", loose, FLOOR)
    engine.requests.clear()
    await judge.judge(said_by("hostile"), open_floor)

    assert [request.grammar is not None for request in engine.requests] == [True, True]
    assert (open_floor.judging.reasoning, open_floor.on_failure(FAILED)) == ("never", "review")
    assert open_floor.judging.languages == stated.judging.languages == ("tlh",)
    assert (stated.judging.reasoning, stated.on_failure(FAILED)) == ("always", "review")


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
