"""What runs on a trainer of transformers share: their folder, log and checkpoints, and how the result is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from worker.errors import TrainError
from worker.train.data.rows import Row
from worker.train.release.history import Stage
from worker.train.rl.start import MODEL_DIR, Start, save_result

CHECKPOINTS: Final = "checkpoints"
#: So many checkpoints stay on disk.
KEPT: Final = 2
Say = Callable[[str], None]


class JsonLog(TrainerCallback):  # type: ignore[misc]
    """Writes what a trainer measures as JSON lines, and one line of progress each."""

    def __init__(self, file: Path, names: Mapping[str, str], needed: str, say: Say) -> None:
        """Keep where it goes.

        Args:
            file: the log.
            names: from the trainer's names to ours.
            needed: entries without this one of our names are left out.
            say: takes lines of progress.

        """
        self._file = file
        self._names = names
        self._needed = needed
        self._say = say

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Keep one entry."""
        found = logs or {}
        evaluated = any(name.startswith("eval_") for name in found)
        lead = "eval_" if evaluated else ""
        entry = {
            ours: round(found[lead + theirs], 9)
            for theirs, ours in self._names.items()
            if found.get(lead + theirs) is not None
        }
        if not state.is_world_process_zero or self._needed not in entry:
            return
        part = "dev" if evaluated else "train"
        with self._file.open("ab") as file:
            file.write(orjson.dumps({"step": state.global_step, "part": part} | entry) + b"\n")
        self._say(f"{part} step {state.global_step}/{state.max_steps} {self.more(entry, evaluated=evaluated)}")

    def more(self, entry: dict[str, float], *, evaluated: bool) -> str:
        """Name the figures of one line of progress."""
        raise NotImplementedError


def begin(out: Path, log: str, *, resume: bool) -> str | None:
    """Make the run's folder and return the checkpoint to go on from; None for a new run.

    The log keeps its entries up to that checkpoint: what came after it is done again.

    Raises:
        TrainError: there is none.

    """
    checkpoint = _last_checkpoint(out) if resume else None
    out.mkdir(parents=True, exist_ok=True)
    if os.environ.get("RANK", "0") == "0":
        _cut_log(out / log, int(checkpoint.rpartition("-")[2]) if checkpoint else 0)
    return checkpoint


def _cut_log(path: Path, step: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    path.write_bytes(b"".join(line for line in lines if orjson.loads(line)["step"] <= step))


def _last_checkpoint(out: Path) -> str:
    found = sorted((out / CHECKPOINTS).glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    if not found:
        text = f"{out} has no checkpoint to go on from; start without --resume"
        raise TrainError(text)
    return str(found[-1])


def sharding(*, fsdp: bool, gradient_checkpointing: bool) -> dict[str, Any]:
    """Shard over processes, where there are several; it has its own way to save memory for time."""
    if not fsdp or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return {"gradient_checkpointing": gradient_checkpointing}
    chosen = {"version": 2, "activation_checkpointing": gradient_checkpointing}
    return {"gradient_checkpointing": False, "fsdp": True, "fsdp_config": chosen}


def quiet(trainer: Any) -> Any:
    """Take what prints by itself from a trainer: ``JsonLog`` tells more."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def different(rows: Iterable[Row]) -> list[Row]:
    """Return each row once."""
    return list({(row.source, row.place): row for row in rows}.values())


def save(trainer: Any, start: Start, out: Path, stage: Stage, rows: Sequence[Row]) -> Path:
    """Keep what was trained, with its papers, and return the model folder.

    Args:
        trainer: whose updates are taken.
        start: where it began.
        out: the run's folder.
        stage: what it did.
        rows: those that its updates saw, each once.

    """
    # Every process takes part in gathering the weights; one writes them.
    state = trainer.accelerator.get_state_dict(trainer.model)
    if trainer.accelerator.is_main_process:
        model = trainer.accelerator.unwrap_model(trainer.model)
        save_result(start, model, state, trainer.optimizer, out, stage, rows)
    return out / MODEL_DIR
