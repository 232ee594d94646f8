"""A run's state on disk: enough to go on, or to export, from any of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from msgspec import Struct

from worker.errors import TrainError

FILE_NAME: Final = "checkpoint.pt"


class Progress(Struct, kw_only=True):
    """How far a run is; ``batch`` counts within ``epoch``; ``decayed`` once its rate has begun to fall."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    nodes: int = 0
    examples: int = 0
    elapsed_s: float = 0.0
    decayed: bool = False


def save(
    folder: Path, model: Any, optimizer: Any, progress: Progress, shape: dict[str, Any], heads: Any = None
) -> None:
    """Write a checkpoint; an earlier one stays whole until the new one is."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": {name: getattr(progress, name) for name in progress.__struct_fields__},
        "shape": shape,
        "random": torch.get_rng_state(),
    }
    if heads is not None:
        state["heads"] = heads.state_dict()
    part = folder / f"{FILE_NAME}.part"
    torch.save(state, part)
    part.replace(folder / FILE_NAME)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint (a file, or the folder that holds it).

    Raises:
        TrainError: there is none, or it is not one.

    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        text = f"{file} is not a checkpoint of this program ({type(error).__name__}); name the folder given to --out"
        raise TrainError(text) from None
    return state


def mean_weights(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of each weight."""
    first, *others = (state["model"] for state in states)
    return {name: sum((one[name] for one in others), first[name]) / len(states) for name in first}
