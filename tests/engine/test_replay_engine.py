"""A replay with the real engine and the small model: labels come again, and a category less flips what it should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import KafkaAddress
from tests.support.dataplane import count, make_topics, read_all, settings_for, verdict_of
from tests.support.replaying import AS_JUDGED, judged_live, originals, outcomes, replayed
from worker.audit.replay.originals import control_id
from worker.audit.replay.report_words import attribution
from worker.config import Settings
from worker.demo.samples import policy_bytes
from worker.judge.judge import RsafeJudge
from worker.policy.document import fields_of
from worker.replay_records import ReplayPolicies

pytestmark = [pytest.mark.broker, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1800)]

_COUNT: Final = 150
_TENANTS: Final = ("lumen-games", "northbridge", "bazaar")
_TEXTS: Final = (
    "good game everyone, see you tomorrow",
    "you are such an idiot, uninstall the game",
    "CONGRATS you have won a free prize, call now to claim",
    "does anyone know when the next season starts?",
    "what the hell was that, this damn lag again",
    "is the blue bicycle still for sale?",
    "I hate you all, get lost",
)


class _Warm(RsafeJudge):
    """Starts once, however many runs ask for it."""

    async def start(self) -> None:
        """Start, unless it runs already."""
        if self._engine is None:
            await super().start()


@pytest_asyncio.fixture
async def judge(broker: KafkaAddress, topic_prefix: str) -> AsyncIterator[RsafeJudge]:
    """The small model on an engine of its own."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, request_timeout_s=600.0)
    running = _Warm(settings)
    await running.start()
    yield running
    await running.stop()


def _message(number: int) -> bytes:
    plain = {
        "tenant_id": _TENANTS[number % len(_TENANTS)],
        "message_id": f"m{number}",
        "text": f"{_TEXTS[number % len(_TEXTS)]} ({number})",
    }
    return msgspec.json.encode(plain)


def _policy(scope: str) -> dict[str, Any]:
    """Return a policy of the demonstration, to be in force at once: golden cases would be judged first."""
    return {name: value for name, value in fields_of(policy_bytes(scope)).items() if name != "golden"}


def _without(scope: str, category: str) -> ReplayPolicies:
    """Return a what-if in which a scope's policy lacks one category."""
    fields = _policy(scope)
    fields["categories"] = [item for item in fields["categories"] if item["id"] != category]
    return ReplayPolicies(mode="file", history_end=0, scope=scope, policy=msgspec.json.encode(fields).decode())


def _hits(verdict: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["scope"], item["id"]) for item in verdict["categories"] if item["hit"]}


def _label(before: dict[tuple[int, int], dict[str, Any]], one: dict[str, Any]) -> str | None:
    label: str | None = before[one["source"]["partition"], one["source"]["offset"]]["label"]
    return label


async def _unsteady(settings: Settings, run_id: str, before: dict[tuple[int, int], dict[str, Any]]) -> set[str]:
    """Return the messages whose label is not always the same under one policy: live, replayed, and in its control."""
    found = [verdict_of(record) for record in await read_all(settings, "replay-verdicts")]
    again = [one for one in found if one["run_id"] in {run_id, control_id(run_id)}]
    return {one["message_id"] for one in again if one["label"] != _label(before, one)}


async def test_replays_of_real_verdicts(
    broker: KafkaAddress, topic_prefix: str, judge: RsafeJudge, capsys: pytest.CaptureFixture[str]
) -> None:
    """As judged, flips are what the A/A control explains; without a category exactly what hit it alone becomes safe."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix, window=32, session_timeout_s=30.0)
    await make_topics(settings)
    policies = [(scope, msgspec.json.encode(_policy(scope))) for scope in ("platform", *_TENANTS)]
    await judged_live(settings, policies, map(_message, range(_COUNT)), judge)
    before = await originals(settings)

    first, again = await replayed(settings, AS_JUDGED, judge=judge, control_share=1.0)

    comparison = again.comparison
    assert comparison.total.messages == comparison.same_policy.messages == _COUNT
    assert comparison.control.pairs > _COUNT // 2
    assert comparison.explained is True
    assert comparison.cost.reasoning_tokens > 0

    own = [
        (item["scope"], item["id"])
        for one in before.values()
        for item in one["categories"]
        if item["hit"] and item["scope"] != "platform"
    ]
    assert own, "the small model found nothing of a tenant's own, so there is nothing to take away"
    scope, category = max(set(own), key=own.count)
    run, trial = await replayed(settings, _without(scope, category), judge=judge, control_share=0.7)

    after = await outcomes(settings, run)
    assert {one["tenant_id"] for one in after} == set(_TENANTS)
    assert not any(item["id"] == category and item["scope"] == scope for one in after for item in one["categories"])
    key = f"{scope}:{category}"
    lost = next(group for group in trial.comparison.categories if group.key == key)
    assert (lost.lost, lost.after) == (own.count((scope, category)), 0)
    # It was its policy's only category: what is left is the floor, whose call is the same as before. So what hit
    # it alone becomes safe, and nothing else changes but what does so by itself, as judged once more.
    assert [item["id"] for item in _policy(scope)["categories"]] == [category]
    should = {one["message_id"] for one in before.values() if _hits(one) == {(scope, category)}}
    flipped = {one["message_id"] for one in after if one["label"] != _label(before, one)}
    assert should
    assert should ^ flipped <= await _unsteady(settings, first.run_id, before)
    assert await count(settings, "verdicts") == _COUNT
    with capsys.disabled():
        total = comparison.total
        print(f"\nas judged, {_COUNT} messages: {total.flips} flips of {total.judged}; {attribution(comparison)}")
        print(f"score shift of the control: at most {comparison.control.score_shift_max}")
        flips = trial.comparison.total.flips
        print(f"without {key}: lost {lost.lost} of {lost.before}, {flips} flips; {attribution(trial.comparison)}")
