"""Calibration: what the file may hold, whose it is, and where in judging it acts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_engine import FACTS, FakeEngine, Script
from tests.support.judging import message, policy
from tests.support.papers import key_of, method, save_calibration, save_coverage, some_calibration
from tests.support.tiny_model import save_tokenizer, tiny_tokens
from worker.config import Settings
from worker.errors import ModelError
from worker.judge.calibration import FILE_NAME, Curve, load_calibration, logit, mean_of
from worker.judge.fingerprint import fingerprint
from worker.judge.judge import RsafeJudge
from worker.judge.judgement import Judgement
from worker.judge.template import load_template
from worker.judge.verdict import decide

#: Raises a raw score of 0.3 above one half.
RAISES = method(slope=1.0, intercept=2.0)


async def judged(folder: Path, p_unsafe: float, *, calibrated: bool = True, **changes: Any) -> tuple[Judgement, Any]:
    """Judge one message by a model that says this score; return what was found and what was asked."""
    engine = FakeEngine(tiny_tokens()[0], lambda _: Script(reasoning="hm", p_unsafe=p_unsafe))
    judge = RsafeJudge(Settings(model=str(folder)), lambda _settings, _folder: engine, calibrated=calibrated)
    await judge.start()
    engine.requests.clear()
    return await judge.judge(message("hello"), policy(**changes)), engine.requests


def test_a_line_on_the_logit() -> None:
    """One half with an intercept of 2 is the sigmoid of 2; without slope and intercept nothing changes."""
    assert Curve(slope=0.7, intercept=2.0)(0.5) == pytest.approx(1 / (1 + math.exp(-2)))
    assert Curve(slope=1.0, intercept=0.0)(0.2) == pytest.approx(0.2)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 20), st.floats(-20, 20))
def test_the_order_of_scores_stays(one: float, other: float, slope: float, intercept: float) -> None:
    """However the curve lies, a higher raw score never becomes the lower one, and all stay within 0 and 1."""
    curve = Curve(slope=slope, intercept=intercept)
    low, high = sorted((one, other))

    assert 0.0 <= curve(low) <= curve(high) <= 1.0


@pytest.mark.parametrize("score", [0.0, 1.0, 5e-324])
def test_certain_scores_have_a_finite_logit(score: float) -> None:
    """A model that leaves no doubt is not an error."""
    assert math.isfinite(logit(score))
    assert math.isfinite(Curve(slope=20.0, intercept=-20.0)(score))


def test_a_method_without_a_curve_stays_raw() -> None:
    """Each method has its own; no score stays no score."""
    made = some_calibration("m", direct=RAISES, trace=method(curve=None, reason="few rows", ece_after=None))

    assert made.apply(0.5, "direct") == pytest.approx(1 / (1 + math.exp(-2)))
    assert (made.apply(0.5, "trace"), made.apply(0.5, "mean_k"), made.apply(None, "direct")) == (0.5, 0.5, None)


async def test_it_acts_before_thresholds(tmp_path: Path) -> None:
    """A raw 0.3 that means 0.76 is unsafe at 0.5, so the judge asks which categories it would be."""
    save_tokenizer(tmp_path)
    raw, asked_raw = await judged(tmp_path, 0.3)
    save_calibration(tmp_path, trace=RAISES)
    found, asked = await judged(tmp_path, 0.3)

    assert raw.score == pytest.approx(0.3)
    assert found.score == pytest.approx(Curve(slope=1, intercept=2)(0.3))
    assert (len(asked_raw), len(asked)) == (2, 3)
    assert (decide(raw, policy()).label, decide(found, policy()).label) == ("safe", "unsafe")
    assert found.cited == (("shop", "U7"),)


async def test_each_method_has_its_curve(tmp_path: Path) -> None:
    """A curve for scores after a reasoning says nothing of those before one."""
    save_tokenizer(tmp_path)
    save_calibration(tmp_path, trace=RAISES)
    direct, _ = await judged(tmp_path, 0.3, reasoning="never")

    assert direct.score_method == "direct"
    assert direct.score == pytest.approx(0.3)


async def test_a_label_alone_under_overload_has_the_direct_curve(tmp_path: Path) -> None:
    """Where a reasoning is left out to keep up the score is what ``never`` gives, calibrated as such."""
    save_tokenizer(tmp_path)
    save_calibration(tmp_path, direct=RAISES)
    engine = FakeEngine(tiny_tokens()[0], lambda _: Script(p_unsafe=0.3))
    judge = RsafeJudge(Settings(model=str(tmp_path)), lambda _settings, _folder: engine)
    await judge.start()
    whole = await judge.judge(message("hello"), policy(reasoning="always"))
    bare = await judge.judge(message("hello"), policy(reasoning="always").at("label_only"))

    assert (whole.score_method, bare.score_method) == ("trace", "direct")
    assert whole.score == pytest.approx(0.3)
    assert bare.score == pytest.approx(Curve(slope=1, intercept=2)(0.3))


async def test_it_decides_whether_the_model_is_unsure(tmp_path: Path) -> None:
    """``when_unsure`` looks at the calibrated direct score: 0.05 that means 0.28 is reasoned about."""
    save_tokenizer(tmp_path)
    sure, _ = await judged(tmp_path, 0.05, reasoning="when_unsure")
    save_calibration(tmp_path, direct=RAISES)
    unsure, _ = await judged(tmp_path, 0.05, reasoning="when_unsure")

    assert (sure.score_method, unsure.score_method) == ("direct", "trace")


@pytest.mark.parametrize("reasoning", ["always", "when_unsure"])
async def test_the_mean_of_before_and_after(tmp_path: Path, reasoning: str) -> None:
    """Where the file has its curve a verdict with reasoning is scored by both; the label stays the reasoning's."""
    save_tokenizer(tmp_path)
    save_calibration(tmp_path, direct=RAISES, trace=method(slope=0.5, intercept=0.0), mean_k=method(slope=2.0))
    engine = FakeEngine(tiny_tokens()[0], lambda text: Script(reasoning="hm", p_unsafe=0.4 if "hm" in text else 0.2))
    judge = RsafeJudge(Settings(model=str(tmp_path)), lambda _settings, _folder: engine)
    await judge.start()
    engine.requests.clear()
    found = await judge.judge(message("hello"), policy(reasoning=reasoning))

    before, after = logit(0.2) + 2, logit(0.4) / 2
    assert found.score_method == "mean_k"
    assert found.score == pytest.approx(1 / (1 + math.exp(-(before + after))))
    assert found.reasoning == "hm"
    # At once, the reasoning, the answer behind it; and ids, since the score says unsafe and the model safe.
    assert [request.grammar is None for request in engine.requests] == [False, True, False, False]
    assert found.cited == (("shop", "U7"),)


@pytest.mark.parametrize("reasoning, wanted", [("never", "direct"), ("when_unsure", "direct")])
async def test_without_reasoning_there_is_no_mean(tmp_path: Path, reasoning: str, wanted: str) -> None:
    """What was not reasoned about has the score of before alone."""
    save_tokenizer(tmp_path)
    save_calibration(tmp_path, direct=method(slope=1.0), trace=method(slope=1.0), mean_k=method(slope=1.0))
    found, asked = await judged(tmp_path, 0.05, reasoning=reasoning)

    assert (found.score_method, len(asked)) == (wanted, 1)
    assert found.score == pytest.approx(0.05)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_mean_lies_between(one: float, other: float) -> None:
    """And does not depend on which comes first."""
    mean = mean_of(one, other)

    assert min(one, other) - 1e-9 <= mean <= max(one, other) + 1e-9
    assert mean == pytest.approx(mean_of(other, one))


async def test_raw_scores_can_be_had(tmp_path: Path) -> None:
    """What fits a calibration must not see the one before, and not stumble over another model's."""
    save_tokenizer(tmp_path)
    save_calibration(tmp_path, trace=RAISES)
    (tmp_path / "model.safetensors").write_bytes(b"trained further")
    found, _ = await judged(tmp_path, 0.3, calibrated=False)

    assert found.score == pytest.approx(0.3)


async def test_another_models_calibration_is_refused(tmp_path: Path) -> None:
    """Before an engine is built, with the cure."""
    save_tokenizer(tmp_path)
    save_calibration(tmp_path, trace=RAISES)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")

    with pytest.raises(ModelError, match=r"calibration\.json was made for the model .*rsafe train calibrate"):
        await judged(tmp_path, 0.3)


@pytest.mark.parametrize(
    "change",
    [
        {"methods": {"direct": {"curve": {"slope": 0.0, "intercept": 1.0}}}},
        {"methods": {"guess": {}}},
        {"methods": {"direct": {"curve": {"slope": -1.0, "intercept": 1.0}}}},
        {"surprise": 1},
        {"model": 7},
    ],
    ids=["flat", "unknown method", "falling", "unknown field", "no key"],
)
def test_a_file_that_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    """A curve that does not rise, or a field nobody knows, is refused and named."""
    whole = msgspec.to_builtins(some_calibration("m", direct=RAISES))
    if "direct" in change.get("methods", {}):
        change = {"methods": {"direct": whole["methods"]["direct"] | change["methods"]["direct"]}}
    (tmp_path / FILE_NAME).write_bytes(msgspec.json.encode(whole | change))

    with pytest.raises(ModelError, match=r"calibration\.json of the model is not a calibration"):
        load_calibration(tmp_path, "m")


def test_the_key_leaves_out_what_names_it(tmp_path: Path) -> None:
    """Calibration, coverage and figures do not change whose model it is; weights and tokenizer do."""
    save_tokenizer(tmp_path)
    first = key_of(tmp_path)
    save_calibration(tmp_path, direct=RAISES)
    save_coverage(tmp_path)
    (tmp_path / "metrics.json").write_text("{}", encoding="utf-8")
    assert key_of(tmp_path) == first

    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert key_of(tmp_path) != first


def test_the_verdicts_fingerprint_knows_the_calibration(tmp_path: Path) -> None:
    """Since it changes scores; figures beside it change nothing."""
    save_tokenizer(tmp_path)
    template = load_template(tmp_path)
    first = fingerprint(tmp_path, template, FACTS, 48)
    (tmp_path / "metrics.json").write_text("{}", encoding="utf-8")
    assert fingerprint(tmp_path, template, FACTS, 48) == first

    save_calibration(tmp_path, direct=RAISES)
    assert fingerprint(tmp_path, template, FACTS, 48) != first
