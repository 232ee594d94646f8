"""Texts that the tokenizer learns from: what prompts and answers are made of, masked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from worker.judge import prompt
from worker.judge.prompt import Text
from worker.judge.template import Template
from worker.train.examples import reasoning
from worker.train.examples.format import answer, epoch_groups, message_of, policy_for
from worker.train.examples.sample import Sample
from worker.train.policies.wording import Wording


def corpus(
    samples: Sequence[Sample], template: Template, allowed: frozenset[frozenset[str]], rng: random.Random
) -> Iterator[str]:
    """Yield the text segments of one epoch of examples; control tokens are not text."""
    for group in epoch_groups(samples, rng):
        yield from texts_of(rng, group, policy_for(rng, group, allowed), template)


def texts_of(rng: random.Random, group: Sequence[Sample], wording: Wording, template: Template) -> Iterator[str]:
    """Yield the text segments of rows under one policy, with reasoning and answer."""
    segments = prompt.prefix(template, wording.panel, group[0].row.role)
    for sample in group:
        known = sample.row.known
        segments += prompt.suffix(template, message_of(sample.row), reasoning=False)
        if reasoning.is_told(wording, known):
            segments.append(Text(reasoning.write(rng, wording, known, sample.quotes)))
        segments += answer(template, reasoning.label_of(wording, known), reasoning.cited(wording, known))
    yield from (segment.text for segment in segments if isinstance(segment, Text))
