"""The small model's own tokenizer: byte-level BPE, saved as a folder that transformers reads as Qwen2's.

It learns from masked text only, so that no private data can become a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2TokenizerFast

from worker.errors import TrainError
from worker.judge.template import Template

VOCAB_SIZE: Final = 8192
PAD: Final = "<|pad|>"
#: Qwen2's own way to cut text, so that the folder behaves as its class says.
_CUT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], template: Template, vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """Learn the merges from texts that are masked already.

    Raises:
        TrainError: ``safe`` and ``unsafe`` did not become whole tokens.

    """
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CUT), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    controls = [AddedToken(token, normalized=False, special=True) for token in (PAD, *template.controls)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=controls,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    check_labels(tokenizer, template)
    return tokenizer  # type: ignore[no-any-return]


def check_labels(tokenizer: Any, template: Template) -> None:
    """Check that ``safe`` and ``unsafe`` are whole tokens, alone and where the verdict stands.

    Raises:
        TrainError: they are not.

    """
    firsts = set()
    for label in ("safe", "unsafe"):
        alone = tokenizer.encode(label).tokens
        placed = tokenizer.encode(template.verdict_open + label + template.verdict_close).tokens
        if alone != [label] or label not in placed:
            text = f"{label!r} is {alone} in the tokenizer; give it more texts with verdicts, or a larger vocabulary"
            raise TrainError(text)
        firsts.add(alone[0])
    if len(firsts) < 2:  # noqa: PLR2004 - two labels
        text = "safe and unsafe begin with the same token; the score could not tell them apart"
        raise TrainError(text)


def save_tokenizer(tokenizer: Any, template: Template, folder: Path, max_length: int) -> None:
    """Write the tokenizer's files into a model folder."""
    wrapped: Any = Qwen2TokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=template.end,
        pad_token=PAD,
        bos_token=None,
        unk_token=None,
        additional_special_tokens=list(template.controls),
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(folder)
