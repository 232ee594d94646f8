"""A calibration made and used on a real engine: its weights are random, so only the arithmetic can be right."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.engine.conftest import Borrowed, settings
from tests.support.judging import message
from tests.support.papers import method as fitted
from tests.support.papers import save_calibration
from tests.support.train_rows import some_rows
from worker.judge.calibration import Curve
from worker.judge.engine import Engine
from worker.judge.judge import RsafeJudge
from worker.records import ScoreMethod
from worker.train.evaluation.cases import METHODS, own_questions
from worker.train.release.judged_rows import raw_scores

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_raw_scores_and_what_is_made_of_them(engine: Engine, model: Path, tmp_path: Path) -> None:
    """Both methods are scored raw beside an old calibration, and serving applies the curve to the same scores."""
    folder = Path(shutil.copytree(model, tmp_path / "tiny"))
    save_calibration(folder, direct=fitted(slope=0.5, intercept=1.0))
    chosen = settings(folder)
    judge = RsafeJudge(chosen, lambda _settings, _folder: Borrowed(engine), calibrated=False)
    raw = await raw_scores(judge, chosen, some_rows(6), 6, 1, lambda _: None)

    assert set(raw.scored) == set(METHODS)
    assert raw.engine == engine.facts
    assert [len(one.scores) for one in raw.scored.values()] == [12, 12]
    assert all(score is not None for score in raw.scored["direct"].scores)

    serving = RsafeJudge(chosen, lambda _settings, _folder: Borrowed(engine))
    await serving.start()
    direct: ScoreMethod = "direct"
    question = own_questions(some_rows(1), 1, direct)[0]
    before = await judge.judge(message("hello there"), question.policy)
    after = await serving.judge(message("hello there"), question.policy)

    assert before.score is not None
    assert after.score == pytest.approx(Curve(slope=0.5, intercept=1.0)(before.score), abs=1e-3)
    assert after.unevaluated == tuple(item.id for item in question.policy.judging.categories)
