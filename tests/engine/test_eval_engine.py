"""A whole evaluation on a real engine with random weights: the figures mean nothing, and all of them are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import Borrowed, settings
from tests.support.evaluating import made_data
from worker.commands.evaluate import measure
from worker.judge.engine import Engine
from worker.train.evaluation.judging import Answered
from worker.train.evaluation.markdown import render
from worker.train.evaluation.plots import draw
from worker.train.evaluation.probe import ProbedJudge
from worker.train.evaluation.report import Evaluation, load, save
from worker.train.evaluation.run import Options

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

ROWS = 20


def check_answers(answers: tuple[Answered, ...]) -> None:
    """Check what must hold of every answer."""
    for one in answers:
        assert one.status in {"judged", "truncated", "contradictory"}
        assert (one.score is None) == (one.status != "judged")
        assert one.tokens[3] > 0
        assert (one.tokens[2] > 0) == (one.method == "trace")
    assert len({one.key for one in answers}) == len(answers)


async def test_a_whole_evaluation(engine: Engine, model: Path, tmp_path: Path) -> None:
    """Every section on made-up rows, by both ways to score; report, answers and plots; then the same again."""
    judge = ProbedJudge(settings(model), lambda _settings, _folder: Borrowed(engine))
    await judge.start()
    said: list[str] = []

    found = await measure(judge, model, made_data(ROWS), Options(rows=4, in_flight=12), said.append)

    report = found.report
    assert report.facts.fingerprint == judge.model.fingerprint
    assert report.unparsed_as_served == 0
    check_answers(found.answers)
    check_report(found)
    save(found, tmp_path)
    assert load(tmp_path) == found
    assert render(report).count("\n## ") >= 12
    assert len(draw(found, tmp_path)) == 3
    assert any(line.startswith("following, trace") for line in said)


def check_report(found: Evaluation) -> None:
    """Check that every section has its figures, and that forced and free calls were made."""
    report = found.report
    for method in ("direct", "trace"):
        table = report.quality[method]
        assert table.pooled.rows == sum(one.rows for one in table.by_source.values()) == ROWS
        assert report.wording[method].pooled.rows == ROWS
        assert {"removed", "reordered"} <= report.following[method].keys()
        assert report.baseline[method]
        assert report.repeated[method].rows == 4
        assert set(report.identity[method]) == {"hate", "civility", "toxicity"}
        assert report.hard[method]["spam"]["all"].rows == 4
    assert report.quality["direct"].pooled.statuses == {"judged": ROWS}
    assert report.format is not None
    assert report.format.rows == 4
    assert report.quotes is not None
    # Of random tokens a text is often other tokens than those it was written with, so words may change.
    assert report.forced["own"].rows == 4
