"""Supervised stages of the study: the warm-up, an arm's epochs, and updates that go on from a checkpoint."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from msgspec import Struct

from worker.train.examples.batches import Batch, batches
from worker.train.examples.format import Teaching, epoch_groups
from worker.train.model import checkpoint, network
from worker.train.recipe import Ready, Recipe
from worker.train.sft import TOKENIZER_FILE, Run, Say, start_network
from worker.train.study.examples import Writer, families
from worker.train.study.plan import Study
from worker.train.study.rows import Accepts

EARLY_DIR: Final = "early"
_STATES_DIR: Final = "early-states"
_STATES: Final = 10
#: A checkpoint is written at least so often, in seconds.
SAVE_EVERY_S: Final = 60.0
_NO_LIMIT: Final = 1e9
_REPORT_EVERY: Final = 50

#: Whether the time is up.
Stop = Callable[[], bool]


class Stage(Struct, frozen=True, kw_only=True):
    """One supervised stage.

    Attributes:
        folder: its checkpoint, tokenizer and log.
        parent: the folder of the checkpoint that it starts from; None for a start from counts.
        seed: of weights, order and policies.
        epochs: it ends after so many, or
        updates: after so many updates (0: by epochs alone).
        rate: the highest learning rate.
        early_share: the mean of the states up to this share is kept in ``EARLY_DIR`` (0: none).
        early_span: the share over which that mean is taken, of ten states.
        threads: CPU threads.

    """

    folder: Path
    parent: Path | None
    seed: int
    epochs: int
    updates: int = 0
    rate: float
    early_share: float = 0.0
    early_span: float = 0.0
    threads: int = 1


class StageRun(Run):
    """A stage that is measured by what it has seen, not by the clock, so that it can stop and go on anywhere."""

    def __init__(self, stage: Stage, study: Study, ready: Ready, writer: Writer, tokenizer: Any, say: Say) -> None:
        """Build the network and load the parent or the stage's own last checkpoint."""
        recipe = _recipe(stage, study)
        torch.set_num_threads(stage.threads)
        super().__init__(recipe, ready, tokenizer, say)
        self.stage = stage
        self.writer = writer
        self.total = 0

    def open(self) -> None:
        """Load weights: the stage's own, its parent's, or a start from counts."""
        if (self.stage.folder / checkpoint.FILE_NAME).is_file():
            self.resume(checkpoint.load(self.stage.folder))
        elif self.stage.parent:
            self.model.load_state_dict(checkpoint.load(self.stage.parent)["model"])
        else:
            start_network(self)

    @property
    def share(self) -> float:
        """How much of the stage is done, 0 to 1, by examples or by updates."""
        if self.stage.updates:
            return min(1.0, self.progress.step / self.stage.updates)
        return min(1.0, self.progress.examples / max(1, self.total))

    def go(self, accepts: Accepts, stop: Stop, *, until: float = 1.0) -> bool:
        """Train until a share of the stage is done, or the time is up; return whether it is done."""
        self.total = 0 if self.stage.updates else self._count()
        self.model.train()
        last = time.monotonic()
        for batch in self._batches(accepts):
            if self.share >= until or stop():
                break
            self.losses.append(self.step(batch))
            self.progress.batch += 1
            if self.progress.step % _REPORT_EVERY == 0:
                self.say(f"{self.stage.folder.name}: {self.share:.0%}, loss {self.losses[-1]:.3f}")
            self._keep_early()
            if time.monotonic() - last > SAVE_EVERY_S:
                self.save()
                last = time.monotonic()
        else:
            self.progress.examples = max(self.progress.examples, self.total)
        self._keep_early()
        self.save()
        return self.share >= until

    def save(self) -> None:
        """Write the checkpoint."""
        checkpoint.save(self.stage.folder, self.model, self.optimizer, self.progress, self.shape)

    def _keep_early(self) -> None:
        """Keep states on the way to ``early_share``, and there their mean as a run that can be started from.

        At a full rate the label's odds sway from update to update for all questions alike, so that a single state
        may say safe to everything.
        """
        stage, folder = self.stage, self.stage.folder / _STATES_DIR
        since = self.share - (stage.early_share - stage.early_span)
        if not stage.early_share or since < 0 or (stage.folder / EARLY_DIR).is_dir():
            return
        folder.mkdir(exist_ok=True)
        path = folder / f"{int(_STATES * min(1.0, since / stage.early_span)):02}.pt"
        if not path.is_file():
            checkpoint.save(folder, self.model, self.optimizer, self.progress, self.shape)
            (folder / checkpoint.FILE_NAME).rename(path)
        if self.share >= stage.early_share:
            self._mean_of(folder)

    def _mean_of(self, states: Path) -> None:
        """Write the mean of states, with the tokenizer and all else of the last one."""
        folder = self.stage.folder / EARLY_DIR
        part = folder.with_suffix(".part")
        part.mkdir(exist_ok=True)
        mean = network.build(seed=0, **self.shape)
        mean.load_state_dict(checkpoint.mean_weights([checkpoint.load(path) for path in sorted(states.glob("*.pt"))]))
        checkpoint.save(part, mean, self.optimizer, self.progress, self.shape)
        shutil.copyfile(self.stage.folder / TOKENIZER_FILE, part / TOKENIZER_FILE)
        part.rename(folder)
        shutil.rmtree(states)

    def _seed(self, epoch: int) -> str:
        kind = "warmup" if self.writer.way is None else "updates" if self.stage.updates else "sft"
        return f"{self.stage.seed}/{kind}/{epoch}"

    def _count(self) -> int:
        """Count the examples of all epochs; groups are drawn as the stream will draw them, words are not."""
        return sum(
            len(group)
            for epoch in range(self.stage.epochs)
            for group in epoch_groups(self.ready.train, random.Random(f"{self._seed(epoch)}/policies"))
        )

    def _batches(self, accepts: Accepts) -> Iterator[Batch]:
        """Yield what is left of the stage; ``progress.batch`` counts within an epoch."""
        skip = self.progress.batch
        while self.progress.epoch < self.stage.epochs or self.stage.updates:
            source = families(self.ready.train, self.ready.sets, accepts, self.writer, self._seed(self.progress.epoch))
            for number, batch in enumerate(batches(source, self.recipe.step_tokens, network.MAX_POSITIONS)):
                if number >= skip:
                    yield batch
            skip, self.progress.batch = 0, 0
            self.progress.epoch += 1


def _recipe(stage: Stage, study: Study) -> Recipe:
    """Return what ``Run`` has to know; the clock never ends a stage."""
    return Recipe(
        data=stage.folder,
        out=stage.folder,
        max_minutes=_NO_LIMIT,
        max_steps=stage.updates or int(_NO_LIMIT),
        seed=stage.seed,
        threads=stage.threads,
        device="cpu",
        layers=study.layers,
        hidden=study.hidden,
        # Arms differ by what they are taught to write, and by nothing else.
        teaching=Teaching(hints=0.0),
        vocab_size=study.vocab_size,
        peak_rate=stage.rate,
        step_tokens=study.step_tokens,
        lm_share=0.0,
        decay_share=study.decay_share,
        dropout=study.dropout,
        embedding_scale=study.embedding_scale,
    )
