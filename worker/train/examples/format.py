"""From a row and a policy to token ids, through the prompt that serves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from worker.judge import prompt
from worker.judge.placeholders import mask
from worker.judge.prompt import Segment, Text
from worker.judge.template import Control, Template
from worker.records import Label, Message
from worker.train.data.labels import (
    ABUSE,
    AGREEMENT,
    BIAS,
    CIVILITY,
    EXPERTISE,
    HATE,
    OFFENDING,
    RISK,
    SEXISM,
    SPAM,
    TOXICITY,
)
from worker.train.data.linear import Linear
from worker.train.data.rows import Row
from worker.train.examples import reasoning
from worker.train.examples.trie import Example, Trie
from worker.train.policies.draw import Wording, draw

#: What each set was labelled for.
OWN: Final[dict[str, tuple[str, ...]]] = {
    "convabuse": (ABUSE,),
    "davidson": (HATE, CIVILITY),
    "diasafety": (OFFENDING, RISK, EXPERTISE, AGREEMENT, BIAS),
    "edos": (SEXISM,),
    "hatemoji": (HATE,),
    "sms": (SPAM,),
    "surge": (TOXICITY,),
    "toxic_spans": (TOXICITY,),
}
#: Expected copies of a row per epoch, by source and by whether any own label is true.
#: Davidson's offensive class and EDOS's plain one are thinned; rare and small classes come twice.
COPIES: Final[dict[tuple[str, bool], float]] = {
    ("convabuse", True): 3.0,
    ("davidson", True): 0.45,
    ("edos", False): 0.5,
    ("hatemoji", False): 1.5,
    ("hatemoji", True): 1.5,
    ("sms", True): 3.0,
    ("sms", False): 1.2,
    ("surge", False): 2.0,
    ("surge", True): 2.0,
    ("toxic_spans", False): 0.35,
    ("toxic_spans", True): 0.4,
}
_HATE_COPIES: Final = 2.0
MAX_CHARS: Final = 500
GROUP_SIZE: Final = 6
_LABEL_WEIGHT: Final = 4.0


class Sample(Struct, frozen=True, kw_only=True):
    """A row with the quotes that its reasoning may use, by concept."""

    row: Row
    quotes: dict[str, tuple[str, ...]]


def prepare(rows: Sequence[Row], models: Mapping[str, Linear]) -> list[Sample]:
    """Find quotes for every violated concept; rows longer than ``MAX_CHARS`` are left out."""
    return [
        Sample(row=row, quotes={key: _quotes(row, models[key]) for key, value in row.known.items() if value})
        for row in rows
        if len(row.text) <= MAX_CHARS
    ]


def _quotes(row: Row, model: Linear) -> tuple[str, ...]:
    """Marked evidence where it is short and stands in the masked text, else the linear model's word."""
    shown = mask(row.text)[0]
    marked = tuple(quote for quote in row.evidence if len(quote) <= _MAX_QUOTE and quote in shown and '"' not in quote)
    if marked:
        return marked
    word = model.quote(row.text)
    return (word,) if word and word in shown else ()


_MAX_QUOTE: Final = 32


def _copies(row: Row) -> float:
    if row.source == "davidson" and row.known[HATE]:
        return _HATE_COPIES
    violated = any(row.known.get(key, False) for key in OWN[row.source])
    return COPIES.get((row.source, violated), 1.0)


def epoch_groups(samples: Sequence[Sample], rng: random.Random) -> list[list[Sample]]:
    """Draw one epoch: rows in groups that can share a policy (same source, role and known concepts)."""
    drawn: dict[tuple[object, ...], list[Sample]] = {}
    for sample in samples:
        copies = _copies(sample.row)
        row = sample.row
        for _ in range(int(copies) + (rng.random() < copies % 1)):
            drawn.setdefault((row.source, row.role, frozenset(row.known)), []).append(sample)
    groups: list[list[Sample]] = []
    for bucket in drawn.values():
        rng.shuffle(bucket)
        groups += [bucket[start : start + GROUP_SIZE] for start in range(0, len(bucket), GROUP_SIZE)]
    rng.shuffle(groups)
    return groups


class Formatter:
    """Formats examples for one template and tokenizer."""

    def __init__(self, template: Template, tokenizer: Any) -> None:
        """Wrap a ``tokenizers.Tokenizer``; texts can never become its control tokens."""
        self.template = template
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def ids(self, segments: Sequence[Segment]) -> list[int]:
        """Tokenise segments one by one, as serving does."""
        return [token for segment in segments for token in self._segment(segment)]

    def _segment(self, segment: Segment) -> list[int]:
        if isinstance(segment, Control):
            return [self._tokenizer.token_to_id(segment.token)]
        found = self._known.get(segment.text)
        if found is None:
            found = self._known[segment.text] = self._tokenizer.encode(segment.text, add_special_tokens=False).ids
        return found

    def prompt_ids(self, wording: Wording, row: Row, *, reasoning: bool) -> list[int]:
        """Return the prompt of one call, up to where the model writes."""
        message = message_of(row)
        shared = self.ids(prompt.prefix(self.template, wording.panel, row.role))
        return shared + self.ids(prompt.suffix(self.template, message, reasoning=reasoning))

    def answer_ids(self, label: Label, cited: Sequence[str]) -> list[int]:
        """Return label, ids and end as the model is to write them."""
        return self.ids(answer(self.template, label, cited))

    def examples(self, rng: random.Random, wording: Wording, sample: Sample, *, lm_weight: float) -> list[Example]:
        """Format one row under one policy twice: the verdict at once, and after reasoning."""
        row = sample.row
        label, named = reasoning.label_of(wording, row.known), reasoning.cited(wording, row.known)
        last = self.answer_ids(label, named)
        labelled = [_LABEL_WEIGHT] + [1.0] * (len(last) - 1)
        asked = self.prompt_ids(wording, row, reasoning=False)
        direct = Example(ids=asked + last, weights=[lm_weight] * len(asked) + labelled)
        opened = self.prompt_ids(wording, row, reasoning=True)
        thought = self.ids([Text(reasoning.write(rng, wording, row.known, sample.quotes))])
        closed = self.ids(prompt.verdict_opening(self.template))
        # What the server writes itself (the close and the opening of the verdict) is a target too:
        # the model has to end its reasoning on its own.
        traced = Example(
            ids=opened + thought + closed + last,
            weights=[lm_weight] * len(opened) + [1.0] * (len(thought) + len(closed)) + [1.0] * len(last),
        )
        return [direct, traced]


def answer(template: Template, label: Label, cited: Sequence[str]) -> list[Segment]:
    """Return what the model writes after the verdict's opening."""
    ids = " " + ", ".join(cited) if cited else ""
    return [Text(label), Text(template.verdict_close + ids), Control(template.end)]


def message_of(row: Row) -> Message:
    """Return the message that the row stands for."""
    return Message(tenant_id="train", message_id=row.place[:256], text=row.text, role=row.role, context=row.context)


def tries(
    samples: Sequence[Sample],
    formatter: Formatter,
    allowed: frozenset[frozenset[str]],
    rng: random.Random,
    lm_weight: Callable[[], float],
) -> Iterator[Trie]:
    """Yield one epoch of training sequences, one per group and policy."""
    for group in epoch_groups(samples, rng):
        row = group[0].row
        wording = draw(rng, row.known, allowed, OWN[row.source])
        trie, weight = Trie(), lm_weight()
        for sample in group:
            trie.add_all(formatter.examples(rng, wording, sample, lm_weight=weight))
        yield trie
