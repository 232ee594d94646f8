"""What a GRPO run is told: a TOML file, of which two come with this package."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from worker.errors import TrainError

Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Rollouts = Literal["shared", "transformers", "vllm"]

_SHIPPED: Final = Path(__file__).parent


class GrpoRecipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One GRPO run.

    Attributes:
        name: stands in the run's log.
        prompts: how many different prompts are drawn from the rows; one epoch shows each once.
        safe_share: the share of prompts whose label is safe.
        benign_share: the least share of prompts whose row violates nothing that it is labelled for:
            without them the false positives rise (rsafe.md 1.7).
        group: completions for each prompt.
        prompts_per_step: prompts for each update, over all processes.
        micro_batch: completions in one backward pass, per process.
        epochs, max_steps: the run ends at the first of them (``max_steps`` 0: by epochs alone).
        learning_rate, warmup_steps, weight_decay, max_grad_norm: of AdamW; the rate is constant after warm-up.
        clip: epsilon of the clipped ratio.
        beta: weight of the KL to where the run started.
        log_kl: keep that reference for the log even where ``beta`` is 0.
        entropy_coef: weight of the entropy bonus.
        max_prompt_tokens: longer prompts are left out. ``max_response_tokens``: longer answers are cut.
        temperature, top_p, repetition_penalty: of the rollouts.
        reasoning: whether the prompts ask for reasoning.
        served_budget: a reasoning that serving would cut at the template's budget earns nothing.
        rollout: ``shared`` (the model itself, a group's prompt read once; for small models on a CPU),
            ``transformers`` (``generate``) or ``vllm`` (in the same process, on the same GPUs).
        vllm_memory_share, vllm_tensor_parallel: of that engine.
        fsdp: shard over the processes of ``torchrun``.
        bf16, gradient_checkpointing: memory against time.
        eval_prompts, eval_steps: prompts from dev rows, and how often they are answered.
        save_steps: how often a checkpoint is written.
        threads: CPU threads (0: the library's choice).
        seed: the same seed draws the same prompts and the same rollouts on one machine.

    """

    name: str
    prompts: Positive = 9_700
    safe_share: Share = 0.5
    benign_share: Share = 0.25
    group: Annotated[int, Meta(ge=2)] = 4
    prompts_per_step: Positive = 32
    micro_batch: Positive = 8
    epochs: float = 3.0
    max_steps: Annotated[int, Meta(ge=0)] = 0
    learning_rate: float = 1e-7
    warmup_steps: int = 0
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    clip: float = 0.2
    beta: float = 0.0
    log_kl: bool = True
    entropy_coef: float = 0.001
    max_prompt_tokens: Positive = 2048
    max_response_tokens: Positive = 512
    temperature: float = 0.7
    top_p: float = 0.8
    repetition_penalty: float = 1.05
    reasoning: bool = True
    served_budget: bool = False
    rollout: Rollouts = "vllm"
    vllm_memory_share: float = 0.3
    vllm_tensor_parallel: Positive = 1
    fsdp: bool = False
    bf16: bool = True
    gradient_checkpointing: bool = False
    eval_prompts: Annotated[int, Meta(ge=0)] = 0
    eval_steps: Positive = 100
    save_steps: Positive = 100
    threads: Annotated[int, Meta(ge=0)] = 0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what no rollout can do.

        Raises:
            ValueError: naming the field.

        """
        if self.rollout == "shared" and (self.repetition_penalty != 1.0 or self.top_p != 1.0):
            problem = "rollout 'shared' samples at a temperature alone; set top_p and repetition_penalty to 1"
            raise ValueError(problem)
        if self.benign_share > self.safe_share:
            problem = "benign_share is part of safe_share and cannot be above it"
            raise ValueError(problem)


def shipped() -> list[str]:
    """Return the names of the recipes that come with this package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def load_recipe(name: str) -> GrpoRecipe:
    """Read a recipe: one of this package by its name, or a TOML file by its path.

    Raises:
        TrainError: there is none of that name, or it is not a recipe.

    """
    path = _SHIPPED / f"{name}.toml" if name in shipped() else Path(name)
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), GrpoRecipe)
    except OSError:
        text = f"there is no recipe {name!r}; name a TOML file or one of {', '.join(shipped())}"
        raise TrainError(text) from None
    except (ValueError, msgspec.ValidationError) as error:
        text = f"{path.name} is not a recipe: {error}; compare {_SHIPPED.name}/{shipped()[0]}.toml"
        raise TrainError(text) from None
