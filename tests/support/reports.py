"""A made-up evaluation with every part."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec

from tests.support.evaluating import many
from worker.train.evaluation import fairness, formats, quality, reasoning
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.following import Held, figures
from worker.train.evaluation.report import Evaluation, Facts, Report

LABELS: Final = [True, True, False, False] * 6
SCORES: Final = [0.9, 0.4, 0.35, 0.1] * 6
HALF: Final = Interval(value=0.5, low=0.4, high=0.6)
HELD: Final = [
    Held(kind=kind, flip=kind == "removed", group=str(n), unsafe=n % 2 == 0, before=True, after=n < 3, listed=n < 2)
    for kind in ("removed", "renamed")
    for n in range(4)
]


def facts(**changes: Any) -> Facts:
    """Return facts of a made-up run."""
    given: dict[str, Any] = {
        "date": dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC),
        "seed": 1,
        "split": "dev",
        "rows_limit": 24,
        "model": "made-up",
        "fingerprint": "ab" * 32,
        "calibration": None,
        "engine": "none",
        "in_flight": 4,
        "wall_s": 1.5,
        "data_files": {"made.csv": "0" * 64},
        "rows_digest": "1" * 64,
    }
    return Facts(**(given | changes))


def evaluation(**changes: Any) -> Evaluation:
    """Return an evaluation with every part."""
    found = many(LABELS, SCORES)
    table = quality.table(found, found, seed=1)
    versus = quality.versus(found, found, {"sms/spam": {one.place: 0.5 for one in found}}, lambda one: one.name, seed=1)
    calibration = table.pooled.calibration
    assert calibration is not None
    report = Report(
        facts=facts(),
        questions=len(found),
        unparsed_as_served=0,
        better_method="direct",
        quality={"direct": table},
        wording={"direct": table},
        cost={"direct": quality.cost(found)},
        baseline={"direct": versus},
        format=formats.Format(rows=4, unparsed=0.25, statuses={"judged": 3}, agreement=0.75, agreement_parsed=None),
        repeated={"direct": formats.Repeated(rows=4, flips=0.0, max_score_change=0.001)},
        following={"direct": figures(HELD, seed=1)},
        swapped_calibration={"direct": calibration},
        citation={
            "direct": reasoning.Citation(
                true_positives=4, right=HALF, any_right=0.5, majority=0.25, linear=0.5, over_linear=HALF
            )
        },
        swapped_ece={"direct": HALF},
        citation_parts={
            "direct": reasoning.Citation(
                true_positives=3,
                right=HALF,
                any_right=0.5,
                majority=0.25,
                linear=0.5,
                over_linear=HALF,
                by_source={"edos": 2, "hatemoji": 1},
            )
        },
        quotes=reasoning.Quotes(reasonings=3, quotes=2, verbatim=None),
        quotes_free=reasoning.Quotes(reasonings=3, quotes=4, verbatim=0.25),
        evidence=reasoning.Evidence(rows=2, all=HALF, true_positives=None, whole_text=0.3, linear=0.1),
        forced={"opposite word": reasoning.Forced(rows=3, changed=HALF, contradictory=0.0)},
        identity={
            "direct": {
                "hate": fairness.Gap(
                    rows=9, terms=2, fpr=0.1, gap=None, highest=(("old", 0.2),), lowest=(("old", 0.2),), fpr_spread=HALF
                )
            }
        },
        hard={"direct": {"spam": {"all": fairness.Rate(rows=3, fpr=0.5, unjudged=0, spread=HALF)}}},
    )
    return Evaluation(report=msgspec.structs.replace(report, **changes), answers=tuple(found))
