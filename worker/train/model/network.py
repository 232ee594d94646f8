"""The small network: a decoder of Qwen2's shape, so that any engine that serves Qwen2 serves it."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Qwen2Config, Qwen2ForCausalLM

from worker.train.examples.batches import Batch

MAX_POSITIONS: Final = 1024
_BARRED: Final = -1e4


def build(
    vocab_size: int,
    end_id: int,
    pad_id: int,
    seed: int,
    *,
    layers: int = 5,
    hidden: int = 256,
    rope_theta: float = 10_000.0,
) -> Any:
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
        rope_parameters={"rope_type": "default", "rope_theta": rope_theta},
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


def states(model: Any, batch: Batch, dropout: float = 0.0, layers: list[Tensor] | None = None) -> Tensor:
    """Return the hidden state of every node, (nodes, hidden): Qwen2's forward pass over packed nodes.

    ``layers`` is filled with the states after each layer.
    """
    decoder = model.model
    stream = functional.embedding(batch.ids, decoder.embed_tokens.weight)
    stream = functional.dropout(stream, dropout, dropout > 0)
    cos, sin = decoder.rotary_emb(stream[None], batch.positions[None])
    cos, sin = cos[0, :, None], sin[0, :, None]
    for layer in decoder.layers:
        seen = _attend(layer.self_attn, _norm(layer.input_layernorm, stream), batch, cos, sin)
        stream = stream + functional.dropout(seen, dropout, dropout > 0)
        inner, mlp = _norm(layer.post_attention_layernorm, stream), layer.mlp
        made = mlp.down_proj(functional.silu(mlp.gate_proj(inner)) * mlp.up_proj(inner))
        stream = stream + functional.dropout(made, dropout, dropout > 0)
        if layers is not None:
            layers.append(stream)
    return _norm(decoder.norm, stream)


def _norm(norm: Any, stream: Tensor) -> Tensor:
    return functional.rms_norm(stream, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _attend(layer: Any, inner: Tensor, batch: Batch, cos: Tensor, sin: Tensor) -> Tensor:
    nodes, size = len(inner), layer.head_dim
    query = _turn(layer.q_proj(inner).view(nodes, -1, size), cos, sin).flatten(1)
    key = _turn(layer.k_proj(inner).view(nodes, -1, size), cos, sin).flatten(1)
    both = torch.cat((key, layer.v_proj(inner)), dim=1)
    parts = []
    for block in batch.blocks:
        rows, length = block.asking.shape
        asked = query.index_select(0, block.asking.flatten()).view(rows, length, -1, size).transpose(1, 2)
        found = both.index_select(0, block.seen.flatten()).view(rows, block.seen.shape[1], 2, -1, size)
        keys, values = found[:, :, 0].transpose(1, 2), found[:, :, 1].transpose(1, 2)
        out = _soft(asked * layer.scaling, keys, values, block.mask)
        parts.append(out.transpose(1, 2).reshape(rows * length, -1))
    return layer.o_proj(torch.cat(parts).index_select(0, batch.back))  # type: ignore[no-any-return]


def _soft(asked: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention written out: on a CPU twice as fast in bf16 as the fused kernel's backward pass."""
    rows, heads, length, size = asked.shape
    shared = keys.shape[1]
    barred = torch.zeros(mask.shape, dtype=asked.dtype).masked_fill_(~mask, _BARRED)[:, None]
    scores = asked.reshape(rows, shared, -1, size) @ keys.transpose(-1, -2)
    scores = scores.view(rows, shared, -1, length, scores.shape[-1]) + barred
    chances = scores.softmax(-1, dtype=asked.dtype).view(rows, shared, -1, scores.shape[-1])
    return (chances @ values).view(rows, heads, length, size)


def _turn(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, as Qwen2 does it: halves, not pairs."""
    low, high = heads.chunk(2, dim=-1)
    return heads * cos.to(heads.dtype) + torch.cat((-high, low), dim=-1) * sin.to(heads.dtype)


def loss(model: Any, batch: Batch, dropout: float = 0.0) -> Tensor:
    """Return the weighted mean cross-entropy; the vocabulary is scored at targets only."""
    return verdict_loss(model, batch, states(model, batch, dropout))


def verdict_loss(model: Any, batch: Batch, stream: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy of the targets, given the states of all nodes."""
    found = stream.index_select(0, batch.places)
    total: Tensor = _Entropy.apply(found, model.lm_head.weight, batch.targets, batch.weights)  # type: ignore[no-untyped-call]
    return total / batch.weights.sum()


class _Entropy(torch.autograd.Function):
    """Weighted sum of cross-entropies with its gradient made on the way, so that no logits are kept."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, weight: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        kind = (
            torch.get_autocast_dtype(found.device.type)
            if torch.is_autocast_enabled(found.device.type)
            else torch.float32
        )
        narrow, table = found.to(kind), weight.to(kind)
        logits = narrow @ table.T
        right = logits.gather(1, targets[:, None])[:, 0].float()
        whole = logits.logsumexp(-1).float()
        logits.sub_(whole[:, None].to(logits.dtype)).exp_()
        logits.scatter_add_(1, targets[:, None], torch.full_like(logits[:, :1], -1.0))
        logits.mul_(weights[:, None].to(logits.dtype))
        ctx.save_for_backward(logits @ table, logits.T @ narrow)
        return ((whole - right) * weights).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states_grad, table_grad = ctx.saved_tensors
        return states_grad * grad, table_grad.float() * grad, None, None
