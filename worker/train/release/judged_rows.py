"""Raw scores of calibration rows, from the judge that serves, with and without reasoning."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from msgspec import Struct

from worker.config import Settings
from worker.judge.engine import EngineFacts
from worker.judge.judge import RsafeJudge
from worker.records import ScoreMethod
from worker.train.data.rows import Row
from worker.train.evaluation.cases import METHODS, own_questions
from worker.train.evaluation.judging import Clock, Result, answers, judge_all
from worker.train.evaluation.quality import pooled
from worker.train.release.calibrate import Scored

Say = Callable[[str], None]


class RawScores(Struct, frozen=True, kw_only=True):
    """Scores by method, and what made them."""

    scored: dict[ScoreMethod, Scored]
    engine: EngineFacts
    reasoning_max_tokens: int


async def raw_scores(
    judge: RsafeJudge, settings: Settings, rows: Sequence[Row], limit: int, seed: int, say: Say
) -> RawScores:
    """Judge rows by each method under the canonical policy of what their set was labelled for.

    Args:
        judge: made with ``calibrated=False``; it is started and stopped here.
        settings: bounds what runs at once.
        rows: of the calibration split.
        limit: rows for each set and concept.
        seed: of the choice of rows.
        say: hears of progress.

    Raises:
        ModelError: the model's folder cannot be served.
        EngineDead: the engine did not come up, or went away.

    """
    shuffled = list(rows)
    random.Random(f"calib/{seed}").shuffle(shuffled)
    try:
        await judge.start()
        return RawScores(
            scored={method: await _scored(judge, settings, shuffled, limit, method, say) for method in METHODS},
            engine=judge.facts,
            reasoning_max_tokens=judge.reasoning_max_tokens,
        )
    finally:
        await judge.stop()


async def _scored(
    judge: RsafeJudge, settings: Settings, rows: Sequence[Row], limit: int, method: ScoreMethod, say: Say
) -> Scored:
    questions = own_questions(rows, limit, method)
    clock = Clock(say, f"calibration, {method}")
    return scored(await judge_all(judge, questions, 2 * settings.max_num_seqs, clock))


def scored(results: Sequence[Result]) -> Scored:
    """Return scores, labels and concepts of judged questions, as far as they may be pooled: one curve is fitted."""
    found = pooled(answers(results))
    return Scored(
        scores=[one.score for one in found],
        labels=[one.unsafe for one in found],
        categories=[one.concept for one in found],
    )
