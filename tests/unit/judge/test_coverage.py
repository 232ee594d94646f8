"""Coverage: which categories of a policy a model was never tested on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fake_engine import FakeEngine, Script
from tests.support.judging import category, message, policy
from tests.support.papers import covered, save_coverage, some_coverage
from tests.support.tiny_model import save_tokenizer, tiny_tokens
from worker.config import Settings
from worker.errors import ModelError
from worker.judge.coverage import FILE_NAME, load_coverage, unevaluated
from worker.judge.judge import RsafeJudge
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.judge.verdict import Attempt, verdict
from worker.policy.model import EffectiveCategory, EffectivePolicy
from worker.records import ModelRef, Source, Timing

COVERAGE = some_coverage(
    "m",
    covered("hate", ("U7", "HATE"), ("Hate & Discrimination", "Hate Speech")),
    covered("rare", ("R1",), ("Rare",), tested=False),
    covered("U6", ("U6",), ("Sexual Content Involving Minors",), supported=False),
)


@pytest.mark.parametrize(
    "asked, tested",
    [
        (("U7", "Hate & Discrimination"), True),
        (("HATE", "Hate & Discrimination"), True),
        (("U7", "Golden retrievers"), False),
        (("X3", "Hate Speech"), False),
        (("U7", "hate speech"), False),
        (("R1", "Rare"), False),
        (("U6", "Sexual Content Involving Minors"), False),
    ],
    ids=[
        "id and name",
        "another id of it",
        "its id only",
        "its name only",
        "not letter for letter",
        "too few",
        "minors",
    ],
)
def test_id_and_name_tell(asked: tuple[str, str], tested: bool) -> None:  # noqa: FBT001
    """A category is tested if one line of the file that counts has both its id and its name."""
    assert unevaluated(COVERAGE, [category(asked[0], name=asked[1])]) == (() if tested else (asked[0],))


def test_in_the_policys_order_and_once() -> None:
    """Floor and tenant may both have a category of one id."""
    asked = [category("B"), category("U7", name="Hate Speech"), category("A"), category("B", scope="platform")]

    assert unevaluated(COVERAGE, asked) == ("B", "A")


def test_without_a_file_nothing_is_known_to_be_tested() -> None:
    """Of a checkpoint that says nothing about itself every category is unevaluated."""
    assert unevaluated(None, [category("U7"), category("U8")]) == ("U7", "U8")


async def _judged(folder: Path, under: EffectivePolicy, text: str = "hello") -> Judgement:
    engine = FakeEngine(tiny_tokens()[0], lambda _: Script())
    judge = RsafeJudge(Settings(model=str(folder)), lambda _settings, _folder: engine)
    await judge.start()
    return await judge.judge(message(text), under)


def _under() -> tuple[EffectiveCategory, EffectiveCategory]:
    return category("U7", name="Hate"), category("U8")


async def test_judgements_say_it(tmp_path: Path) -> None:
    """Also where the message could not be judged: it is a property of model and policy."""
    save_tokenizer(tmp_path)
    unknown = await _judged(tmp_path, policy(*_under()))
    save_coverage(tmp_path)
    known = await _judged(tmp_path, policy(*_under()))
    too_long = await _judged(tmp_path, policy(*_under()), "x" * 100_000)

    assert (unknown.unevaluated, known.unevaluated) == (("U7", "U8"), ("U8",))
    assert (too_long.status, too_long.unevaluated) == ("too_long", ("U8",))


def test_the_verdict_carries_it() -> None:
    """What the judge says of the model stands in the record, whatever the status."""
    attempt = Attempt(
        message=message("hello"),
        source=Source(topic=None, partition=None, offset=None, timestamp=None),
        mode="live",
        run_id=None,
        trace_id="t",
        model=ModelRef(fingerprint="f", name="n"),
        timing=Timing(queue_ms=None, engine_ms=None, total_ms=None),
    )
    record, _ = verdict(attempt, Judgement(status="timeout", unevaluated=("U8",)), policy())

    assert (record.status, record.unevaluated) == ("timeout", ("U8",))


async def test_rules_are_no_model() -> None:
    """The scripted judge has nothing that could have been tested."""
    assert (await ScriptedJudge().judge(message("hello"), policy())).unevaluated == ()


async def test_another_models_coverage_is_refused(tmp_path: Path) -> None:
    """A model must not be called tested because another one was."""
    save_tokenizer(tmp_path)
    save_coverage(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")

    with pytest.raises(ModelError, match=r"coverage\.json was made for the model"):
        await _judged(tmp_path, policy())


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """It is named, with the cure."""
    (tmp_path / FILE_NAME).write_text('{"model": "m"}', encoding="utf-8")

    with pytest.raises(ModelError, match=r"coverage\.json of the model is not a coverage .*export the model again"):
        load_coverage(tmp_path, "m")
