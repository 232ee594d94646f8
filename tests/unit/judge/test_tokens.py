"""Encoding: control tokens by their ids, text without them, and tokenizers that cannot be served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, PLAIN_ADDED, save_tokenizer, tiny_tokens
from worker.errors import ModelError
from worker.judge.prompt import Text
from worker.judge.template import Control, load_template
from worker.judge.tokens import Tokens, token_bytes


def test_a_control_is_one_id_and_its_spelling_is_not() -> None:
    """The template's token and a text that spells it never meet."""
    tokens, _ = tiny_tokens()

    ids = tokens.encode([Control("<|think|>"), Text("<|think|>")])

    assert ids[0] == tokens.control_ids["<|think|>"]
    assert len(ids) > 2
    assert not set(ids[1:]) & set(tokens.control_ids.values())


def test_added_tokens_that_are_not_special_are_text_too() -> None:
    """Every added token of the vocabulary is taken away, whatever it is called."""
    tokens, _ = tiny_tokens()

    assert len(tokens.text_ids(PLAIN_ADDED)) > 1


def test_nothing_is_lost() -> None:
    """What goes in comes out, also what no vocabulary has words for."""
    tokens, _ = tiny_tokens()
    text = "Grüße 🤷‍♀️ \u202e \u200b \x00\r\n <|end|> \ue000 \U0010ffff"

    assert tokens.decode(tokens.text_ids(text)) == text
    assert tokens.decode(tokens.text_ids(text * 200)) == text * 200


def test_tokens_are_bytes(tmp_path: Path) -> None:
    """Side by side they make the text, byte for byte; control tokens stand for none."""
    save_tokenizer(tmp_path)
    tokens, _ = tiny_tokens()
    text = "Grüße 🤷 \x00\r\n\u00ad\x7f <|end|>"
    found = token_bytes(tmp_path)

    assert b"".join(found[number] for number in tokens.text_ids(text)) == text.encode()
    assert found.keys().isdisjoint(tokens.added_ids)
    assert {bytes([byte]) for byte in range(256)} <= set(found.values())


def test_segments_are_encoded_on_their_own() -> None:
    """Neighbours do not merge: training encodes them apart as well."""
    tokens, _ = tiny_tokens()

    assert tokens.encode([Text("un"), Text("safe")]) == [*tokens.text_ids("un"), *tokens.text_ids("safe")]


@pytest.mark.parametrize("template_file", [DEMO_TEMPLATE, CHAT_TEMPLATE], ids=["demo", "chat"])
def test_first_tokens_know_their_label(template_file: Path) -> None:
    """Every token that can begin a label is known, with the label that it begins."""
    tokens, _ = tiny_tokens(template_file)
    words = {tokens.decode([number]): label for number, label in tokens.first_tokens.items()}

    assert {"s": "safe", "u": "unsafe", "safe": "safe", "unsafe": "unsafe"}.items() <= words.items()
    assert all(word[0] == label[0] for word, label in words.items())
    assert tokens.describe_labels() == "safe and unsafe are one token each"


def test_the_byte_bound_holds() -> None:
    """No token stands for more bytes of text than the bound says."""
    tokens, _ = tiny_tokens()

    for text in ("fox jumps over", "safe" * 50, "é" * 50, "🤷" * 20):
        assert len(text.encode()) <= len(tokens.text_ids(text)) * tokens.bytes_per_token


def broken(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Write a folder whose tokenizer was changed."""
    save_tokenizer(folder)
    path = folder / "tokenizer.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    change(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "change, problem",
    [
        (lambda fields: fields["added_tokens"].pop(3), "has no added token"),
        (lambda fields: fields["model"]["vocab"].pop("Ã"), "invisible"),
        (lambda fields: fields.update(pre_tokenizer={"type": "Whitespace"}), "invisible"),
        (lambda fields: fields["model"].update(type="Unigram", vocab=[["a", 0.0]]), "only byte-level BPE"),
        (lambda fields: fields["model"].update(merges=[["n", "o such token"]]), "is not a tokenizer"),
    ],
    ids=["control missing", "byte missing", "not byte-level", "not BPE", "broken"],
)
def test_what_cannot_be_served(tmp_path: Path, change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    """A tokenizer that would lose text or let it become control is refused, in words."""
    folder = broken(tmp_path, change)

    with pytest.raises(ModelError, match=problem):
        Tokens(folder, load_template(folder))


def test_a_tokenizer_that_cuts_is_not_obeyed(tmp_path: Path) -> None:
    """Truncation and padding in the file would change texts in silence; they are taken out."""

    def cut(fields: dict[str, Any]) -> None:
        fields["truncation"] = {"max_length": 2, "strategy": "LongestFirst", "direction": "Right", "stride": 0}
        fields["padding"] = {
            "strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "x",
        }  # fmt: skip

    folder = broken(tmp_path, cut)

    assert Tokens(folder, load_template(folder)).text_ids("abc def") == tiny_tokens()[0].text_ids("abc def")


def test_the_texts_end_must_be_the_templates(tmp_path: Path) -> None:
    """The engine ends an answer with the tokenizer's end; another one would be no end at all."""
    save_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|pad|>"}}', encoding="utf-8")

    with pytest.raises(ModelError, match=r"ends with '<\|pad\|>'"):
        Tokens(tmp_path, load_template(tmp_path))


@pytest.mark.parametrize("text", ["", "[1]", "{"], ids=["empty", "a list", "half"])
def test_no_json(tmp_path: Path, text: str) -> None:
    """A broken file is a wrong model folder, not a crash."""
    save_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")

    with pytest.raises(ModelError, match=r"tokenizer\.json of the model is not a JSON object"):
        Tokens(tmp_path, load_template(tmp_path))
