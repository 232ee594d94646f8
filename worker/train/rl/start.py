"""Where reinforced alignment starts and what it leaves: a model folder, or a run of ``train sft``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import orjson
import torch
from msgspec import Struct
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig

from worker.errors import TrainError
from worker.judge.template import FILE_NAME as TEMPLATE_NAME
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.train.examples.tokenizer import save_tokenizer
from worker.train.model import checkpoint, network
from worker.train.model.checkpoint import Progress
from worker.train.recipe import TEMPLATE_FILE, load_demo_template
from worker.train.sft import LOG_FILE, TOKENIZER_FILE

#: What ``out`` holds: the start as a model folder (runs of ``train sft`` only), and the result as one.
START_DIR: Final = "start"
MODEL_DIR: Final = "model"
RECIPE_FILE: Final = "recipe.json"
#: What a model folder has beside its weights and configuration.
_BESIDE: Final = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "*.jinja",
    "*.model",
    "generation_config.json",
    TEMPLATE_NAME,
)
_HEAD: Final = "lm_head.weight"


class Start(Struct, frozen=True, kw_only=True):
    """Where a run starts.

    Attributes:
        folder: the model folder that is trained.
        template: how it is prompted.
        tokens: its tokenizer, as serving uses it.
        run: the folder of the ``train sft`` run, None for a model folder.

    """

    folder: Path
    template: Template
    tokens: Tokens
    run: Path | None


def open_start(source: Path, out: Path) -> Start:
    """Open a model folder, or unpack a run of ``train sft`` into one below ``out``.

    Raises:
        TrainError: it is neither.
        ModelError: the folder's tokenizer does not fit its template.

    """
    if (source / checkpoint.FILE_NAME).is_file():
        folder, run = _unpack(source, out / START_DIR), source
    elif (source / "config.json").is_file():
        folder, run = source, None
    else:
        text = f"{source} is neither a model folder nor a run of `train sft`; name one with --from"
        raise TrainError(text)
    template = load_template(folder)
    return Start(folder=folder, template=template, tokens=Tokens(folder, template), run=run)


def _unpack(run: Path, folder: Path) -> Path:
    """Write a run's checkpoint as a model folder in full precision."""
    state, template = checkpoint.load(run), load_demo_template()
    model = network.build(seed=0, **state["shape"])
    model.load_state_dict(state["model"])
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    GenerationConfig(eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id).save_pretrained(
        folder
    )
    save_tokenizer(Tokenizer.from_file(str(run / TOKENIZER_FILE)), template, folder, network.MAX_POSITIONS)
    shutil.copyfile(TEMPLATE_FILE, folder / TEMPLATE_NAME)
    return folder


def load_model(start: Start) -> Any:
    """Load the weights in full precision: steps of 1e-7 are lost in half of it."""
    return AutoModelForCausalLM.from_pretrained(start.folder, dtype=torch.float32, attn_implementation="sdpa")


def save_result(
    start: Start, model: Any, state: dict[str, Tensor], optimizer: Any, out: Path, steps: int, told: dict[str, Any]
) -> Path:
    """Write the trained model as a folder that serving and evaluation read, and as a run where it came from one.

    Args:
        start: where the run started.
        model: the trained model; its weights may lie on several devices.
        state: its whole weights.
        optimizer: goes into the run's checkpoint.
        out: the run's folder.
        steps: the updates that were taken.
        told: the recipe, for ``recipe.json``.

    Returns:
        The model folder.

    """
    if start.run:
        _save_run(start.run, model, optimizer, out, steps, told)
    folder = out / MODEL_DIR
    tied = model.config.tie_word_embeddings
    half = {name: weight.to(torch.bfloat16) for name, weight in state.items() if not (tied and name == _HEAD)}
    model.save_pretrained(folder, state_dict=half)
    # It was told the number format of the model in memory.
    model.config.dtype = torch.bfloat16
    model.config.save_pretrained(folder)
    for pattern in _BESIDE:
        for path in start.folder.glob(pattern):
            shutil.copyfile(path, folder / path.name)
    return folder


def _save_run(run: Path, model: Any, optimizer: Any, out: Path, steps: int, told: dict[str, Any]) -> None:
    """Write what ``train sft --export-only`` reads; the steps go on from those of the run."""
    state = checkpoint.load(run)
    progress = Progress(**state["progress"])
    progress.step += steps
    checkpoint.save(out, model, optimizer, progress, state["shape"])
    for name in (TOKENIZER_FILE, LOG_FILE):
        if (run / name).is_file() and run != out:
            shutil.copyfile(run / name, out / name)
    before = orjson.loads((run / RECIPE_FILE).read_bytes()) if (run / RECIPE_FILE).is_file() else {}
    (out / RECIPE_FILE).write_bytes(orjson.dumps(before | {"grpo": told}, option=orjson.OPT_INDENT_2))
