"""Reinforced alignment from rows to a model folder that says what it was made from: what ``train grpo`` does."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from worker.errors import TrainError
from worker.train.data import card
from worker.train.data.load import Loaded
from worker.train.data.reads import Reads
from worker.train.release.aligned import mark_aligned
from worker.train.rl.grpo import Job, Say, train
from worker.train.rl.problems import read_rows


def align(job: Job, data: Path, reads: Reads, say: Say) -> Path:
    """Read rows, write their card, run GRPO, and mark the model; returns its folder.

    Args:
        job: the run.
        data: the folder of data sets, or a file of rows.
        reads: which sets of the paper to read.
        say: hears of progress.

    Raises:
        TrainError: rows that are not there, must not train, or are not those of the run that goes on; see
            ``grpo.train``.

    """
    say("reading the rows")
    rows = read_rows(data, job.recipe.seed, reads)
    if job.resume and rows.loaded:
        _check_same(job.out / card.JSON_FILE, rows.loaded)
    # Under torchrun every process reads; one writes.
    writes = rows.loaded if os.environ.get("RANK", "0") == "0" else None
    if writes:
        card.write(job.out, writes)
    model = train(job, rows, say)
    if writes:
        mark_aligned(job.source, job.out, model, writes, reads)
    return model


def _check_same(path: Path, loaded: Loaded) -> None:
    """Check that a run goes on with its own sets: a mark that others call for must not be lost."""
    if not path.is_file():
        return
    before, now = set(orjson.loads(path.read_bytes())["sources"]), {row.source for row in (*loaded.rows, *loaded.own)}
    if before != now:
        text = (
            f"the run read {', '.join(sorted(before))}, not {', '.join(sorted(now))}; give the same --data and --paper"
        )
        raise TrainError(text)
