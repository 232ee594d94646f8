"""Reinforced alignment from rows to a model folder: what ``train grpo`` does."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from worker.errors import TrainError
from worker.train.data import card
from worker.train.data.load import Loaded
from worker.train.data.reads import KEY, Reads, joined, plain, reads_of
from worker.train.recipe import RECIPE_FILE
from worker.train.rl.grpo import Job, train
from worker.train.rl.problems import read_rows
from worker.train.rl.runs import Say


def align(job: Job, data: Path, reads: Reads, say: Say) -> Path:
    """Read rows, write their card, run GRPO, and note what was read; returns the model's folder.

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
        _note(job.out / RECIPE_FILE, reads)
    return model


def _note(path: Path, reads: Reads) -> None:
    """Note what both runs read, so that an export of this one reads it again; a checkpoint of others has no run."""
    if path.is_file():
        recipe = orjson.loads(path.read_bytes())
        both = plain(joined(reads_of(recipe), reads))
        path.write_bytes(orjson.dumps(recipe | {KEY: both}, option=orjson.OPT_INDENT_2))


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
