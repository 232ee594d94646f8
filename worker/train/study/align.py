"""Reinforced arms of the study: GRPO in chunks, so that it can stop between two and go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker.train.model import checkpoint
from worker.train.rl import grpo
from worker.train.rl.problems import Rows
from worker.train.rl.recipes import GrpoRecipe, load_recipe
from worker.train.rl.runs import CHECKPOINTS
from worker.train.sft import Say
from worker.train.study.plan import Study, Way
from worker.train.study.supervise import Stop

_RECIPE: Final = "small-cpu"
#: A verdict without reasoning has a label, at most six ids, and an end.
_VERDICT_TOKENS: Final = 24


class Reinforced(Struct, frozen=True, kw_only=True):
    """One reinforced arm and seed.

    Attributes:
        folder: of the run.
        source: the early state.
        rows: what is asked.
        way, seed, study: which arm, and how large it is.
        threads: CPU threads.

    """

    folder: Path
    source: Path
    rows: Rows
    way: Way
    seed: int
    study: Study
    threads: int = 1

    def recipe(self) -> GrpoRecipe:
        """Return the small model's recipe at the study's size."""
        study, base = self.study, load_recipe(_RECIPE)
        return msgspec.structs.replace(
            base,
            name=f"study-{_RECIPE}",
            prompts=study.updates * study.prompts_per_update,
            prompts_per_step=study.prompts_per_update,
            micro_batch=study.prompts_per_update * study.group,
            group=study.group,
            max_steps=study.updates,
            learning_rate=study.update_rate,
            max_response_tokens=base.max_response_tokens if self.way.reasoning else _VERDICT_TOKENS,
            reasoning=self.way.reasoning,
            beta=study.kl_weight,
            eval_prompts=study.eval_prompts,
            eval_steps=study.update_chunk,
            save_steps=study.update_chunk,
            threads=self.threads,
            seed=self.seed,
        )

    def done(self) -> int:
        """Return the updates of the last checkpoint."""
        found = (self.folder / CHECKPOINTS).glob("checkpoint-*")
        return max((int(path.name.rpartition("-")[2]) for path in found), default=0)

    def go(self, stop: Stop, say: Say, train: Callable[[grpo.Job, Rows, Say], Path] = grpo.train) -> bool:
        """Run chunk after chunk until all updates are taken, or the time is up; return whether they are."""
        whole = self.recipe()
        self._drop_unsaved()
        while (before := self.done()) < whole.max_steps and not stop():
            chunk = min(before + self.study.update_chunk, whole.max_steps)
            recipe = msgspec.structs.replace(whole, max_steps=chunk)
            train(grpo.Job(recipe=recipe, source=self.source, out=self.folder, resume=before > 0), self.rows, say)
        return before >= whole.max_steps

    def _drop_unsaved(self) -> None:
        """Drop checkpoints of a chunk that was cut off before its weights were written as a run's."""
        saved = max(0, steps_of(self.folder) - steps_of(self.source))
        for path in (self.folder / CHECKPOINTS).glob("checkpoint-*"):
            if int(path.name.rpartition("-")[2]) > saved:
                shutil.rmtree(path)


def steps_of(folder: Path) -> int:
    """Return the updates of a folder's checkpoint; 0 without one."""
    if not (folder / checkpoint.FILE_NAME).is_file():
        return 0
    return int(checkpoint.load(folder)["progress"]["step"])
