"""From a checkpoint to a model folder that the worker serves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig

from worker.judge.template import FILE_NAME as TEMPLATE_NAME
from worker.train import curve
from worker.train.data.reads import without_paths
from worker.train.data.rows import Row
from worker.train.evaluate import cases, direct_scores, table, trace_scores
from worker.train.examples.format import Formatter
from worker.train.examples.tokenizer import check_labels, save_tokenizer
from worker.train.model import checkpoint, network
from worker.train.recipe import TEMPLATE_FILE, Ready, load_demo_template
from worker.train.release.attach import today, write_papers
from worker.train.release.average import read_states, tokenizer_of
from worker.train.release.canaries import Canary, make
from worker.train.release.extraction import Attack, canary_secrets, planted, training_secrets
from worker.train.release.given_back import Report, check, check_full
from worker.train.release.history import History, Learnt, of_run
from worker.train.release.limits import check_digits, check_parameters, check_size
from worker.train.sft import LOG_FILE

_MILLION: Final = 1e6


class Trained:
    """A checkpoint that is read back, with its tokenizer and template.

    Attributes:
        averaged: after how many steps the states were whose mean it is; one for a single state.

    """

    def __init__(self, run: Path, others: Sequence[Path] = ()) -> None:
        """Read a run's folder; the weights are the mean of its state and of those of ``others``.

        Raises:
            TrainError: there is no checkpoint or no tokenizer in one, or they are not of one run.

        """
        states = read_states([run, *others])
        tokenizer = tokenizer_of(run)
        self.folder = tokenizer.parent
        self.template = load_demo_template()
        self.tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        self.progress: dict[str, Any] = states[0]["progress"]
        self.averaged = tuple(sorted(state["progress"]["step"] for state in states))
        self.model = network.build(seed=0, **states[0]["shape"])
        self.model.load_state_dict(checkpoint.mean_weights(states))
        self.model.eval()

    def recipe(self) -> dict[str, Any]:
        """Return what the run was told."""
        found: dict[str, Any] = orjson.loads((self.folder / "recipe.json").read_bytes())
        return found

    @property
    def trial(self) -> bool:
        """Whether the run was declared a trial: one on a subset of the rows."""
        return bool(self.recipe().get("max_rows"))

    def history(self) -> History:
        """Return what the run noted of its stages."""
        return of_run(self.folder)

    def canaries(self) -> list[Canary]:
        """Return what the run planted."""
        told = self.recipe()
        return make(told.get("canaries", 0), told["seed"])


def name_of(model: Any) -> str:
    """Name a small model by its size in millions of parameters."""
    return f"rsafe-demo-{int(network.parameters(model) / _MILLION)}m"


def export(trained: Trained, out: Path) -> Path:
    """Write everything that serving reads.

    Raises:
        TrainError: the model is larger than a demo model may be, or a token of it holds several digits.

    """
    check_parameters(network.parameters(trained.model))
    check_digits(trained.tokenizer.get_vocab())
    out.mkdir(parents=True, exist_ok=True)
    trained.tokenizer.encode_special_tokens = False
    check_labels(trained.tokenizer, trained.template)
    trained.model.to(torch.bfloat16).save_pretrained(out)
    trained.model.to(torch.float32)
    _generation(trained).save_pretrained(out)
    save_tokenizer(trained.tokenizer, trained.template, out, network.MAX_POSITIONS)
    shutil.copyfile(TEMPLATE_FILE, out / TEMPLATE_NAME)
    check_size(out)
    return out


def _generation(trained: Trained) -> GenerationConfig:
    config = trained.model.config
    return GenerationConfig(do_sample=False, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id)


def measure(trained: Trained, ready: Ready, limit: int) -> dict[str, Any]:
    """Measure dev rows with and without reasoning, as the exported (bf16) weights answer.

    Test rows are read by ``rsafe eval --split test`` alone, once; every export would read them again.
    """
    trained.model.to(torch.bfloat16).to(torch.float32)
    formatter = Formatter(trained.template, trained.tokenizer)
    chosen = cases(ready.dev, limit)
    return {
        "dev": {
            "direct": table(chosen, direct_scores(trained.model, formatter, chosen)),
            "trace": table(chosen, trace_scores(trained.model, formatter, chosen)),
        }
    }


def document(
    trained: Trained,
    out: Path,
    measured: Mapping[str, Any],
    trained_on: Learnt | None = None,
    extraction: Report | None = None,
) -> None:
    """Write figures, coverage, model card, NOTICE and the learning curve beside an export.

    Args:
        trained: what was exported.
        out: the model's folder.
        measured: figures by split, method, and ``<set>/<concept>``.
        trained_on: what it learnt from; without it the card names every set of the data folder.
        extraction: what it gave back.

    Raises:
        TrainError: the folder is too large now.

    """
    facts: dict[str, Any] = {
        "name": name_of(trained.model),
        "parameters": network.parameters(trained.model),
        "date": today(),
        "recipe": without_paths(trained.recipe()),
        "progress": trained.progress,
        "averaged": trained.averaged,
        "measured": measured,
    }
    if extraction is not None:
        facts["extraction"] = msgspec.to_builtins(extraction)
    history = trained.history()
    facts["stages"] = msgspec.to_builtins(history.stages)
    # The stages after the first may have read other rows than those that are given.
    write_papers(
        out, facts, trained_on.joined(history.learnt) if trained_on and history.stages else trained_on or Learnt()
    )
    curve.draw(trained.folder / LOG_FILE, out / "curve.png")
    check_size(out)


def extract(
    folder: Path, rows: Sequence[Row], canaries: Sequence[Canary], seed: int = 1, *, trial: bool = False
) -> Report:
    """Try to get canaries and training texts back out of an exported folder.

    Args:
        folder: of the model.
        rows: what it was trained on, with the canaries planted.
        canaries: those that were planted; none where the run planted none.
        seed: of the choice of texts.
        trial: the run was declared a trial, so that fewer secrets will do; its card says so.

    Raises:
        TrainError: the network gives something back word for word, or too few secrets could be tried.

    """
    attack = Attack.on(folder)
    secrets = canary_secrets(planted(canaries, rows), rows) + training_secrets(rows, attack.text_ids, seed=seed)
    report = attack.run(secrets)
    check(report)
    if not trial:
        check_full(report)
    return report
