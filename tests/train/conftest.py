"""One small network that has learnt the format, for every test of what comes after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rl_runs import small_run
from worker.train.sft import Run


@pytest.fixture(scope="session")
def sft(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of supervised training; its folder is ``sft.recipe.out``."""
    return small_run(tmp_path_factory.mktemp("train") / "sft")


@pytest.fixture(scope="session")
def sft_folder(sft: Run) -> Path:
    """The folder of that run."""
    return sft.recipe.out
