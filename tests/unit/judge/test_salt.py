"""Whose prompts share cached prefixes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fake_engine import FakeEngine, Script
from tests.support.judging import category, message, panel, policy
from tests.support.tiny_model import save_tokenizer, tiny_tokens
from worker.config import Settings
from worker.judge.judge import RsafeJudge
from worker.judge.salt import Salting, cache_salt
from worker.policy.model import Panel, Prose
from worker.records import FloorMode

FLOOR = panel(category("U7", "platform"))
OWN = panel(category("SPAM", "acme/lobby"))
WORDS = Panel(categories=FLOOR.categories, prose=(Prose(scope="acme", text="Be kind."),))


@pytest.mark.parametrize(
    "salting, floor, own, words",
    [("private", None, "acme", "acme"), ("tenant", "acme", "acme", "acme"), ("none", None, None, None)],
)
def test_by_setting(salting: Salting, floor: str | None, own: str | None, words: str | None) -> None:
    """A single word of the tenant, category or prose, makes a panel private."""
    assert cache_salt(salting, FLOOR, "acme") == floor
    assert cache_salt(salting, OWN, "acme") == own
    assert cache_salt(salting, WORDS, "acme") == words


@pytest.mark.parametrize(
    "salting, expected",
    [("private", {None, "shop"}), ("tenant", {"shop"}), ("none", {None})],
)
async def test_every_call_of_a_message_has_it(salting: Salting, expected: set[str | None], tmp_path: Path) -> None:
    """Reasoning, answer and the question for ids, in both panels; the floor's prefix stays shared by default."""
    save_tokenizer(tmp_path)
    engine = FakeEngine(tiny_tokens()[0], lambda _prompt: Script(p_unsafe=0.9))
    judge = RsafeJudge(Settings(model=str(tmp_path), cache_salt=salting), lambda _settings, _folder: engine)
    await judge.start()
    engine.requests.clear()
    floor, own = (category("U7", "platform"), category("U8", "platform")), (category("SPAM"), category("ADS"))
    await judge.judge(message("hello"), policy(*floor, *own, prose="We sell garden tools."))
    await judge.stop()

    assert len(engine.requests) == 6
    assert {request.cache_salt for request in engine.requests} == expected
    if salting == "private":
        assert [request.cache_salt for request in engine.requests].count("shop") == 3


@pytest.mark.parametrize("mode, salts", [("separate", [None, "shop"]), ("joined", [None, "shop"])])
async def test_apart_the_floors_categories_are_shared(tmp_path: Path, mode: FloorMode, salts: list[str | None]) -> None:
    """Each prompt holds no other category's words, so that of the floor has no salt, even where the floor is joined."""
    save_tokenizer(tmp_path, apart=True)
    engine = FakeEngine(tiny_tokens()[0], lambda _prompt: Script())
    judge = RsafeJudge(Settings(model=str(tmp_path)), lambda _settings, _folder: engine)
    await judge.start()
    engine.requests.clear()
    effective = policy(category("U7", "platform"), category("SPAM"), reasoning="never", floor_mode=mode)
    await judge.judge(message("hello"), effective)

    assert [request.cache_salt for request in engine.requests] == salts
