"""From a checkpoint to a model folder that the worker serves."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig

from worker.errors import TrainError
from worker.judge.template import FILE_NAME as TEMPLATE_NAME
from worker.train import curve
from worker.train.evaluate import cases, direct_scores, table, trace_scores
from worker.train.examples.format import Formatter
from worker.train.examples.tokenizer import check_labels, save_tokenizer
from worker.train.model import checkpoint, network
from worker.train.recipe import TEMPLATE_FILE, Ready, load_demo_template
from worker.train.release import card
from worker.train.sft import LOG_FILE, TOKENIZER_FILE

MAX_BYTES: Final = 18 * 2**20
MAX_PARAMETERS: Final = 8_000_000
_MILLION: Final = 1e6


class Trained:
    """A checkpoint that is read back, with its tokenizer and template."""

    def __init__(self, run: Path) -> None:
        """Read a run's folder.

        Raises:
            TrainError: there is no checkpoint or no tokenizer in it.

        """
        folder = run if run.is_dir() else run.parent
        state = checkpoint.load(run)
        tokenizer = folder / TOKENIZER_FILE
        if not tokenizer.is_file():
            text = f"{tokenizer} is missing; a checkpoint is exported from the folder that its run wrote"
            raise TrainError(text)
        self.folder = folder
        self.template = load_demo_template()
        self.tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        self.progress: dict[str, Any] = state["progress"]
        self.model = network.build(seed=0, **state["shape"])
        self.model.load_state_dict(state["model"])
        self.model.eval()

    def recipe(self) -> dict[str, Any]:
        """Return what the run was told."""
        found: dict[str, Any] = orjson.loads((self.folder / "recipe.json").read_bytes())
        return found


def name_of(model: Any) -> str:
    """Name a small model by its size in millions of parameters."""
    return f"rsafe-demo-{int(network.parameters(model) / _MILLION)}m"


def export(trained: Trained, out: Path) -> Path:
    """Write everything that serving reads.

    Raises:
        TrainError: the model is larger than a demo model may be.

    """
    size = network.parameters(trained.model)
    if size > MAX_PARAMETERS or size * 2 > MAX_BYTES:
        text = f"{size} parameters are too many for a demo model ({MAX_PARAMETERS}); lower --layers or --hidden"
        raise TrainError(text)
    out.mkdir(parents=True, exist_ok=True)
    trained.tokenizer.encode_special_tokens = False
    check_labels(trained.tokenizer, trained.template)
    trained.model.to(torch.bfloat16).save_pretrained(out)
    trained.model.to(torch.float32)
    _generation(trained).save_pretrained(out)
    save_tokenizer(trained.tokenizer, trained.template, out, network.MAX_POSITIONS)
    shutil.copyfile(TEMPLATE_FILE, out / TEMPLATE_NAME)
    return out


def _generation(trained: Trained) -> GenerationConfig:
    config = trained.model.config
    return GenerationConfig(do_sample=False, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id)


def measure(trained: Trained, ready: Ready, limit: int) -> dict[str, Any]:
    """Measure dev and test rows with and without reasoning, as the exported (bf16) weights answer."""
    trained.model.to(torch.bfloat16).to(torch.float32)
    formatter = Formatter(trained.template, trained.tokenizer)
    found: dict[str, Any] = {}
    for split, rows in (("dev", ready.dev), ("test", ready.test)):
        chosen = cases(rows, limit)
        found[split] = {
            "direct": table(chosen, direct_scores(trained.model, formatter, chosen)),
            "trace": table(chosen, trace_scores(trained.model, formatter, chosen)),
        }
    return found


def document(trained: Trained, out: Path, measured: Mapping[str, Any]) -> None:
    """Write ``metrics.json``, the model card made from it, NOTICE and the learning curve."""
    facts: dict[str, Any] = {
        "name": name_of(trained.model),
        "parameters": network.parameters(trained.model),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "recipe": trained.recipe(),
        "progress": trained.progress,
        "measured": measured,
    }
    (out / "metrics.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2) + b"\n")
    (out / "README.md").write_text(card.render(facts), encoding="utf-8")
    (out / "NOTICE").write_text(card.notice(facts["name"]), encoding="utf-8")
    curve.draw(trained.folder / LOG_FILE, out / "curve.png")
