"""Every failure on a message's path has its row: what it becomes, what counts it, what follows."""

from __future__ import annotations

import ast
import inspect
from typing import Final, get_args

import pytest

from tests.support.source_tree import modules
from worker import errors
from worker.docs import failures_table
from worker.errors import EngineError, RecordError, StreamError
from worker.failures import FAILURES, FailureRow
from worker.metrics import CATALOGUE
from worker.records import Status

#: Bases and errors of commands, which no message on its way meets.
NOT_ON_THE_PATH: Final = {StreamError, EngineError, RecordError}


def test_every_status_has_a_row() -> None:
    """Each but ``judged``, each counted with the verdicts, and each leading to an action that is not silence."""
    rows = [row for row in FAILURES if row.status is not None]

    assert {row.status for row in rows} == set(get_args(Status)) - {"judged"}
    assert all("rsafe_verdicts" in row.metrics for row in rows)


def test_every_error_on_the_path_has_a_row() -> None:
    """What the engine, Kafka or a record can raise."""
    on_the_path = {
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, StreamError | EngineError | RecordError)
    }

    assert {kind for row in FAILURES for kind in row.errors} == on_the_path - NOT_ON_THE_PATH


def test_every_stage_of_a_dead_letter_has_a_row() -> None:
    """As the calls that make dead letters name them."""
    named = set()
    for node in (node for module in modules() for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
        stage = next((one.value for one in node.keywords if one.arg == "stage"), None)
        if ast.unparse(node.func) == "dead_letter_of":
            named.add(ast.literal_eval(node.args[2]))
        elif ast.unparse(node.func).endswith("Failure.of") and isinstance(node.args[0], ast.Constant):
            named.add(ast.literal_eval(node.args[0]))
        elif ast.unparse(node.func).endswith("Failure") and stage is not None:
            named.add(ast.literal_eval(stage))

    assert {row.stage for row in FAILURES if row.stage is not None} == named


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.what)
def test_every_row_is_whole(row: FailureRow) -> None:
    """One outcome, at least one metric of the catalogue, and words for what follows; the table shows it."""
    known = {spec.name for spec in CATALOGUE}

    assert [row.status is not None, row.stage is not None, bool(row.outcome)].count(True) == 1
    assert row.metrics
    assert set(row.metrics) <= known
    assert row.follows
    assert row.what in failures_table()
    assert row.becomes in failures_table()
