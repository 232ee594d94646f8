"""GRPO (arXiv 2402.03300) on TRL over token-exact prompts, with the reward of the parser that serves.

The prompt column holds keys; ``rollout_func`` puts the token ids of
``judge/prompt.py`` in their place, so no text is ever tokenised by TRL and none can become a control token.

Where this departs from the paper (arXiv 2506.07736) and its authors' run (``run_training.sh``, verl's
defaults of the time: no KL in loss or reward, entropy bonus 0.001, loss averaged over tokens, constant
rate, weight decay 0.01, advantages divided by the group's deviation, one update for each batch):

1. TRL in place of verl. verl averages the loss over the tokens of each micro-batch; TRL's ``dapo`` does
   over those of the whole batch.
2. The prompt is this project's: policy before message, every line of the message quoted, text that can
   never become a control token. The verdict carries the ids of the violated categories.
3. The format is stricter: it holds where the parser that serves reads a verdict of the template's shape
   (``rewards.py``). The authors' also held for any words in the box, and then gave 0.1.
4. The policy varies (``policies/draw.py``); the authors' has 18 categories. Rows of their sets stand under 16
   of them (none about minors) half of the time, and always where only the verdict is known.
5. Half of the rows are safe, a quarter wholly benign (``problems.py``); ``--paper`` reads the authors' sets.
6. A reference model is kept for the log: its KL gets a weight that moves nothing (``LOG_ONLY``).
7. The rollouts of ``paper-7b`` use one vLLM per GPU (tensor parallel 1, not 4): the same completions.
   TRL's correction for the sampler's distribution is off, as verl has none: with top_p 0.8 and a repetition
   penalty its ratio over a whole answer would shrink the loss to almost nothing.
8. ``small-cpu`` starts from a checkpoint of ``train sft`` that writes the format already: a network of a few
   million parameters does not find it by itself. (The authors saw a cold start collapse response-level
   quality at 7B.) It samples at temperature 1 without top_p and repetition penalty, so that the policy that
   samples is the one that is trained; its rate is higher, its KL has a weight, it has no entropy bonus.
9. In ``small-cpu`` a reasoning that serving would cut at its budget earns nothing (``served_budget``); in
   ``paper-7b`` the response's limit is the only one, as the authors have it.
10. Dev rows are answered during training, and the false positives among them are logged.
11. A model whose template asks for categories apart (the small ones) is asked for one of a policy's at a time, as
   serving asks it (``problems.one_of``). Rows of which only the verdict is known are not asked of it.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Sequence
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from datasets import Dataset
from msgspec import Struct
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig, GRPOTrainer

from worker.errors import TrainError
from worker.train import curve
from worker.train.release.history import Stage, name_of
from worker.train.rl.problems import Asker, Problem, Rows, problems
from worker.train.rl.recipes import GrpoRecipe
from worker.train.rl.rewards import Score, score
from worker.train.rl.rollout import Sampler, read_completion
from worker.train.rl.runs import CHECKPOINTS, KEPT, JsonLog, Say, begin, different, quiet, save, sharding
from worker.train.rl.shared import log_probabilities
from worker.train.rl.start import Start, load_model, open_start

LOG_FILE: Final = "grpo.jsonl"
CURVE_FILE: Final = "grpo.png"
#: A KL weight that makes TRL keep a reference, and moves no weight in any number format.
LOG_ONLY: Final = 1e-12
#: For an engine on the CPU, which otherwise asks for most of the machine's memory.
_CPU_CACHE_GIB: Final = "1"
#: From TRL's names to those of the log.
_LOGGED: Final = {
    "reward": "reward",
    "accuracy": "accuracy",
    "format": "format",
    "citations": "citations",
    "false_positives": "false_positives",
    "false_negatives": "false_negatives",
    "benign_false_positives": "benign_false_positives",
    "frac_reward_zero_std": "groups_without_variance",
    "entropy": "entropy",
    "kl": "kl",
    "completions/mean_length": "completion_tokens",
    "completions/clipped_ratio": "cut_share",
    "clip_ratio/region_mean": "clip_ratio",
    "grad_norm": "grad_norm",
    "learning_rate": "rate",
    "loss": "loss",
    "step_time": "step_s",
    "rollout_s": "rollout_s",
}


class Job(Struct, frozen=True, kw_only=True):
    """One run: the recipe, where it starts, where it goes.

    Attributes:
        recipe: what is done.
        source: a model folder, or a run of ``train sft``.
        out: the run's folder.
        resume: go on from the last checkpoint in ``out``.

    """

    recipe: GrpoRecipe
    source: Path
    out: Path
    resume: bool = False


class Desk:
    """Hands out prompts and marks answers: TRL's rollout and reward functions, over keys in place of texts."""

    def __init__(self, start: Start, recipe: GrpoRecipe, train: Sequence[Problem], dev: Sequence[Problem]) -> None:
        """Give every problem a key."""
        self._start = start
        self._recipe = recipe
        self.train_keys = [f"train:{number}" for number in range(len(train))]
        self.dev_keys = [f"dev:{number}" for number in range(len(dev))]
        self._problems = dict(zip(self.train_keys + self.dev_keys, (*train, *dev), strict=True))
        self._copy: Any = None

    def rollout(self, keys: list[str], trainer: Any) -> dict[str, Any]:
        """Return TRL's ``prompt_ids``, ``completion_ids`` and ``logprobs`` for keys, each repeated by its group."""
        before = time.perf_counter()
        ids = [list(self._problems[key].ids) for key in keys]
        training = trainer.model.training
        group = trainer.num_generations if training else trainer.num_generations_eval
        if self._recipe.rollout == "shared":
            written, logprobs = self._shared(ids, group, trainer, training=training), None
        else:
            # The hook gets no generator of its own; this one has TRL's weights, engine and settings.
            written, logprobs = trainer._generate_single_turn(ids, None, {}, group)  # noqa: SLF001
        trainer._log_metric("rollout_s", time.perf_counter() - before)  # noqa: SLF001 - the same
        return {"prompt_ids": ids, "completion_ids": written, "logprobs": logprobs}

    def _shared(self, ids: list[list[int]], group: int, trainer: Any, *, training: bool) -> list[list[int]]:
        """Sample from a copy of the weights, in bf16 where the run is: on a CPU it is half as fast again."""
        if self._copy is None:
            kind = torch.bfloat16 if self._recipe.bf16 else torch.float32
            self._copy = load_model(self._start).to(trainer.model.device, kind).eval()
        with torch.no_grad():
            for own, new in zip(self._copy.parameters(), trainer.model.parameters(), strict=True):
                own.copy_(new)
        sampler = Sampler(
            trainer.eos_token_ids, trainer.processing_class.pad_token_id, self._recipe.max_response_tokens
        )
        temperature = self._recipe.temperature if training else 0.0
        return sampler.sample(self._copy, ids[::group], group, temperature=temperature)

    def reward(
        self, prompts: list[str], completion_ids: list[list[int]], log_metric: Callable[[str, float], None], **_: Any
    ) -> list[float]:
        """Mark answers and log what they were.

        Raises:
            TrainError: marking failed; TRL goes on where a reward is None, so none ever is.

        """
        try:
            marked = [self._mark(key, ids) for key, ids in zip(prompts, completion_ids, strict=True)]
        except Exception as error:
            text = f"the reward failed ({type(error).__name__}: {error}); training on would teach this bug"
            raise TrainError(text) from error
        for key, one in zip(prompts, marked, strict=True):
            for name, value in outcomes(self._problems[key], one).items():
                log_metric(name, value)
        return [one.reward for one in marked]

    def _mark(self, key: str, ids: Sequence[int]) -> Score:
        problem, template = self._problems[key], self._start.template
        text, ended = read_completion(self._start.tokens, template, ids, served=self._recipe.served_budget)
        return score(text, problem.expected, problem.panel, template, reasoning=self._recipe.reasoning, ended=ended)


def outcomes(problem: Problem, one: Score) -> dict[str, float]:
    """Return what one answer adds to the means of the log: each name only where it applies."""
    found = {"accuracy": one.accuracy, "format": one.format}
    unsafe = one.status == "judged" and one.label == "unsafe"
    if problem.expected == "safe":
        found["false_positives"] = float(unsafe)
        if problem.benign:
            found["benign_false_positives"] = float(unsafe)
    else:
        found["false_negatives"] = float(not unsafe)
        if unsafe and problem.cited is not None:
            found["citations"] = float(one.cited == problem.cited)
    return found


class Trainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer; for small models a group's prompt is read once in the update too."""

    shared = False

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> Any:
        if not self.shared:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
            )
        with self.accelerator.autocast():
            logps, entropies = log_probabilities(
                self.accelerator.unwrap_model(model),
                input_ids,
                attention_mask,
                logits_to_keep,
                self.temperature,
                differentiable_entropy=self.entropy_coef != 0,
            )
        return logps, entropies, None


class Log(JsonLog):
    """The log of reinforced alignment."""

    def __init__(self, out: Path, say: Say) -> None:
        """Write below ``out``."""
        super().__init__(out / LOG_FILE, _LOGGED, "reward", say)

    def more(self, entry: dict[str, float], *, evaluated: bool) -> str:
        """Name the figures of one line of progress."""
        shown = " ".join(f"{name} {entry[name]:.3f}" for name in ("reward", "accuracy", "format") if name in entry)
        if evaluated:
            return f"{shown} false positives {entry.get('false_positives', 0):.3f}"
        costs = f"kl {entry.get('kl', 0):.4f} entropy {entry.get('entropy', 0):.3f} {entry.get('step_s', 0):.1f} s"
        return f"{shown} {costs}"


def train(job: Job, rows: Rows, say: Say) -> Path:
    """Run GRPO and return the folder of the trained model.

    Raises:
        TrainError: no start, too few rows, no checkpoint to go on from, or a reward that failed.

    """
    recipe = job.recipe
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    checkpoint = begin(job.out, LOG_FILE, resume=job.resume)
    start = open_start(job.source, job.out)
    asker = Asker(start.tokens, start.template, reasoning=recipe.reasoning, as_served=rows.as_served)
    drawn = [
        problems(samples, rows.sets, asker, recipe, count, random.Random(f"{recipe.seed}/{part}"), rows.accepts)
        if count
        else []
        for part, samples, count in (("train", rows.train, recipe.prompts), ("dev", rows.dev, recipe.eval_prompts))
    ]
    desk = Desk(start, recipe, *drawn)
    trainer = make_trainer(job, start, desk, say)
    if trainer.accelerator.is_main_process:
        say(f"{len(desk.train_keys)} prompts, {len(desk.dev_keys)} of dev rows; {recipe.name} from {job.source.name}")
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.accelerator.is_main_process:
        curve.draw_grpo(job.out / LOG_FILE, job.out / CURVE_FILE)
    seen = asked(trainer, drawn[0])
    rows_seen = different(one.row for one in seen)
    stage = Stage(
        kind="grpo",
        start=name_of(job.source),
        recipe=msgspec.to_builtins(recipe),
        updates=trainer.state.global_step,
        examples=len(seen),
        rows=len(rows_seen),
    )
    return save(trainer, start, job.out, stage, rows_seen)


def asked(trainer: Any, drawn: Sequence[Problem]) -> list[Problem]:
    """Return the problems that the updates so far have asked, by the order in which TRL's own sampler gives them."""
    sampler = trainer._get_train_sampler()  # noqa: SLF001 - it draws from the seed alone, and so draws again the same
    each = sampler.batch_size * sampler.mini_repeat_count * sampler.repeat_count
    places = islice(chain.from_iterable(repeat(sampler)), trainer.state.global_step * each)
    return [drawn[place] for place in dict.fromkeys(places)]


def make_trainer(job: Job, start: Start, desk: Desk, say: Say) -> Any:
    """Make TRL's trainer for a job."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    disable_progress_bar()
    recipe = job.recipe
    if recipe.rollout == "vllm":
        _prepare_engine()
    dev = Dataset.from_dict({"prompt": desk.dev_keys}) if desk.dev_keys else None
    trainer = Trainer(
        model=load_model(start),
        reward_funcs=[desk.reward],
        args=settings(recipe, job.out, evaluate=dev is not None),
        train_dataset=Dataset.from_dict({"prompt": desk.train_keys}),
        eval_dataset=dev,
        processing_class=AutoTokenizer.from_pretrained(start.folder, padding_side="left"),
        callbacks=[Log(job.out, say)],
        rollout_func=desk.rollout,
    )
    trainer.shared = recipe.rollout == "shared"
    return quiet(trainer)


def _prepare_engine() -> None:
    # Here and not above: it takes seconds to import, and only this way of rolling out needs it.
    from worker.judge.vllm_engine import keep_weights  # noqa: PLC0415

    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", _CPU_CACHE_GIB)
    keep_weights()


def settings(recipe: GrpoRecipe, out: Path, *, evaluate: bool) -> GRPOConfig:
    """Return TRL's settings for a recipe.

    Raises:
        TrainError: the batch does not divide by processes and micro-batches.

    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    completions = recipe.prompts_per_step * recipe.group
    micro = min(recipe.micro_batch, completions // processes)
    if completions % (micro * processes):
        text = f"{completions} completions do not divide into {processes} processes of {micro}; change micro_batch"
        raise TrainError(text)
    return GRPOConfig(
        output_dir=str(out / CHECKPOINTS),
        seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=completions // (micro * processes),
        num_generations=recipe.group,
        num_generations_eval=1,
        num_train_epochs=recipe.epochs,
        max_steps=_updates(recipe) or -1,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        loss_type="dapo",
        scale_rewards="group",
        epsilon=recipe.clip,
        beta=recipe.beta or (LOG_ONLY if recipe.log_kl else 0.0),
        entropy_coef=recipe.entropy_coef,
        max_completion_length=recipe.max_response_tokens,
        temperature=recipe.temperature,
        top_p=recipe.top_p,
        repetition_penalty=recipe.repetition_penalty,
        bf16=recipe.bf16,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=recipe.eval_steps,
        save_strategy="steps",
        save_steps=recipe.save_steps,
        save_total_limit=KEPT,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        **_engine(recipe),
        **sharding(fsdp=recipe.fsdp, gradient_checkpointing=recipe.gradient_checkpointing),
    )


def _updates(recipe: GrpoRecipe) -> int:
    """Return how many updates end the run; 0 where its epochs do, which transformers forgets once there is a number."""
    per_epoch = max(1, recipe.prompts // recipe.prompts_per_step)
    return min(recipe.max_steps, math.ceil(recipe.epochs * per_epoch))


def _engine(recipe: GrpoRecipe) -> dict[str, Any]:
    if recipe.rollout != "vllm":
        return {}
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": recipe.vllm_memory_share,
        "vllm_tensor_parallel_size": recipe.vllm_tensor_parallel,
        "vllm_max_model_length": recipe.max_prompt_tokens + recipe.max_response_tokens,
        "vllm_importance_sampling_correction": False,
    }
