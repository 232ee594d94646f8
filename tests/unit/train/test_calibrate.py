"""Fitting a calibration: the curve, what it is worth, thresholds, band; and the folder it is written into."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evaluating import question_of, row
from tests.support.fake_engine import FakeEngine, Script
from tests.support.papers import card_facts, save_coverage
from tests.support.reports import evaluation
from tests.support.tiny_model import save_tokenizer, tiny_tokens
from tests.support.train_rows import some_rows
from worker.config import Settings
from worker.errors import TrainError
from worker.judge.calibration import Calibration, Method, load_calibration, logit, mean_of
from worker.judge.judge import RsafeJudge
from worker.judge.judgement import Judgement
from worker.records import ScoreMethod
from worker.train.data.labels import HATE
from worker.train.data.taxonomy import UNSAFE
from worker.train.evaluation.judging import result_of
from worker.train.evaluation.metrics import best_threshold as slow_threshold
from worker.train.evaluation.metrics import decisions
from worker.train.release.attach import attach, attach_targets, key_of
from worker.train.release.calibrate import (
    MIN_EACH,
    PAIR,
    Scored,
    averaged,
    best_threshold,
    fit,
    fit_method,
    fit_methods,
    review_band,
)
from worker.train.release.judged_rows import RawScores, raw_scores, scored

NAMES = {"hate": ("U7", "Hate"), "spam": ("SP", "Spam")}


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _rows(count: int, slope: float = 3.0, shift: float = 2.0, seed: int = 1) -> Scored:
    """Return rows whose label is drawn by a chance, and scored too surely and too high."""
    rng = random.Random(seed)
    chances = [_sigmoid(rng.gauss(0, 2)) for _ in range(count)]
    return Scored(
        scores=[_sigmoid(slope * logit(chance) + shift) for chance in chances],
        labels=[rng.random() < chance for chance in chances],
        categories=["hate" if number % 3 else "spam" for number in range(count)],
    )


def test_the_curve_is_found_again() -> None:
    """Scores that are a bent form of the true chances are bent back."""
    found = fit_method(_rows(4000), NAMES, seed=1)

    assert found.curve is not None
    assert found.curve.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.curve.intercept == pytest.approx(-2 / 3, abs=0.1)
    assert found.ece_after is not None
    assert (found.ece_before > 0.1, found.ece_after < 0.03) == (True, True)
    assert found.brier_after is not None
    assert found.brier_after < found.brier_before


def _saturated(before: Scored, wrong: float) -> Scored:
    """Return scores after a reasoning that says one or the other, and hardly how surely."""
    rng = random.Random(5)
    said = [(score or 0.0) >= 0.5 if rng.random() > wrong else rng.random() < 0.5 for score in before.scores]
    return msgspec.structs.replace(before, scores=[0.999 if unsafe else 0.001 for unsafe in said])


def test_the_mean_is_taken_where_it_is_better() -> None:
    """A reasoning that leaves no degrees gets them from the score before it; one that knows better keeps its own."""
    direct = _rows(2000, slope=1.0, shift=0.0)
    methods, shown = fit_methods({"direct": direct, "trace": _saturated(direct, wrong=0.1)}, NAMES, seed=1)
    assert set(methods) == set(shown) == {"direct", "trace", "mean_k"}
    assert (methods["mean_k"].brier_after or 1) < (methods["trace"].brier_after or 0)


@pytest.mark.parametrize("seed", range(6))
def test_noise_adds_nothing(seed: int) -> None:
    """Where the score at once says nothing the mean is not worth a call."""
    rng = random.Random(f"noise/{seed}")
    trace = _rows(2000, slope=1.0, shift=0.0)
    # Hardly anything, so that a rising curve can be fitted all the same.
    noise = [_sigmoid(rng.gauss(0, 1) + 0.1 * unsafe) for unsafe in trace.labels]
    methods, shown = fit_methods(
        {"direct": msgspec.structs.replace(trace, scores=noise), "trace": trace}, NAMES, seed=1
    )

    assert set(methods) == set(shown) == {"direct", "trace"}


def test_without_a_curve_of_each_there_is_no_mean() -> None:
    """Scores that fall with the labels are no half of anything."""
    trace = _rows(400)
    falling = msgspec.structs.replace(trace, scores=[1 - (score or 0) for score in trace.scores])
    methods, _ = fit_methods({"direct": falling, "trace": trace}, NAMES, seed=1)

    assert set(methods) == {"direct", "trace"}


def test_rows_that_have_no_mean_are_calibrated_all_the_same() -> None:
    """Where only the verdict is known there is none; beside other rows these count on neither side of the choice."""
    direct = _rows(2000, slope=1.0, shift=0.0)
    trace = _saturated(direct, wrong=0.1)
    names = {**NAMES, UNSAFE: ("whole", "all")}

    def of(categories: list[str]) -> set[ScoreMethod]:
        raw: dict[ScoreMethod, Scored] = {
            "direct": msgspec.structs.replace(direct, categories=categories),
            "trace": msgspec.structs.replace(trace, categories=categories),
        }
        return set(fit_methods(raw, names, seed=1)[0])

    assert of([UNSAFE] * 2000) == {"direct", "trace"}
    assert of([UNSAFE] * 1000 + ["hate"] * 1000) == {"direct", "trace", "mean_k"}


def test_the_whole_taxonomy_has_no_mean() -> None:
    """Its score may be the highest of several calls."""
    direct = _rows(400)
    whole = msgspec.structs.replace(direct, categories=[UNSAFE, *direct.categories[1:]])
    names = {**NAMES, UNSAFE: ("whole", "all")}
    methods: dict[ScoreMethod, Method] = {name: fit_method(whole, names, seed=1) for name in PAIR}
    found = averaged(whole, whole, methods)

    assert [score is None for score in found.scores[:2]] == [True, False]


def test_the_mean_is_of_calibrated_scores_of_the_same_rows() -> None:
    """A row without one of them has none; other rows cannot be put beside these."""
    direct = _rows(400)
    trace = msgspec.structs.replace(_saturated(direct, wrong=0.1), scores=[None, *_saturated(direct, 0.1).scores[1:]])
    methods: dict[ScoreMethod, Method] = {
        "direct": fit_method(direct, NAMES, seed=1),
        "trace": fit_method(trace, NAMES, seed=1),
    }
    found = averaged(direct, trace, methods)
    before, after = methods["direct"].curve, methods["trace"].curve

    assert before is not None
    assert after is not None
    assert found.scores[0] is None
    assert found.scores[1] == pytest.approx(mean_of(before(direct.scores[1] or 0), after(trace.scores[1] or 0)))
    with pytest.raises(ValueError, match="same rows"):
        averaged(direct, _rows(400, seed=2), methods)


def test_the_same_seed_gives_the_same_file() -> None:
    """Held-out parts and bootstrap are drawn by the seed alone."""
    assert fit_method(_rows(400), NAMES, seed=4) == fit_method(_rows(400), NAMES, seed=4)


def test_rows_without_a_score_are_counted() -> None:
    """What was truncated has no score; it cannot be fitted, and is not hidden."""
    whole = _rows(300)
    holes = msgspec.structs.replace(whole, scores=[None, None, *whole.scores[2:]])
    found = fit_method(holes, NAMES, seed=1)

    assert (found.rows, found.unscored) == (298, 2)
    with pytest.raises(TrainError, match="no calibration row was given a score"):
        fit_method(Scored(scores=[None], labels=[True], categories=["hate"]), NAMES, seed=1)


@pytest.mark.parametrize(
    "rows, reason",
    [
        (Scored(scores=[0.9, 0.1] * 60, labels=[False, True] * 60, categories=["hate"] * 120), "do not rise"),
        (Scored(scores=[0.9, 0.1] * 60, labels=[True] + [False] * 119, categories=["hate"] * 120), "fewer than"),
    ],
    ids=["turned round", "one label"],
)
def test_no_curve_where_none_can_be_had(rows: Scored, reason: str) -> None:
    """Scores stay raw, and the file says why; a falling curve would turn verdicts round."""
    found = fit_method(rows, NAMES, seed=1)

    assert (found.curve, reason in found.reason, found.ece_after) == (None, True, None)


def test_separable_scores_stay_finite() -> None:
    """Where every score is right the slope is bounded, by targets that leave a little doubt."""
    curve, _ = fit(np.array([0.1] * 50 + [0.9] * 50), np.array([False] * 50 + [True] * 50))

    assert curve is not None
    assert 0.9 < curve(0.9) < 1.0


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60))
def test_the_best_threshold_is_the_best(rows: Sequence[tuple[int, bool]]) -> None:
    """No threshold between two scores has a higher macro-F1, and the value is that of deciding by it."""
    scores, labels = np.array([score / 12 for score, _ in rows]), np.array([label for _, label in rows])
    if labels.all() or not labels.any():
        return
    best, macro = best_threshold(scores, labels)

    def reached(threshold: float) -> float:
        return decisions(labels, scores >= threshold).macro_f1

    assert reached(best) == pytest.approx(macro)
    points = np.unique(scores)
    assert all(reached(step) <= macro + 1e-9 for step in (points[1:] + points[:-1]) / 2)
    if points.size > 1:
        assert reached(slow_threshold(labels, scores)) == pytest.approx(macro)


def test_thresholds_by_category() -> None:
    """Each has its interval around it; too few rows of a label give none."""
    rows = _rows(600)
    few = [number for number, category in enumerate(rows.categories) if category == "spam"][3 * MIN_EACH :]
    kept = [number for number in range(600) if number not in few]
    hard = Scored(
        scores=[rows.scores[number] for number in kept],
        labels=[rows.labels[number] and rows.categories[number] == "hate" for number in kept],
        categories=[rows.categories[number] for number in kept],
    )
    found = fit_method(hard, NAMES, seed=1).thresholds

    hate, spam = found["hate"], found["spam"]
    assert (hate.id, hate.name, spam.threshold, spam.unsafe) == ("U7", "Hate", None, 0)
    assert hate.threshold is not None
    assert hate.low is not None
    assert hate.high is not None
    assert 0 < hate.low <= hate.threshold <= hate.high < 1


def test_the_band_is_where_decisions_fail() -> None:
    """Of scores that are right at both ends and a coin's throw between, the band is what lies between."""
    scores = np.linspace(0, 1, 1000)
    coin = itertools.cycle([True, False])
    labels = np.array([next(coin) if 0.4 < score < 0.7 else score >= 0.5 for score in scores])
    band = review_band(scores, labels)

    assert band is not None
    assert band.low == pytest.approx(0.4, abs=0.06)
    assert band.high == pytest.approx(0.7, abs=0.06)
    assert band.error_inside > 0.3
    assert band.error_outside < 0.02
    inside = (scores >= band.low) & (scores <= band.high)
    assert band.rows == pytest.approx(inside.mean(), abs=1e-4)


def test_no_band_where_nothing_fails() -> None:
    """A model that is right everywhere needs no review; too few rows say nothing."""
    scores = np.linspace(0, 1, 400)

    assert review_band(scores, scores >= 0.5) is None
    assert review_band(scores[:20], scores[:20] < 0.5) is None


def test_rows_of_one_label_bend_no_curve() -> None:
    """A paper set's questions that no row, or every row, is unsafe under are no calibration rows."""
    judged = Judgement(status="judged", model_label="safe", score=0.1, score_method="trace")
    hard = [row(f"text {n}", n, "or_bench_hard", known={UNSAFE: False}) for n in range(3)]
    both = [row(f"text {n}", n, "aegis2", known={UNSAFE: n == 0, HATE: False}) for n in range(3)]
    of_hard = [result_of(question_of(one, UNSAFE), judged) for one in hard]
    of_both = [result_of(question_of(one, key), judged) for one in both for key in (HATE, UNSAFE)]

    found = scored([*of_hard, *of_both])

    assert (found.labels, found.categories) == ([True, False, False], [UNSAFE] * 3)
    assert len(scored(of_hard).labels) == 3, "where there are no others, the fit says that one label is missing"


def _judged(folder: Path) -> RawScores:
    """Score made-up rows by a judge whose model leans to unsafe for vermin and bosses alike, too surely."""
    save_tokenizer(folder)
    engine = FakeEngine(
        tiny_tokens()[0], lambda text: Script(reasoning="hm", p_unsafe=0.999 if "vermin" in text else 0.6)
    )
    settings = Settings(model=str(folder))
    judge = RsafeJudge(settings, lambda _settings, _folder: engine, calibrated=False)
    return asyncio.run(raw_scores(judge, settings, some_rows(120), 100, 1, lambda _: None))


def test_from_judging_to_the_folder(tmp_path: Path) -> None:
    """Both methods are judged, fitted and drawn; the judge takes the file, and a second fit replaces it."""
    raw = _judged(tmp_path)
    made = attach(tmp_path, raw, seed=3)

    assert set(raw.scored) == {"direct", "trace"}
    assert len(raw.scored["direct"].scores) == 200
    assert load_calibration(tmp_path, key_of(tmp_path)) == made
    assert (made.seed, made.split, made.engine) == (3, "calib", "fake 1, none, none")
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")
    assert made.methods["trace"].curve is not None
    assert attach(tmp_path, raw, seed=3) == made


def test_the_card_is_made_anew(tmp_path: Path) -> None:
    """It shows curve and thresholds, and keeps what the export measured; an evaluation of other scores goes."""
    raw = _judged(tmp_path)
    save_coverage(tmp_path)
    facts = card_facts(learnt={"sources": ["sms"], "non_commercial": []})
    (tmp_path / "metrics.json").write_bytes(orjson.dumps(facts))
    attach_targets(tmp_path, evaluation().report)
    held_to = (tmp_path / "README.md").read_text(encoding="utf-8")
    made: Calibration = attach(tmp_path, raw, seed=1)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")

    assert ("| unparsed as served | none |" in held_to, "| unparsed as served | none |" in card) == (True, False)
    assert orjson.loads((tmp_path / "metrics.json").read_bytes()) == facts
    assert f"error {made.methods['trace'].ece_before:.3f} before" in card
    assert "| U7 Hate & Discrimination |" in card
    assert "SMS Spam Collection" in (tmp_path / "NOTICE").read_text(encoding="utf-8")
