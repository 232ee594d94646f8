"""What a model is held to: every figure of a report meets its bound, or does not, and none is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from msgspec import structs

from tests.support.papers import card_facts
from tests.support.reports import HALF, HELD, evaluation, facts
from tests.support.tiny_model import save_tokenizer
from worker.train.evaluation import quality, reasoning
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.fairness import Gap
from worker.train.evaluation.following import Following, figures
from worker.train.evaluation.markdown import render
from worker.train.evaluation.report import Report
from worker.train.evaluation.targets import Target, targets
from worker.train.release.attach import attach_targets


def found(**changes: Any) -> dict[str, Target]:
    """Return targets of a made-up report by figure."""
    return {one.figure: one for one in targets(evaluation(**changes).report, "direct")}


def versus(**lows: float) -> dict[str, quality.Versus]:
    """Return differences from the baseline by set; each is its lower bound and a bit."""
    one = next(iter(evaluation().report.baseline["direct"].values()))
    made = {name.replace("__", "/"): Interval(value=low + 0.05, low=low, high=low + 0.1) for name, low in lows.items()}
    return {name: msgspec.structs.replace(one, difference=gap) for name, gap in made.items()}


def following(**shares: float) -> dict[str, Following]:
    """Return figures of pairs whose shares are these."""
    one = figures(HELD, seed=1)["removed"]

    def with_share(share: float) -> Following:
        over, lower = (Interval(value=round(value, 2), low=0, high=1) for value in (share, share - 0.1))
        return msgspec.structs.replace(one, over_right=over, lower=lower)

    return {kind.replace("__", " "): with_share(share) for kind, share in shares.items()}


def test_two_sets_above_the_baseline_are_enough() -> None:
    """For certain, and of the four that can be beaten; others and texts never seen are no help."""
    name, rest = "macro-F1 minus the linear baseline's", "the same on all other sets"
    two = versus(edos__sexism=0.01, diasafety=0.001, sms__spam=-0.01)
    one = versus(edos__sexism=0.01, hatemoji__hate=0.2, sms__spam=-0.03)

    held, missed = found(baseline={"direct": two}), found(baseline={"direct": one})

    assert held[name].met
    assert held[name].found.startswith("edos/sexism 0.060 (0.010 to 0.110); diasafety")
    assert held[rest].met
    assert held[rest].found == "1 of 1; lowest sms/spam 0.040 (-0.010 to 0.090)"
    assert (missed[name].met, missed[rest].met) == (False, False)
    assert missed[rest].found.startswith("1 of 2; lowest sms/spam")


@pytest.mark.parametrize("share, met", [(0.9, [True, False, False]), (0.95, [True, True, True]), (0.89, [False] * 3)])
def test_pairs_of_policies(share: float, met: list[bool]) -> None:
    """Removed .9, must-hold .95; of the exchange the lower of both labels .8."""
    pairs = following(removed=share, must__hold=share, violates_allowed_swapped=round(share - 0.05, 2))

    made = found(following={"direct": pairs})

    named = ("removed, of rows right", "must hold, of rows right", "violates allowed swapped, lower of both")
    assert [next(one.met for figure, one in made.items() if figure.startswith(name)) for name in named] == met


def test_the_worst_counts() -> None:
    """Of sources and of identity policies, and a quote that stands nowhere is one too many."""
    gaps = {
        key: Gap(rows=9, terms=2, fpr=0.1, gap=gap, highest=(), lowest=())
        for key, gap in {"hate": 0.1, "civility": 0.2, "toxicity": None}.items()
    }
    gaps["civility"] = structs.replace(gaps["civility"], chance=0.11, chance_high=0.15)
    quotes = reasoning.Quotes(reasonings=9, quotes=1000, verbatim=0.999)

    made = found(identity={"direct": gaps}, quotes=quotes)

    gap = made["false-positive rate over identity terms, highest minus lowest"]
    assert (gap.found, gap.met) == (
        "0.20, policy civility, 4 texts a term (terms treated alike: 0.11, up to 0.15)",
        False,
    )
    assert made["quotes word for word"].found == "0.9990 of 1000 as served; written freely 0.2500 of 4"
    assert not made["quotes word for word"].met
    assert made["ECE by source"].found.startswith("highest sms ")
    assert "(scores that are right: 0." in made["ECE by source"].found
    assert not made["ECE, pooled"].met, "of a few rows"
    assert made["unparsed without grammar"] == Target(
        figure="unparsed without grammar", asked="at most 0.01", found="0.2500 of 4", met=False
    )


def test_what_was_not_measured_is_not_judged() -> None:
    """Only what is counted in every run stands for an empty report."""
    report = Report(facts=facts(), questions=3, unparsed_as_served=1)

    assert [(one.figure, one.met) for one in targets(report, "direct")] == [("unparsed as served", False)]


@pytest.mark.parametrize("categories", ["together", "apart"])
@pytest.mark.parametrize("takes_mean", [False, True])
def test_a_card_says_how_was_asked(tmp_path: Path, categories: str, *, takes_mean: bool) -> None:
    """Each category apart, and a mean of two scores, where it was so; the report says it, too."""
    save_tokenizer(tmp_path)
    (tmp_path / "metrics.json").write_bytes(orjson.dumps(card_facts()))
    report = evaluation().report
    facts = msgspec.structs.replace(report.facts, categories=categories, takes_mean=takes_mean)
    report = msgspec.structs.replace(report, facts=facts)
    attach_targets(tmp_path, report)

    for text in ((tmp_path / "README.md").read_text(encoding="utf-8"), render(report)):
        assert ("in a prompt of its own" in text) is (categories == "apart")
        assert ("the mean of before and after" in text) is takes_mean


def test_a_card_says_what_was_reached(tmp_path: Path) -> None:
    """With the run that measured it; figures that were there stay."""
    save_tokenizer(tmp_path)
    old = card_facts()
    (tmp_path / "metrics.json").write_bytes(orjson.dumps(old))

    attach_targets(tmp_path, evaluation().report)

    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "split `dev` (2026-01-02, at most 24 rows of each set and category, seed 1,\nnone, raw scores" in text
    assert "| unparsed without grammar | at most 0.01 | 0.2500 of 4 | **no** |" in text
    assert f"| right category cited | at least 0.8 | {HALF.value:.3f} (0.400 to 0.600); the commonest category" in text
    assert re.search(r"\| sms/spam \| \d+ \| \d+ \| 0\.\d\d \(0\.\d\d to [01]\.\d\d\) \|", text)
    assert orjson.loads((tmp_path / "metrics.json").read_bytes()).items() >= old.items()
