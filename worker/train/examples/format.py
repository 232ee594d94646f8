"""From a row and a policy to token ids, through the prompt that serves."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
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
    Sense,
)
from worker.train.data.linear import Linear
from worker.train.data.rows import Row
from worker.train.data.taxonomy import UNSAFE
from worker.train.examples import hints, mentions, reasoning
from worker.train.examples.fit import PAPER_LABELS, fits, topics_beside
from worker.train.examples.hints import Hint
from worker.train.examples.sample import Sample, as_it_stands
from worker.train.examples.trie import Example, Family, Trie, family
from worker.train.policies.draw import Wording, draw, drawn_from
from worker.train.policies.fray import fray
from worker.train.policies.wording import exchanged

#: What each set was labelled for.
OWN: Final[dict[str, tuple[str, ...]]] = {
    "convabuse": (ABUSE,),
    "davidson": (HATE, CIVILITY),
    "diasafety": (OFFENDING, RISK, EXPERTISE, AGREEMENT, BIAS),
    "edos": (SEXISM,),
    "hatemoji": (HATE,),
    "benign_chat": (),
    "benign_identity": (),
    "own_contrast": (HATE, SEXISM, SPAM),
    "sms": (SPAM,),
    "surge": (TOXICITY,),
    "toxic_spans": (TOXICITY,),
    **PAPER_LABELS,
}
#: Expected copies of a row per epoch, by source and by whether any own label is true.
#: Davidson's offensive class and Toxic Spans are large and soon learnt; rare and hard classes come more often.
COPIES: Final[dict[tuple[str, bool], float]] = {
    ("convabuse", False): 1.5,
    ("convabuse", True): 3.0,
    ("davidson", True): 0.3,
    ("diasafety", False): 1.5,
    ("diasafety", True): 1.5,
    ("edos", False): 0.8,
    ("edos", True): 1.5,
    ("hatemoji", False): 2.0,
    ("hatemoji", True): 2.0,
    ("sms", True): 3.0,
    ("sms", False): 1.2,
    ("surge", False): 2.0,
    ("surge", True): 2.0,
    ("toxic_spans", False): 0.35,
    ("toxic_spans", True): 0.4,
}
_HATE_COPIES: Final = 2.0
_BESIDE: Final = 0.5
GROUP_SIZE: Final = 6
_LABELS: Final[tuple[Label, ...]] = ("safe", "unsafe")


class Teaching(Struct, frozen=True, kw_only=True):
    """What counts for how much.

    Attributes:
        label: weight of the label that is given at once; ``after``: of the one after reasoning.
        trace, decision: weight of a token of the reasoning, and of a word in it that decides.
        gold: share of the row's own label in the soft label; the rest is the linear teacher's.
        traced: share of the rows that are also taught with reasoning.
        split: share of the message's tokens that are split into the two they were merged from.
        mentions: share of the groups whose policy names words instead of concepts, or (half of them) beside them.
        frayed: share of the policies of concepts that lose some of their words.
        hints: weight of what is told on the way (``hints``); 0: nothing is.

    """

    label: float = 16.0
    after: float = 2.0
    trace: float = 2.0
    decision: float = 3.0
    gold: float = 0.5
    traced: float = 0.5
    split: float = 0.1
    mentions: float = 0.15
    frayed: float = 0.5
    hints: float = 0.3


def prepare(rows: Sequence[Row], models: Mapping[str, Linear]) -> list[Sample]:
    """Find quotes for every violated concept that has a model; rows that are too long are left out."""
    return [
        Sample(
            row=row,
            quotes={key: _quotes(row, models[key]) for key, value in row.known.items() if value and key in models},
        )
        for row in rows
        if fits(row)
    ]


def _quotes(row: Row, model: Linear) -> tuple[str, ...]:
    """Marked evidence where it is short and stands in the masked text, else the linear model's word."""
    shown = mask(row.text)[0]
    marked = tuple(quote for quote in row.evidence if len(quote) <= _MAX_QUOTE and quote in shown and '"' not in quote)
    if marked:
        return tuple(as_it_stands(quote, shown) for quote in marked)
    word = model.quote(row.text)
    return (as_it_stands(word, shown),) if word and word in shown else ()


_MAX_QUOTE: Final = 32
#: Texts of rows come back in each epoch; policies are new each time, and a long run would keep them all.
_KEPT_TEXTS: Final = 200_000


def _copies(row: Row) -> float:
    if row.source == "davidson" and row.known[HATE]:
        return _HATE_COPIES
    violated = any(row.known.get(key, False) for key in OWN[row.source])
    return COPIES.get((row.source, violated), 1.0)


def epoch_groups(samples: Sequence[Sample], rng: random.Random) -> list[list[Sample]]:
    """Draw one epoch: rows in groups that can share a policy (same source, role and own known concepts).

    Grouped by all that is known of them, rows of one label would stand together, since what is known
    depends on the label, and a policy would tell it: 31 % of such groups held both labels, of these over 80 %.
    """
    drawn: dict[tuple[object, ...], list[Sample]] = {}
    for sample in samples:
        copies = _copies(sample.row)
        row = sample.row
        for _ in range(int(copies) + (rng.random() < copies % 1)):
            own = frozenset(row.known).intersection(OWN[row.source])
            drawn.setdefault((row.source, row.role, own), []).append(sample)
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
        self._encode = lru_cache(maxsize=_KEPT_TEXTS)(self._encoded)
        vocabulary = tokenizer.get_vocab()
        merges = json.loads(tokenizer.to_str())["model"]["merges"]
        self._parts = {vocabulary[a + b]: (vocabulary[a], vocabulary[b]) for a, b in merges}

    def ids(self, segments: Sequence[Segment]) -> list[int]:
        """Tokenise segments one by one, as serving does."""
        return [token for segment in segments for token in self._segment(segment)]

    def _segment(self, segment: Segment) -> list[int]:
        if isinstance(segment, Control):
            return [self._tokenizer.token_to_id(segment.token)]
        return self._encode(segment.text)

    def _encoded(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids  # type: ignore[no-any-return]

    def prompt_ids(self, wording: Wording, row: Row, *, reasoning: bool) -> list[int]:
        """Return the prompt of one call, up to where the model writes."""
        message = message_of(row)
        shared = self.ids(prompt.prefix(self.template, wording.panel, row.role))
        return shared + self.ids(prompt.suffix(self.template, message, reasoning=reasoning))

    def policy_hints(self, wording: Wording) -> list[Hint]:
        """Return what each category and clause asks, by its node, after the prompt's first token."""
        offsets = self._tokenizer.encode(prompt.policy_text(wording.panel), add_special_tokens=False).offsets
        return list(hints.of_policy(wording, offsets, 1))

    def text_hints(self, sample: Sample, trie: Trie, first: int, gold: float) -> list[Hint]:
        """Return what is known of a text, at its end and where the label is given at once."""
        end = trie.tokens.index(self.ids(prompt.opening(self.template, reasoning=True))[0])
        opened = len(self.ids(prompt.opening(self.template, reasoning=False)))
        return [hints.of_row(sample, gold, first + node) for node in (end - 1, end + opened - 1)]

    def answer_ids(self, label: Label, cited: Sequence[str]) -> list[int]:
        """Return label, ids and end as the model is to write them."""
        return self.ids(answer(self.template, label, cited))

    def examples(
        self, rng: random.Random, wording: Wording, sample: Sample, *, lm_weight: float, how: Teaching
    ) -> list[Example]:
        """Format one row under one policy: the verdict at once, and for a share of rows after reasoning too."""
        template, row = self.template, sample.row
        shared = self.ids(prompt.prefix(template, wording.panel, row.role))
        asked = shared + self.split(rng, self.ids(prompt.conversation(template, message_of(row))), how.split)
        start = [_Step(token, lm_weight) for token in asked]
        label = reasoning.label_of(wording, row.known)
        chance = unsafe_chance(wording, sample, how.gold)
        direct = self._opened(reasoning=False) + self._answer(wording, row, how.label, chance)
        made = [_example(start + direct, len(asked))]
        if rng.random() < how.traced and reasoning.is_told(wording, row.known):
            sure = float(label == "unsafe")
            traced = self._thought(rng, wording, sample, how) + self._answer(wording, row, how.after, sure)
            made.append(_example(start + self._opened(reasoning=True) + traced, len(asked)))
        return made

    def about_nothing(self, rng: random.Random, wording: Wording) -> Example:
        """Return the reasoning about no message, for the ids that it copies; decisions count for nothing."""
        senses = [*wording.senses, *(sense for _, sense in wording.clauses)]
        known = {key: False for sense in senses for key in sense.any_of}
        sample = Sample(row=Row(source="", place="", text="", known=known), quotes={})
        thought = self._thought(rng, wording, sample, Teaching(decision=0.0))
        return _example(self._opened(reasoning=True) + thought, 0)

    def _opened(self, *, reasoning: bool) -> list[_Step]:
        return [_Step(token, 0.0) for token in self.ids(prompt.opening(self.template, reasoning=reasoning))]

    def _answer(self, wording: Wording, row: Row, weight: float, chance: float) -> list[_Step]:
        label, named = reasoning.label_of(wording, row.known), reasoning.cited(wording, row.known)
        first, *rest = self.answer_ids(label, named)
        if label == "unsafe" and not named:
            # Which ids are right is not known, so nothing is taught after the label.
            rest = []
        other = self.answer_ids("safe" if label == "unsafe" else "unsafe", ())[0]
        sure = chance if label == "unsafe" else 1 - chance
        return [_Step(first, weight * sure, other, weight * (1 - sure)), *(_Step(token, 1.0) for token in rest)]

    def _thought(self, rng: random.Random, wording: Wording, sample: Sample, how: Teaching) -> list[_Step]:
        """Return the reasoning, its decisions with soft labels, and what the server writes after it.

        The close and the opening of the verdict are targets too: the model has to end its reasoning on its own.
        """
        steps: list[_Step] = []
        chances = [sense_chance(sense, sample, how.gold) for sense in wording.senses]
        met, unmet = (self.ids([Text(text)])[0] for text in (reasoning.MET, reasoning.NOT_MET))
        for text, decides in reasoning.segments(rng, wording, sample.row.known, sample.quotes):
            first, *rest = self.ids([Text(text)])
            if decides:
                chance = chances.pop(0)
                sure, other = (chance, unmet) if first == met else (1 - chance, met)
                steps.append(_Step(first, how.decision * sure, other, how.decision * (1 - sure)))
            else:
                steps.append(_Step(first, how.trace))
            steps += [_Step(token, how.trace) for token in rest]
        return steps + [_Step(token, how.trace) for token in self.ids(prompt.verdict_opening(self.template))]

    def split(self, rng: random.Random, ids: Sequence[int], share: float) -> list[int]:
        """Split a share of the tokens into the two they were merged from, and those parts again."""
        found: list[int] = []
        for token in ids:
            parts = self._parts.get(token) if rng.random() < share else None
            found += self.split(rng, parts, share) if parts else [token]
        return found


class _Step(Struct, frozen=True):
    """A token, what it counts for, and what else might stand there."""

    token: int
    weight: float
    other: int = 0
    other_weight: float = 0.0


def _example(steps: Sequence[_Step], asked: int) -> Example:
    soft = [(place, step.other, step.other_weight) for place, step in enumerate(steps) if step.other_weight > 0]
    return Example(ids=[step.token for step in steps], weights=[step.weight for step in steps], soft=soft, asked=asked)


def sense_chance(sense: Sense, sample: Sample, gold: float) -> float:
    """Return the soft label of one category: ``gold`` parts of the row's own, the rest the teacher's.

    Labels of one row go together, so the chance of any of several is the highest of them.
    """
    chances = [0.0]
    for key in sense.any_of:
        own = float(sample.row.known.get(key, False))
        chances.append(gold * own + (1 - gold) * sample.taught.get(key, own))
    return 1 - max(chances) if sense.negated else max(chances)


def unsafe_chance(wording: Wording, sample: Sample, gold: float) -> float:
    """Return the soft label of a row under a policy."""
    if wording.overall in sample.row.known:
        return sense_chance(Sense((wording.overall,)), sample, gold)
    return max((sense_chance(sense, sample, gold) for sense in wording.senses), default=0.0)


def answer(template: Template, label: Label, cited: Sequence[str]) -> list[Segment]:
    """Return what the model writes after the verdict's opening."""
    ids = " " + ", ".join(cited) if cited else ""
    return [Text(label), Text(template.verdict_close + ids), Control(template.end)]


def message_of(row: Row) -> Message:
    """Return the message that the row stands for."""
    return Message(tenant_id="train", message_id=row.place[:256], text=row.text, role=row.role, context=row.context)


def families(
    samples: Sequence[Sample],
    formatter: Formatter,
    allowed: frozenset[frozenset[str]],
    rng: random.Random,
    lm_weight: Callable[[random.Random], float],
    how: Teaching,
) -> Iterator[Family]:
    """Yield one epoch of training sequences, one family per group and policy.

    Where clauses say what a category asks, the twin of the policy follows, with violates and allowed exchanged:
    beside it, what the texts are tells nothing, and which side a clause stands on tells all.
    """
    for drawn in epoch_groups(samples, rng):
        wording, group = asked_of(rng, drawn, samples, allowed, how)
        weight = lm_weight(rng)
        for asked in filter(None, (wording, exchanged(wording))):
            shared = formatter.ids(prompt.prefix(formatter.template, asked.panel, group[0].row.role))
            made = [formatter.examples(rng, asked, sample, lm_weight=weight, how=how) for sample in group]
            one = family(len(shared), made, weight)
            yield _hinted(one, formatter, asked, group, how.gold) if how.hints else one


def _hinted(one: Family, formatter: Formatter, asked: Wording, group: Sequence[Sample], gold: float) -> Family:
    found, first = formatter.policy_hints(asked), len(one.prefix)
    for sample, trie in zip(group, one.branches, strict=True):
        found += formatter.text_hints(sample, trie, first, gold)
        first += len(trie)
    return msgspec.structs.replace(one, hints=found)


def asked_of(
    rng: random.Random,
    group: Sequence[Sample],
    samples: Sequence[Sample],
    allowed: frozenset[frozenset[str]],
    how: Teaching,
) -> tuple[Wording, Sequence[Sample]]:
    """Draw what a group is asked: concepts, or for a share of groups words, half of the time beside concepts."""
    practice = None
    if rng.random() < how.mentions:
        practice = mentions.practise(rng, group, rng.choices(samples, k=2))
    if practice is None:
        return _concepts_for(rng, group, allowed, how), group
    wording, labelled = practice
    if rng.random() < _BESIDE:
        concepts = _concepts_for(rng, group, allowed, how)
        pair = [concepts, wording] if rng.random() < _BESIDE else [wording, concepts]
        wording = mentions.beside(*pair)
    return wording, labelled


def _concepts_for(
    rng: random.Random, group: Sequence[Sample], allowed: frozenset[frozenset[str]], how: Teaching
) -> Wording:
    """Draw a policy of concepts, some of whose words may be gone; those of a policy of words are what it asks for."""
    wording = policy_for(rng, group, allowed)
    return fray(rng, wording) if rng.random() < how.frayed else wording


def policy_for(rng: random.Random, group: Sequence[Sample], allowed: frozenset[frozenset[str]]) -> Wording:
    """Draw a policy that a group shares: over labels that are known of every row of it."""
    labels = [sample.row.known for sample in group]
    known, own = sorted(set.intersection(*map(set, labels))), OWN[group[0].row.source]
    if UNSAFE in known:
        return drawn_from(rng, known, allowed, own, labels, topics_beside(sample.row for sample in group))
    return draw(rng, known, allowed, own, labels)
