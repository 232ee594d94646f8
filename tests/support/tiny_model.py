"""A little Qwen2 with random weights and a tokenizer of its own, for tests that need an engine and no sense."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from worker.judge.prompt import verdict_opening
from worker.judge.template import DEFAULT_FILE, FILE_NAME, Template, load_template
from worker.judge.tokens import Tokens

DEMO_TEMPLATE: Final = DEFAULT_FILE.with_name("rsafe-demo.toml")
CHAT_TEMPLATE: Final = DEFAULT_FILE
WINDOW_TOKENS: Final = 1024
#: No part of any template, and not called special: still an added token.
PLAIN_ADDED: Final = "<tool_call>"
_APART: Final = 'categories = "apart"\n'
_PAD: Final = "<|pad|>"
_CORPUS: Final = (
    "so safe. so unsafe. U7 Hate met by; U8 not met; so unsafe. not met; so safe.",
    "\\boxed{safe} \\boxed{unsafe} U7, U8, U15 </think> the quick brown fox jumps over the lazy dog",
) * 8
_HIDDEN: Final = 64
#: How much likelier than other tokens the one that ends the reasoning is: greedy decoding then ends
#: some texts' reasoning early and runs others into the budget.
_END_WEIGHT: Final = 1.6


def save_tokenizer(folder: Path, template_file: Path = DEMO_TEMPLATE, *, apart: bool = False) -> Template:
    """Write tokenizer, template and a configuration into a folder; enough for all that needs no weights.

    Categories are asked together, whatever the template says, or ``apart``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = template_file.read_text(encoding="utf-8").replace(_APART, "")
    (folder / FILE_NAME).write_text((_APART if apart else "") + text, encoding="utf-8")
    template = load_template(folder)
    tokenizer = _trained(template)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": template.end,
        "pad_token": _PAD,
        "model_max_length": WINDOW_TOKENS,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"vocab_size": tokenizer.get_vocab_size()}), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"no weights")
    return template


def save_model(folder: Path, template_file: Path = DEMO_TEMPLATE) -> Path:
    """Write a whole model folder that a real engine can serve."""
    # Here and not above: most tests need no weights, and these take seconds to import.
    import torch  # noqa: PLC0415
    from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: PLC0415

    template = save_tokenizer(folder, template_file)
    vocabulary = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=_HIDDEN,
        intermediate_size=2 * _HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=WINDOW_TOKENS,
        tie_word_embeddings=False,
        initializer_range=0.5,
    )
    model: Any = Qwen2ForCausalLM(config)
    end = Tokens(folder, template).encode(verdict_opening(template))[0]
    with torch.no_grad():
        model.lm_head.weight[end] *= _END_WEIGHT
    model.to(torch.float32).save_pretrained(folder)
    return folder


@cache
def tiny_tokens(template_file: Path = DEMO_TEMPLATE) -> tuple[Tokens, Template]:
    """Return the tokenizer and template of such a folder, made once."""
    with tempfile.TemporaryDirectory() as folder:
        template = save_tokenizer(Path(folder), template_file)
        return Tokens(Path(folder), template), template


def _trained(template: Template) -> Any:
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    controls = [AddedToken(token, normalized=False, special=True) for token in (_PAD, *template.controls)]
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=controls,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.add_tokens([AddedToken(PLAIN_ADDED, normalized=False, special=False)])
    return tokenizer
