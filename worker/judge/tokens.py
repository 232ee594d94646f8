"""From segments to token ids, so that no text can become a control token.

Text is encoded by a copy of the model's tokenizer from which every added token is taken away, out of
the vocabulary too: an id that is not there cannot come out, whatever the text says. Control tokens go
in by their id alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, pre_tokenizers

from worker.errors import ModelError
from worker.judge.prompt import Segment
from worker.judge.template import Control, Template
from worker.records import Label

_FILE: Final = "tokenizer.json"
_CONFIG: Final = "tokenizer_config.json"
_LABELS: Final[tuple[Label, ...]] = ("safe", "unsafe")
#: Texts up to this length are remembered: those of the template come back with every message.
_REMEMBERED_CHARS: Final = 1000
REMEMBERED: Final = 2048
#: Unicode composition (NFC) makes at most one byte out of three: Hangul syllables.
_COMPOSITION: Final = 3


class Tokens:
    """Encodes and decodes for one model folder and template. Safe to use from several threads.

    ``added_ids`` are the ids of all added tokens, special or not: none of them can come out of a text.
    """

    def __init__(self, folder: Path, template: Template) -> None:
        """Read the tokenizer of a model folder.

        Raises:
            ModelError: it cannot be read, loses characters, or does not fit the template.

        """
        fields = _read(folder / _FILE)
        added = {token["content"]: token["id"] for token in fields.get("added_tokens", ())}
        self.added_ids: Final = frozenset(added.values())
        self._controls = {name: _control(name, added) for name in template.controls}
        self._plain = _load(_plain(fields, set(added)))
        self._full = _load(fields)
        _check_bytes(self._plain, fields)
        _check_end(folder / _CONFIG, template)
        self._normalized = fields.get("normalizer") is not None
        self._vocabulary: dict[str, int] = self._plain.get_vocab()
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._encode)
        self.first_tokens: Final = self._first_tokens()

    @property
    def control_ids(self) -> Mapping[str, int]:
        """The ids of the template's control tokens."""
        return self._controls

    @property
    def bytes_per_token(self) -> int:
        """The most bytes of UTF-8 text that one token can stand for."""
        longest = max(len(token) for token in self._vocabulary)
        return longest * (_COMPOSITION if self._normalized else 1)

    def encode(self, segments: Iterable[Segment]) -> list[int]:
        """Encode segments one by one, each on its own, as training does."""
        ids: list[int] = []
        for segment in segments:
            if isinstance(segment, Control):
                ids.append(self._controls[segment.token])
            else:
                ids += self.text_ids(segment.text)
        return ids

    def text_ids(self, text: str) -> tuple[int, ...]:
        """Encode plain text; never a control token."""
        return self._remembered(text) if len(text) <= _REMEMBERED_CHARS else self._encode_long(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, control tokens by their names."""
        return str(self._full.decode(list(ids), skip_special_tokens=False))

    def describe_labels(self) -> str:
        """Say in words how the labels are made of tokens."""
        split = [label for label in _LABELS if len(self.text_ids(label)) > 1]
        return f"{' and '.join(split)} of several tokens" if split else "safe and unsafe are one token each"

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    def _encode_long(self, text: str) -> tuple[int, ...]:
        # The batch form lets other threads run meanwhile; the single form does not, and is faster.
        return tuple(self._plain.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def _first_tokens(self) -> dict[int, Label]:
        """Return the tokens that can begin a label, each with its label.

        Raises:
            ModelError: both labels begin with the same token, so that no score can tell them apart.

        """
        if self.text_ids("safe")[0] == self.text_ids("unsafe")[0]:
            text = "safe and unsafe begin with the same token; the score cannot tell them apart"
            raise ModelError(text)
        return {
            token_id: label
            for token, token_id in self._vocabulary.items()
            for label in _LABELS
            if token and (label.startswith(token) or token.startswith(label))
        }


def token_bytes(folder: Path) -> dict[int, bytes]:
    """Return the bytes that each token of a model folder stands for; added tokens stand for no text.

    Raises:
        ModelError: the tokenizer cannot be read, or is none that is served.

    """
    fields = _read(folder / _FILE)
    added = {token["content"] for token in fields.get("added_tokens", ())}
    vocabulary = _plain(fields, added)["model"]["vocab"]
    bytes_of = {symbol: byte for byte, symbol in _byte_symbols().items()}
    return {number: bytes(bytes_of[symbol] for symbol in token) for token, number in vocabulary.items()}


def _byte_symbols() -> dict[int, str]:
    """Return the letter that stands for each byte in a byte-level vocabulary (Radford et al. 2019, GPT-2).

    Bytes that can be printed stand for themselves, the others for the letters from U+0100 on, in their order.
    """
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in shown)
    return {byte: chr(byte) for byte in shown} | {byte: chr(0x100 + place) for place, byte in enumerate(others)}


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        text = f"{path.name} of the model cannot be read ({error.strerror}); save it with a fast tokenizer"
        raise ModelError(text) from None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        text = f"{path.name} of the model is not a JSON object; save the tokenizer again"
        raise ModelError(text)
    return fields


def _load(fields: Mapping[str, Any]) -> Any:
    try:
        return Tokenizer.from_str(json.dumps(fields))
    except Exception as error:  # noqa: BLE001  (the library raises bare exceptions only)
        text = f"{_FILE} of the model is not a tokenizer: {error}"
        raise ModelError(text) from None


def _control(name: str, added: Mapping[str, int]) -> int:
    if name not in added:
        text = f"the tokenizer has no added token {name!r}, which the template uses; add it, or change the template"
        raise ModelError(text)
    return added[name]


def _plain(fields: dict[str, Any], added: set[str]) -> dict[str, Any]:
    """Take every added token away, and everything that could cut, pad or wrap a text."""
    model = dict(fields["model"])
    if not isinstance(model.get("vocab"), dict) or not isinstance(model.get("merges"), list):
        text = f"the tokenizer's model is {model.get('type')!r}; only byte-level BPE is served"
        raise ModelError(text)
    model["vocab"] = {token: number for token, number in model["vocab"].items() if token not in added}
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    model["merges"] = [pair for pair in merges if added.isdisjoint((*pair, "".join(pair)))]
    model["unk_token"] = None
    return {**fields, "model": model, "added_tokens": [], "post_processor": None, "truncation": None, "padding": None}


def _check_bytes(plain: Any, fields: Mapping[str, Any]) -> None:
    """Check that every byte has a token: what has none would vanish from the judge's eyes."""
    kinds = json.dumps(fields.get("pre_tokenizer"))
    missing = [symbol for symbol in pre_tokenizers.ByteLevel.alphabet() if plain.token_to_id(symbol) is None]
    if '"ByteLevel"' not in kinds or missing:
        text = "the tokenizer is not byte-level with all 256 bytes, so some text would be invisible; train it so"
        raise ModelError(text)


def _check_end(path: Path, template: Template) -> None:
    """Check that the engine knows the template's end: a grammar that is done allows nothing else."""
    token = _read(path).get("eos_token")
    name = token.get("content") if isinstance(token, dict) else token
    if name != template.end:
        text = f"{path.name} of the model says the text ends with {name!r}, its template says {template.end!r}"
        raise ModelError(text)
