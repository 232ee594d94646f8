"""Where reinforced alignment starts and what it leaves: a model folder, or a run of ``train sft``."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
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
from worker.records import canonical_json, sha256_hex
from worker.train.data.rows import Row
from worker.train.examples.tokenizer import save_tokenizer
from worker.train.model import checkpoint, network
from worker.train.model.checkpoint import Progress
from worker.train.recipe import RECIPE_FILE, TEMPLATE_FILE, load_demo_template
from worker.train.release.attach import today, write_papers
from worker.train.release.history import METRICS_FILE, History, Stage, learnt, of_model, of_run
from worker.train.release.history import write as write_history
from worker.train.release.limits import check_digits, digit_tokens, vocabulary
from worker.train.release.notice import BASE_NOTICE
from worker.train.sft import LOG_FILE, TOKENIZER_FILE

#: What ``out`` holds: the start as a model folder (runs of ``train sft`` only), and the result as one.
START_DIR: Final = "start"
MODEL_DIR: Final = "model"
#: What a model folder has beside its weights and configuration.
_BESIDE: Final = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "*.jinja",
    "*.model",
    "generation_config.json",
    "LICEN[CS]E*",
    BASE_NOTICE,
    TEMPLATE_NAME,
)
_MILLION: Final = 1_000_000
_HEAD: Final = "lm_head.weight"
_NOTICE: Final = "NOTICE"


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

    def history(self) -> History:
        """Return what is known of how it came about.

        Raises:
            TrainError: its notes cannot be read.

        """
        return of_run(self.run) if self.run else of_model(self.folder)

    def prompts(self) -> str:
        """Return a digest of tokenizer and template: two models that share it read the same token ids alike."""
        with (self.folder / "tokenizer.json").open("rb") as file:
            read = hashlib.file_digest(file, "sha256").hexdigest()
        return sha256_hex(canonical_json({"tokenizer": read, "template": self.template}))


def open_start(source: Path, out: Path) -> Start:
    """Open a model folder, or unpack a run of ``train sft`` into one below ``out``.

    Raises:
        TrainError: it is neither, or a model from scratch has tokens of several digits.
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
    start = Start(folder=folder, template=template, tokens=Tokens(folder, template), run=run)
    if not start.history().base:
        # Of others' checkpoints the card says it: their vocabulary is as it is.
        check_digits(vocabulary(folder))
    return start


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
    start: Start,
    model: Any,
    state: dict[str, Tensor],
    optimizer: Any,
    out: Path,
    stage: Stage,
    rows: Sequence[Row],
) -> Path:
    """Write the trained model as a folder that serving and evaluation read, and as a run where it came from one.

    Args:
        start: where the run started.
        model: the trained model; its weights may lie on several devices.
        state: its whole weights.
        optimizer: goes into the run's checkpoint.
        out: the run's folder.
        stage: what was done, for card and ``history.json``.
        rows: what the updates saw, each row once.

    Returns:
        The model folder, with its papers.

    """
    history = start.history().then(stage, learnt(rows))
    if start.run:
        _save_run(start.run, model, optimizer, out, history)
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
    _document(start, folder, history, sum(weight.numel() for weight in half.values()))
    return folder


def _document(start: Start, folder: Path, history: History, parameters: int) -> None:
    """Write coverage, card, NOTICE and figures beside a result; what its start brought of a licence goes along."""
    if (start.folder / _NOTICE).is_file() and not (start.folder / METRICS_FILE).is_file():
        shutil.copyfile(start.folder / _NOTICE, folder / BASE_NOTICE)
    root = history.base or f"rsafe-demo-{parameters // _MILLION}m"
    facts: dict[str, Any] = {
        "name": "-".join([root, *(stage.kind for stage in history.stages)]),
        "parameters": parameters,
        "date": today(),
        "base": history.base,
        "stages": msgspec.to_builtins(history.stages),
        "masked": start.template.placeholders,
        "digit_tokens": len(digit_tokens(vocabulary(folder))),
        "measured": {},
    }
    write_papers(folder, facts, history.learnt)


def _save_run(run: Path, model: Any, optimizer: Any, out: Path, history: History) -> None:
    """Write what ``train sft --export-only`` reads; the steps go on from those of the run."""
    state = checkpoint.load(run)
    progress = Progress(**state["progress"])
    progress.step += history.stages[-1].updates
    checkpoint.save(out, model, optimizer, progress, state["shape"])
    for name in (TOKENIZER_FILE, LOG_FILE):
        if (run / name).is_file() and run != out:
            shutil.copyfile(run / name, out / name)
    before = orjson.loads((run / RECIPE_FILE).read_bytes()) if (run / RECIPE_FILE).is_file() else {}
    told = {history.stages[-1].kind: history.stages[-1].recipe}
    (out / RECIPE_FILE).write_bytes(orjson.dumps(before | told, option=orjson.OPT_INDENT_2))
    write_history(out, history)
