"""What an arm's training examples are: the same rows under the same policies, and what stands after them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from worker.judge import prompt
from worker.judge.prompt import Text
from worker.judge.template import Template
from worker.policy.model import Panel
from worker.train.data.rows import Row
from worker.train.examples import reasoning
from worker.train.examples.corpus import texts_of
from worker.train.examples.format import Formatter, message_of
from worker.train.examples.sample import Sample
from worker.train.examples.trie import Example, Family, family
from worker.train.policies.wording import Wording
from worker.train.study.plan import Study, Way
from worker.train.study.rows import Accepts, drawn_groups

_DONOR_TRIES: Final = 60
#: Row labels and quotes that a reasoning is written from.
Source = tuple[Mapping[str, bool], Mapping[str, Sequence[str]]]


class Writer(Struct, frozen=True, kw_only=True):
    """Writes an arm's examples.

    Attributes:
        formatter: of the study's tokenizer.
        study: what counts for how much.
        way: the arm; None for the language-model warm-up, whose targets are the prompts' tokens.
        donors: training rows by source, whose reasonings are put in where they are shuffled.

    """

    formatter: Formatter
    study: Study
    way: Way | None
    donors: Mapping[str, Sequence[Sample]] = {}

    def family(self, group: Sequence[Sample], wording: Wording, rng: random.Random) -> Family:
        """Return the examples of rows that share a policy."""
        shared = self.formatter.ids(prompt.prefix(self.formatter.template, wording.panel, group[0].row.role))
        made = [[self._example(shared, sample, wording, rng)] for sample in group]
        return family(len(shared), made, 0.0 if self.way else 1.0)

    def _example(self, shared: list[int], sample: Sample, wording: Wording, rng: random.Random) -> Example:
        template = self.formatter.template
        asked = shared + self.formatter.ids(prompt.conversation(template, message_of(sample.row)))
        if self.way is None:
            return Example(ids=asked, weights=[1.0] * len(asked))
        opened = self.formatter.ids(prompt.opening(template, reasoning=self.way.reasoning))
        ids, weights = asked + opened, [0.0] * (len(asked) + len(opened))
        for token, weight in (*self._thought(sample, wording, rng), *self._verdict(sample.row, wording)):
            ids.append(token)
            weights.append(weight)
        return Example(ids=ids, weights=weights, asked=len(asked))

    def _thought(self, sample: Sample, wording: Wording, rng: random.Random) -> Iterator[tuple[int, float]]:
        if self.way is None or not self.way.reasoning:
            return
        known, quotes = self._written_from(sample, wording, rng)
        for text, decides in reasoning.segments(rng, wording, known, quotes):
            first, *rest = self.formatter.ids([Text(text)])
            yield first, self.study.decision_weight if decides else 1.0
            yield from ((token, 1.0) for token in rest)
        yield from ((token, 1.0) for token in self.formatter.ids(prompt.verdict_opening(self.formatter.template)))

    def _written_from(self, sample: Sample, wording: Wording, rng: random.Random) -> Source:
        way = self.way
        chosen = donor(rng, sample, wording, self.donors) if way and way.shuffled else sample
        return chosen.row.known, chosen.quotes

    def _verdict(self, row: Row, wording: Wording) -> Iterator[tuple[int, float]]:
        named = reasoning.cited(wording, row.known) if self.way and self.way.cites else ()
        first, *rest = self.formatter.answer_ids(reasoning.label_of(wording, row.known), named)
        yield first, self.study.label_weight
        yield from ((token, 1.0) for token in rest)


def donor(rng: random.Random, sample: Sample, wording: Wording, donors: Mapping[str, Sequence[Sample]]) -> Sample:
    """Return another row of the same set with an equal label under a policy, or the row itself if none is found."""
    label = reasoning.label_of(wording, sample.row.known)
    pool = donors[sample.row.source]
    for _ in range(_DONOR_TRIES):
        other = rng.choice(pool)
        told = None not in [sense.holds(other.row.known) for sense in wording.senses]
        if told and other.row.place != sample.row.place and reasoning.label_of(wording, other.row.known) == label:
            return other
    return sample


def by_source(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Return samples by their set, for ``Writer.donors``."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.row.source].append(sample)
    return dict(found)


def policy_tokens(formatter: Formatter, panel: Panel) -> int:
    """Count the tokens of a policy as it stands in a prompt."""
    return len(formatter.ids([Text(prompt.policy_text(panel))]))


def texts(
    samples: Sequence[Sample],
    sets: frozenset[frozenset[str]],
    accepts: Accepts,
    template: Template,
    rng: random.Random,
) -> Iterator[str]:
    """Yield one epoch of prompts and answers as text, for the tokenizer; control tokens are left out."""
    for group, wording in drawn_groups(samples, sets, accepts, rng):
        yield from texts_of(rng, group, wording, template)


def families(
    samples: Sequence[Sample],
    sets: frozenset[frozenset[str]],
    accepts: Accepts,
    writer: Writer,
    seed: str,
) -> Iterator[Family]:
    """Yield one epoch; equal seeds give every arm the same rows under the same policies, in the same order."""
    words = random.Random(f"{seed}/words")
    for group, wording in drawn_groups(samples, sets, accepts, random.Random(f"{seed}/policies")):
        yield writer.family(group, wording, words)
