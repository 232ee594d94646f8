"""Calibration: what the file may hold, whose it is, and where in judging it acts."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.support.fake_engine import FACTS, FakeEngine, Script
from tests.support.judging import message, policy
from tests.support.papers import key_of, method, save_calibration, save_coverage, some_calibration
from tests.support.tiny_model import save_tokenizer, tiny_tokens
from worker.config import Settings
from worker.errors import ModelError
from worker.judge.calibration import FILE_NAME, Curve, load_calibration, logit, mean_of
from worker.judge.engine import Completion, Request
from worker.judge.fingerprint import fingerprint
from worker.judge.judge import RsafeJudge
from worker.judge.judgement import Judgement
from worker.judge.template import load_template
from worker.judge.verdict import decide
from worker.policy.model import EffectivePolicy

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


def means(text: str) -> Script:
    """Answer .2 at once and .4 after a reasoning."""
    return Script(reasoning="hm", p_unsafe=0.4 if "hm" in text else 0.2)


async def asked_by_means(
    folder: Path, script: Callable[[str], Script] = means, judged: EffectivePolicy | None = None, **engine: Any
) -> tuple[Judgement, list[Request]]:
    """Judge by a model whose calibration has three curves, none like another."""
    save_tokenizer(folder)
    save_calibration(folder, direct=RAISES, trace=method(slope=0.5, intercept=0.0), mean_k=method(slope=2.0))
    fake = FakeEngine(tiny_tokens()[0], script, **engine)
    judge = RsafeJudge(Settings(model=str(folder)), lambda _settings, _folder: fake)
    await judge.start()
    fake.requests.clear()
    return await judge.judge(message("hello"), judged or policy(), priority=1), fake.requests


async def test_the_mean_of_before_and_after(tmp_path: Path) -> None:
    """Where the file has its curve a verdict with reasoning is scored by both; the label stays the reasoning's."""
    found, asked = await asked_by_means(tmp_path)

    before, after = logit(0.2) + 2, logit(0.4) / 2
    assert found.score_method == "mean_k"
    assert found.score == pytest.approx(1 / (1 + math.exp(-(before + after))))
    assert found.reasoning == "hm"
    # At once, the reasoning, the answer behind it; and ids, since the score says unsafe and the model safe.
    assert [request.grammar is None for request in asked] == [False, True, False, False]
    # Whatever follows the first call goes before new messages.
    assert [request.priority for request in asked] == [2, 1, 1, 1]
    assert found.cited == (("shop", "U7"),)


@pytest.mark.parametrize(
    "judged, score, methods",
    [
        (policy(reasoning="never"), Curve(slope=1, intercept=2)(0.2), "direct"),
        (policy(reasoning="when_unsure", review_band=(0.99, 1.0)), Curve(slope=1, intercept=2)(0.2), "direct"),
        (policy(reasoning="when_unsure"), Curve(slope=0.5, intercept=0)(0.4), "trace"),
        (policy().at("label_only"), Curve(slope=1, intercept=2)(0.2), "direct"),
    ],
    ids=["never", "sure", "unsure", "overload"],
)
async def test_elsewhere_there_is_no_mean(tmp_path: Path, judged: EffectivePolicy, score: float, methods: str) -> None:
    """Each has the score of its own curve; a reasoning that settles a doubt counts alone."""
    found, _ = await asked_by_means(tmp_path, judged=judged)

    assert found.score_method == methods
    assert found.score == pytest.approx(score)


async def test_a_shortened_reasoning_has_the_mean_too(tmp_path: Path) -> None:
    """Under overload the budget is smaller, and nothing else."""
    found, asked = await asked_by_means(tmp_path, judged=policy().at("short_reasoning"))

    assert (found.score_method, asked[1].max_tokens) == ("mean_k", 24)


@pytest.mark.parametrize(
    "script, status",
    [(Script(reasoning="so unsafe.", answer="safe}"), "contradictory"), (Script(ends_by=""), "truncated")],
)
async def test_a_failure_stays_one(tmp_path: Path, script: Script, status: str) -> None:
    """An answer at once does not stand in for a reasoning that failed."""
    found, _ = await asked_by_means(tmp_path, lambda _: script)

    assert (found.status, found.score) == (status, None)


async def test_what_does_not_fit_is_not_asked_at_once(tmp_path: Path) -> None:
    """Room for the reasoning is looked for before the first call."""
    window = len(tiny_tokens()[0].text_ids("hello")) + 40
    found, asked = await asked_by_means(tmp_path, window_tokens=window)

    assert (found.status, asked) == ("too_long", [])


@pytest.mark.parametrize("blind", [False, True])
async def test_without_a_score_before_that_of_after_stands(tmp_path: Path, *, blind: bool) -> None:
    """An answer at once whose first token cannot be compared says nothing."""

    class Blind(FakeEngine):
        async def complete(self, request: Request) -> Completion:
            answer = await super().complete(request)
            first = len(self.requests) == 1 and blind
            return structs.replace(answer, first_logprobs={}) if first else answer

    save_tokenizer(tmp_path)
    save_calibration(tmp_path, direct=RAISES, trace=method(slope=0.5), mean_k=method(slope=2.0))
    engine = Blind(tiny_tokens()[0], means)
    judge = RsafeJudge(Settings(model=str(tmp_path)), lambda _settings, _folder: engine)
    await judge.start()
    engine.requests.clear()
    found = await judge.judge(message("hello"), policy())

    assert found.score_method == ("trace" if blind else "mean_k")


async def test_a_curve_that_could_not_be_fitted_is_no_mean(tmp_path: Path) -> None:
    """The file may name the method and have no curve for it."""
    save_tokenizer(tmp_path)
    save_calibration(tmp_path, direct=RAISES, mean_k=method(curve=None, reason="few rows", ece_after=None))
    found, asked = await judged(tmp_path, 0.3)

    assert (found.score_method, len(asked)) == ("trace", 2)


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
