"""Tokenizers with the special tokens of other model families, for attacks on the prompt."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Tokenizer, normalizers

from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, save_tokenizer
from worker.config import Settings
from worker.judge.folder import find_model
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens

#: Qwen, Llama 2 and 3, harmony, Gemma; and words of our prompts, which a tokenizer might as well have.
FOREIGN_TOKENS: Final = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|box_start|>", "<|fim_prefix|>"),
    *("<think>", "</think>", "</tool_call>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>"),
    *("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"),
    *("<|start|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "<|constrain|>", "<|end|>"),
    *("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<unk>", "<pad>", "[CLS]", "<|policy|>", "<|verdict|>"),
    *("END OF CONVERSATION", "END OF POLICY", "\\boxed{", "safe}", "unsafe", "> "),
)


def save_foreign(folder: Path, template_file: Path) -> Template:
    """Write a model folder with a little tokenizer in the manner of Qwen2 (byte-level, NFC) that knows all those."""
    template = save_tokenizer(folder, template_file)
    path = str(folder / "tokenizer.json")
    tokenizer: Any = Tokenizer.from_file(path)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=True) for text in FOREIGN_TOKENS])
    tokenizer.save(path)
    return template


@cache
def foreign_tokens(template_file: Path) -> tuple[Tokens, Template]:
    """Return the tokenizer and template of such a folder, made once."""
    with tempfile.TemporaryDirectory() as name:
        template = save_foreign(Path(name), template_file)
        return Tokens(Path(name), template), template


@cache
def demo_tokens() -> tuple[Tokens, Template]:
    """Return the tokenizer and template of the model that comes with the program."""
    folder = find_model(Settings())
    template = load_template(folder)
    return Tokens(folder, template), template


def all_tokens() -> tuple[tuple[Tokens, Template], ...]:
    """Return both templates on the foreign tokenizer, and the demonstration's own."""
    return (demo_tokens(), foreign_tokens(CHAT_TEMPLATE), foreign_tokens(DEMO_TEMPLATE))
