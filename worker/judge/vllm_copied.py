"""``copied.py`` inside vLLM's engine process: forbids tokens of requests that carry a ``Copied``.

The engine's process loads it by its name; ``vllm_engine`` takes that name and what a request carries from here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from torch import Tensor
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from worker.judge.copied import Copied, Follower, Vocabulary
from worker.judge.tokens import token_bytes

#: What the engine is told to load.
NAME: Final = "worker.judge.vllm_copied:CopyingProcessor"
_KEY: Final = "copied"


def extra_args(copied: Copied | None) -> dict[str, Any] | None:
    """Return what a request has to carry."""
    return {_KEY: msgspec.to_builtins(copied)} if copied else None


class CopyingProcessor(AdapterLogitsProcessor):  # type: ignore[misc]
    """Follows every reasoning that is bound to copy."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:  # noqa: FBT001 (vLLM's)
        """Read the model's vocabulary."""
        super().__init__(vllm_config, device, is_pin_memory)
        self._vocabulary = Vocabulary(token_bytes(Path(vllm_config.model_config.model)))

    def is_argmax_invariant(self) -> bool:
        """It forbids tokens, so the likeliest one may change."""
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> Callable[[list[int], Tensor], Tensor] | None:
        """Return what looks at one request's logits before each of its tokens; None where all is free."""
        told = (params.extra_args or {}).get(_KEY)
        if told is None:
            return None
        follower = Follower(self._vocabulary, msgspec.convert(told, Copied))

        def bound(output_ids: list[int], logits: Tensor) -> Tensor:
            rule = follower.rule(output_ids)
            if rule is None:
                return logits
            ids = torch.tensor(rule.ids, dtype=torch.long, device=logits.device)
            if not rule.alone:
                return logits.index_fill_(0, ids, -torch.inf)
            return torch.full_like(logits, -torch.inf).index_copy_(0, ids, logits[ids])

        return bound
