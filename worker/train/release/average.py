"""The mean of several states of one run: often better than each of them, and no larger.

Izmailov et al. 2018 (arXiv 1803.05407) average states along one run, Wortsman et al. 2022 (arXiv 2203.05482) runs that
share their start. Of strangers the mean is nothing, so all must have one shape and one tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worker.errors import TrainError
from worker.train.model import checkpoint
from worker.train.sft import TOKENIZER_FILE


def read_states(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """Read the checkpoints of runs, files or folders, that can be averaged.

    Raises:
        TrainError: one is missing, or differs from the first in its shape or its tokenizer.

    """
    states = [checkpoint.load(run) for run in runs]
    tokenizers = [tokenizer_of(run).read_bytes() for run in runs]
    for run, state, tokenizer in zip(runs, states, tokenizers, strict=True):
        if state["shape"] != states[0]["shape"] or tokenizer != tokenizers[0]:
            text = f"{run} has another shape or tokenizer than {runs[0]}; only states of one run can be averaged"
            raise TrainError(text)
    return states


def tokenizer_of(run: Path) -> Path:
    """Return the tokenizer of a run, which is named by its folder or its checkpoint.

    Raises:
        TrainError: there is none.

    """
    found = (run if run.is_dir() else run.parent) / TOKENIZER_FILE
    if not found.is_file():
        text = f"{found} is missing; a checkpoint is exported from the folder that its run wrote"
        raise TrainError(text)
    return found
