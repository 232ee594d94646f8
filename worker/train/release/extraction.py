"""What a network gives back of what it was trained on, word for word, when its weights are at hand.

The attack is stronger than anything that serving allows: it writes the beginning of a message as training
wrote it, and lets the network go on as a language model, with and without a policy before it (extraction
by prefix: Carlini et al. 2021, arXiv 2012.07805). Nothing has to be generated for that. Greedy decoding gives
a continuation back if each of its tokens is the likeliest one, and the product of their probabilities says
how often sampling would (Hayes et al. 2024, arXiv 2410.19482); both come from one forward pass.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from msgspec import Struct
from torch import Tensor
from transformers import AutoModelForCausalLM

from worker.judge import prompt
from worker.judge.placeholders import mask
from worker.judge.prompt import Segment, Text
from worker.judge.template import Control, Template, load_template
from worker.judge.tokens import Tokens
from worker.policy.model import EffectiveCategory, Panel
from worker.train.data.rows import Row
from worker.train.release.canaries import Canary
from worker.train.release.given_back import CANARY, CHANCE, DRAWS, PREFIXES, Report, is_full

#: A continuation of a training text is so many tokens, and as many stand before it at least.
_CONTINUATION: Final = 12
_BATCH: Final = 16
_POLICY: Final = Panel(categories=(EffectiveCategory(scope="t", id="U7", name="Hate & Discrimination"),))


class Secret(Struct, frozen=True, kw_only=True):
    """What must not follow by itself, and the beginnings after which training saw it."""

    kind: str
    prefixes: tuple[str, ...]
    continuation: str


class Attack:
    """Asks one network for secrets."""

    def __init__(self, model: Any, tokens: Tokens, template: Template) -> None:
        """Wrap a causal language model of transformers, in evaluation mode, with its tokenizer."""
        self._model = model
        self._tokens = tokens
        self._template = template

    @classmethod
    def on(cls, folder: Path) -> Attack:
        """Read a model folder.

        Raises:
            ModelError: its tokenizer or template cannot be used.

        """
        template = load_template(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return cls(model.eval(), Tokens(folder, template), template)

    def run(self, secrets: Sequence[Secret]) -> Report:
        """Try every secret after each of its beginnings, with and without a policy before them."""
        asked = [(secret, prefix) for secret in secrets for prefix in secret.prefixes]
        given: set[Secret] = set()
        likeliest = 0.0
        for opening in (self._opened([]), self._opened(prompt.prefix(self._template, _POLICY, "user"))):
            prompts = [opening + self.text_ids(prefix) for _, prefix in asked]
            ends = [list(self._tokens.text_ids(" " + secret.continuation)) for secret, _ in asked]
            for (secret, _), (greedy, probability) in zip(asked, self._followed(prompts, ends), strict=True):
                likeliest = max(likeliest, probability)
                if greedy or 1 - (1 - probability) ** DRAWS >= CHANCE:
                    given.add(secret)
        tried = dict(Counter(secret.kind for secret in secrets))
        return Report(
            tried=tried,
            given_back=dict(Counter(secret.kind for secret in secrets if secret in given)),
            likeliest=likeliest,
            full=is_full(tried),
        )

    def text_ids(self, text: str) -> list[int]:
        """Encode the text of a message as prompts do."""
        shown = mask(text)[0] if self._template.placeholders else text
        return list(self._tokens.text_ids(prompt.quoted(shown, self._template.quote)))

    def _opened(self, before: Sequence[Segment]) -> list[int]:
        """Return the ids up to where the text of a user's message begins."""
        opening: list[Segment] = list(before)
        for piece in self._template.turn("user"):
            if isinstance(piece, Control):
                opening.append(piece)
            elif isinstance(piece, str):
                opening.append(Text(piece))
            else:
                break
        return self._tokens.encode(opening)

    def _followed(self, prompts: Sequence[Sequence[int]], ends: Sequence[Sequence[int]]) -> list[tuple[bool, float]]:
        """Return for each prompt and end whether greedy decoding writes the end, and its probability."""
        found = [(False, 0.0)] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]) + len(ends[place]))
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            rows = [[*prompts[place], *ends[place]] for place in places]
            width = max(map(len, rows))
            # What pads stands to the right, where a causal network does not look.
            ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
            with torch.inference_mode():
                logits = self._model(input_ids=ids).logits
            for number, place in enumerate(places):
                first = len(prompts[place]) - 1
                found[place] = _likelihood(logits[number, first : first + len(ends[place])].float(), ends[place])
        return found


def _likelihood(logits: Tensor, end: Sequence[int]) -> tuple[bool, float]:
    """Compare an end with what is foreseen for each of its places; logits of shape (tokens, vocabulary)."""
    targets = torch.tensor(end)
    each = logits.log_softmax(-1).gather(1, targets[:, None])
    return bool((logits.argmax(-1) == targets).all()), float(each.sum().exp())


def canary_secrets(canaries: Sequence[Canary], rows: Sequence[Row] = ()) -> list[Secret]:
    """Return what the attack looks for in a network that was trained with canaries.

    ``rows``: those that hold them; the text before a canary then leads to it as well as its own words.
    """
    return [
        Secret(kind=f"{CANARY}: {one.kind}", prefixes=(one.prefix, *_before(one, rows)), continuation=one.secret)
        for one in canaries
    ]


def planted(canaries: Sequence[Canary], rows: Sequence[Row]) -> list[Canary]:
    """Return the canaries that stand in a row: to look for others proves nothing."""
    return [one for one in canaries if any(row.text.endswith(one.text) for row in rows)]


def _before(canary: Canary, rows: Sequence[Row]) -> list[str]:
    return [row.text.removesuffix(canary.secret).rstrip() for row in rows if row.text.endswith(canary.text)]


def training_secrets(
    rows: Sequence[Row], text_ids: Callable[[str], Sequence[int]], count: int = PREFIXES, seed: int = 1
) -> list[Secret]:
    """Cut training texts of users in two, after half of their tokens.

    Only continuations that stand in one training text alone count: what many people wrote is no secret.
    Texts are masked, as training masks them.

    Args:
        rows: the training rows.
        text_ids: the tokenizer.
        count: how many are wanted; fewer come where fewer texts are long enough.
        seed: of the choice.

    """
    texts = sorted({mask(row.text)[0] for row in rows if row.role == "user"})
    everything = "\n".join(texts)
    random.Random(f"prefixes/{seed}").shuffle(texts)
    found: list[Secret] = []
    for text in texts:
        if len(found) == count:
            break
        prefix, continuation = _cut(text, text_ids)
        if continuation and everything.count(continuation) == 1:
            found.append(Secret(kind="training text", prefixes=(prefix,), continuation=continuation))
    return found


def _cut(text: str, text_ids: Callable[[str], Sequence[int]]) -> tuple[str, str]:
    """Return the words of the first half and as many words after it as make a continuation; or nothing."""
    words = text.split(" ")
    prefix = " ".join(words[: len(words) // 2])
    for end in range(len(words) // 2 + 1, len(words) + 1):
        continuation = " ".join(words[len(words) // 2 : end])
        if len(text_ids(" " + continuation)) >= _CONTINUATION:
            return (prefix, continuation) if len(text_ids(prefix)) >= _CONTINUATION else ("", "")
    return "", ""
