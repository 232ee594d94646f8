"""Supervised training of a model that is there already, on answers of its own that the reward accepted.

The cold start of RSafe's method for large models: ``train sample`` lets a model reason and keeps what is right and
well-formed (arXiv 2203.14465), this learns it, ``train grpo`` goes on from there. TRL trains; it gets token ids and
labels, and tokenises nothing. Every token of the prompt has a label that counts for nothing.
"""

from __future__ import annotations

import math
import os
import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import torch
from datasets import Dataset
from msgspec import Meta, Struct
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar
from trl import SFTConfig, SFTTrainer

from worker.errors import TrainError
from worker.train import curve
from worker.train.release.history import Stage, name_of
from worker.train.rl.runs import CHECKPOINTS, KEPT, JsonLog, Say, begin, different, quiet, save, sharding
from worker.train.rl.start import Start, load_model, open_start
from worker.train.rl.traces import Trace, Traces, read_traces
from worker.train.sft import device_of

LOG_FILE: Final = "traces.jsonl"
CURVE_FILE: Final = "traces.png"
#: A label that counts for nothing, in torch and in TRL.
IGNORED: Final = -100
_LOGGED: Final = {
    "loss": "loss",
    "mean_token_accuracy": "token_accuracy",
    "entropy": "entropy",
    "grad_norm": "grad_norm",
    "learning_rate": "rate",
}
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, lt=1)]


class TracesRecipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run; a TOML file names what is to differ.

    Attributes:
        epochs: passes over the traces. ``max_steps``: the run ends then at the latest (0: by epochs alone).
        learning_rate, weight_decay, max_grad_norm: of AdamW; the rate falls along a cosine.
        warmup_share: the first part of the updates, in which the rate rises.
        batch: traces for each update, over all processes. ``micro_batch``: in one backward pass, per process.
        max_tokens: longer traces are left out, prompt and answer together.
        dev_share: rows that are kept back, to see what the answers to unseen rows cost.
        save_steps: how often a checkpoint is written and those rows are measured.
        bf16, gradient_checkpointing: memory against time; the second on accelerators alone.
        fsdp: shard over the processes of ``torchrun``.
        device: ``cpu``, ``cuda`` or ``auto``. ``threads``: of the CPU (0: the library's choice).
        seed: the same seed draws the same order.

    """

    epochs: Annotated[float, Meta(gt=0)] = 2.0
    max_steps: Annotated[int, Meta(ge=0)] = 0
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-5
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    warmup_share: Share = 0.05
    batch: Positive = 32
    micro_batch: Positive = 4
    max_tokens: Positive = 2560
    dev_share: Share = 0.05
    save_steps: Positive = 50
    bf16: bool = True
    gradient_checkpointing: bool = True
    fsdp: bool = True
    device: str = "auto"
    threads: Annotated[int, Meta(ge=0)] = 0
    seed: int = 1


class TracesJob(Struct, frozen=True, kw_only=True):
    """One run: the recipe, where it starts, what it learns, where it goes.

    Attributes:
        recipe: what is done.
        source: a model folder, or a run of ``train sft`` or ``train grpo``.
        traces: the file of ``train sample``.
        out: the run's folder.
        resume: go on from the last checkpoint in ``out``.

    """

    recipe: TracesRecipe
    source: Path
    traces: Path
    out: Path
    resume: bool = False


class Plan(Struct, frozen=True, kw_only=True):
    """What is learnt in which order.

    Attributes:
        train, dev: traces to learn and traces of other rows to measure.
        order: places in ``train``, all epochs one after the other: what comes when depends on no library.
        updates: how many there are.

    """

    train: tuple[Trace, ...]
    dev: tuple[Trace, ...]
    order: tuple[int, ...]
    updates: int

    def seen(self, updates: int, batch: int) -> list[Trace]:
        """Return the traces that so many updates have seen, each once."""
        return [self.train[place] for place in dict.fromkeys(self.order[: updates * batch])]


class Log(JsonLog):
    """The log of such a run."""

    def __init__(self, out: Path, say: Say) -> None:
        """Write below ``out``."""
        super().__init__(out / LOG_FILE, _LOGGED, "loss", say)

    def more(self, entry: dict[str, float], *, evaluated: bool) -> str:  # noqa: ARG002 - dev rows have the same figures
        """Name the figures of one line of progress."""
        return f"loss {entry['loss']:.3f} token accuracy {entry.get('token_accuracy', 0):.3f}"


def load_traces_recipe(path: Path | None) -> TracesRecipe:
    """Read a recipe: the settings above, but for what a TOML file names.

    Raises:
        TrainError: there is no such file, or it is not a recipe.

    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")) if path else {}, TracesRecipe)
    except (OSError, ValueError) as error:
        text = f"{path} is not a recipe ({error}); a TOML file may name {', '.join(TracesRecipe.__struct_fields__)}"
        raise TrainError(text) from None


def train(job: TracesJob, say: Say) -> Path:
    """Train on traces and return the folder of the model.

    Raises:
        TrainError: no start, no traces of its tokenizer, none that is short enough, or no checkpoint to go on from.

    """
    recipe = job.recipe
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    checkpoint = begin(job.out, LOG_FILE, resume=job.resume)
    start = open_start(job.source, job.out)
    read = read_traces(job.traces, start)
    plan = plan_of(read, recipe)
    trainer = make_trainer(job, start, plan, say)
    if trainer.accelerator.is_main_process:
        left = len(read.kept) - len(plan.train) - len(plan.dev)
        say(f"{len(plan.train)} traces, {len(plan.dev)} kept back, {left} too long; {plan.updates} updates")
    trainer.train(resume_from_checkpoint=checkpoint)
    return _keep(job, start, trainer, plan, read.head.model)


def _keep(job: TracesJob, start: Start, trainer: Any, plan: Plan, sampled_from: str) -> Path:
    updates = trainer.state.global_step
    seen = plan.seen(updates, job.recipe.batch)
    rows = different(one.row for one in seen)
    if trainer.accelerator.is_main_process:
        curve.draw_traces(job.out / LOG_FILE, job.out / CURVE_FILE)
    stage = Stage(
        kind="traces",
        start=name_of(job.source),
        recipe=msgspec.to_builtins(job.recipe),
        updates=updates,
        examples=len(seen),
        rows=len(rows),
        sampled_from=sampled_from,
    )
    return save(trainer, start, job.out, stage, rows)


def plan_of(traces: Traces, recipe: TracesRecipe) -> Plan:
    """Keep rows back, and draw the order of all epochs.

    Raises:
        TrainError: no trace is left.

    """
    short = [one for one in traces.kept if len(one) <= recipe.max_tokens]
    rows = sorted({(one.source, one.place) for one in short})
    random.Random(f"{recipe.seed}/dev").shuffle(rows)
    back = set(rows[: round(len(rows) * recipe.dev_share)])
    train = tuple(one for one in short if (one.source, one.place) not in back)
    if not train:
        most = recipe.max_tokens
        text = f"none of {len(traces.kept)} traces has at most {most} tokens; sample more, or raise max_tokens"
        raise TrainError(text)
    order: list[int] = []
    for epoch in range(math.ceil(recipe.epochs)):
        places = list(range(len(train)))
        random.Random(f"{recipe.seed}/{epoch}").shuffle(places)
        order += places
    order = order[: max(1, round(recipe.epochs * len(train)))]
    updates = math.ceil(len(order) / recipe.batch)
    return Plan(
        train=train,
        dev=tuple(one for one in short if (one.source, one.place) in back),
        order=tuple(order),
        updates=min(updates, recipe.max_steps or updates),
    )


def columns(traces: Sequence[Trace]) -> dict[str, list[list[int]]]:
    """Return token ids and labels: the answer's tokens, its end included, are learnt; the prompt's are not."""
    return {
        "input_ids": [[*one.prompt_ids, *one.answer_ids] for one in traces],
        "labels": [[IGNORED] * len(one.prompt_ids) + list(one.answer_ids) for one in traces],
    }


def make_trainer(job: TracesJob, start: Start, plan: Plan, say: Say) -> Any:
    """Make TRL's trainer for a job."""
    disable_progress_bar()
    trainer = SFTTrainer(
        model=load_model(start),
        args=settings(job.recipe, job.out, plan),
        train_dataset=Dataset.from_dict(columns(plan.train)).select(plan.order),
        eval_dataset=Dataset.from_dict(columns(plan.dev)) if plan.dev else None,
        processing_class=AutoTokenizer.from_pretrained(start.folder),
        callbacks=[Log(job.out, say)],
    )
    return quiet(trainer)


def settings(recipe: TracesRecipe, out: Path, plan: Plan) -> SFTConfig:
    """Return TRL's settings for a recipe.

    Raises:
        TrainError: the batch does not divide by processes and micro-batches, or the device is not there.

    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    micro = min(recipe.micro_batch, max(1, recipe.batch // processes))
    if recipe.batch % (micro * processes):
        text = f"a batch of {recipe.batch} does not divide into {processes} processes of {micro}; change micro_batch"
        raise TrainError(text)
    cuda = device_of(recipe.device) == "cuda"
    return SFTConfig(
        output_dir=str(out / CHECKPOINTS),
        seed=recipe.seed,
        use_cpu=not cuda,
        dataloader_pin_memory=cuda,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=recipe.batch // (micro * processes),
        max_steps=plan.updates,
        train_sampling_strategy="sequential",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(plan.updates * recipe.warmup_share),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.bf16,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        eval_strategy="steps" if plan.dev else "no",
        eval_steps=min(recipe.save_steps, plan.updates),
        save_strategy="steps",
        save_steps=recipe.save_steps,
        save_total_limit=KEPT,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        **sharding(fsdp=recipe.fsdp, gradient_checkpointing=recipe.gradient_checkpointing and cuda),
    )
