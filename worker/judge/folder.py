"""Where the model is: the folder that the settings name, or the demonstration's."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from worker.config import Settings
from worker.errors import ModelError

logger: Final = logging.getLogger(__name__)
#: Names of models that were made to show this program, not to moderate.
DEMO_PREFIX: Final = "rsafe-demo-"
_SHIPPED: Final = Path(__file__).parents[1] / "demo" / "model"
_NEEDED: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")


def find_model(settings: Settings, shipped: Path = _SHIPPED) -> Path:
    """Return the model's folder; the newest shipped one where the settings name none.

    Raises:
        ModelError: there is none, or it lacks a file.

    """
    if settings.model:
        return _checked(Path(settings.model))
    found = sorted(path for path in shipped.glob(DEMO_PREFIX + "*") if path.is_dir())
    if not found:
        text = "no model is set and none is shipped; give the folder of a checkpoint with --model or RSAFE_MODEL"
        raise ModelError(text)
    return _checked(found[-1])


def model_name(folder: Path) -> str:
    """Return the name that goes into verdicts: that of the folder, links followed."""
    return folder.resolve().name


def warn_of_demo(folder: Path) -> None:
    """Say in the log that the model is no moderator, if it is one of the demonstration's."""
    if model_name(folder).startswith(DEMO_PREFIX):
        logger.warning(
            "%s is a demonstration model of a few million parameters: do not moderate people with it; "
            "give a real checkpoint with --model or RSAFE_MODEL",
            model_name(folder),
        )


def _checked(folder: Path) -> Path:
    if not folder.is_dir():
        text = f"the model folder {folder} does not exist; give the folder of a checkpoint with --model or RSAFE_MODEL"
        raise ModelError(text)
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        text = f"the model folder {folder} lacks {', '.join(missing)}; save model and fast tokenizer into it"
        raise ModelError(text)
    _check_json(folder / "config.json")
    return folder


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        text = f"{path} is not JSON; save the model again"
        raise ModelError(text) from None
