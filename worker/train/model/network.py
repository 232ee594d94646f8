"""The small network: a decoder of Qwen2's shape, so that any engine that serves Qwen2 serves it."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Qwen2Config, Qwen2ForCausalLM

from worker.train.examples.batches import Batch

MAX_POSITIONS: Final = 1024


def build(vocab_size: int, end_id: int, pad_id: int, seed: int, *, layers: int = 5, hidden: int = 256) -> Any:
    """Build an untrained model; the same seed gives the same weights."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=hidden * 5 // 2,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 128),
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        rope_theta=10_000.0,
        bos_token_id=None,
        eos_token_id=end_id,
        pad_token_id=pad_id,
        attention_dropout=0.0,
        attn_implementation="sdpa",
    )
    return Qwen2ForCausalLM(config)


def parameters(model: Any) -> int:
    """Count parameters; tied embeddings count once."""
    return sum(weight.numel() for weight in model.parameters())


def states(model: Any, batch: Batch) -> Tensor:
    """Return the hidden state of every node, flattened to (sequences x length, hidden)."""
    out = model.model(
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask={"full_attention": batch.mask},
        use_cache=False,
    )
    return out.last_hidden_state.flatten(0, 1)  # type: ignore[no-any-return]


def loss(model: Any, batch: Batch) -> Tensor:
    """Return the weighted mean cross-entropy; the vocabulary is scored at targets only."""
    logits = model.lm_head(states(model, batch)[batch.places]).float()
    each = functional.cross_entropy(logits, batch.targets, reduction="none")
    return (each * batch.weights).sum() / batch.weights.sum()
