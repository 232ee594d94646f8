"""Is the reasoning about the text and the policy, and does the verdict follow it?

Cited categories against a majority row and a linear row, quotes word for word, evidence against
marked spans, and a causal check: the verdict that follows when another row's reasoning stands there.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from worker.judge.evidence import quotes_in, spans, stands
from worker.records import ScoreMethod
from worker.train.data.linear import Linear
from worker.train.data.rows import Row
from worker.train.evaluation import bootstrap
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.cases import Asked, asked, canonical_of
from worker.train.evaluation.judging import Answered, Result, spread
from worker.train.examples.fit import MAX_CHARS
from worker.train.policies.wordings import CONCEPTS, PARTS, TRAINING

CITED: Final = "cited/"
#: The same under policies of parts of concepts, which the sets' own sub-labels tell apart.
CITED_PARTS: Final = "cited parts/"
#: Categories of one policy in the check of what is cited.
MAX_CATEGORIES: Final = 3


class Citation(Struct, frozen=True, kw_only=True):
    """Which category is cited where the verdict is rightly unsafe and several categories could be.

    Attributes:
        true_positives: rows rightly called unsafe, under policies of two or three known categories.
        right: share of them that cite something, and nothing that is not violated.
        any_right: share that cites at least one violated category.
        majority: share reached by citing the policy's category that is violated most often in training.
        linear: share reached by citing the category whose linear model scores highest.
        over_linear: ``right`` minus ``linear``, paired.
        by_source: how many of the true positives each source has.

    """

    true_positives: int
    right: Interval
    any_right: float
    majority: float
    linear: float
    over_linear: Interval
    by_source: dict[str, int] = {}


class Quotes(Struct, frozen=True, kw_only=True):
    """Quotes in reasonings: how many, and the share that stands word for word in the message (as it was shown)."""

    reasonings: int
    quotes: int
    verbatim: float | None


class Evidence(Struct, frozen=True, kw_only=True):
    """Character-F1 of quoted evidence against marked spans (SemEval-2021 task 5), mean over rows.

    Attributes:
        rows: that have marks.
        all: over all of them; a verdict without a quote counts 0.
        true_positives: over those called unsafe.
        whole_text, linear: reached by marking everything, and by the linear model's one word.

    """

    rows: int
    all: Interval
    true_positives: float | None
    whole_text: float
    linear: float


class Forced(Struct, frozen=True, kw_only=True):
    """What a reasoning put in by force does to the model's own word.

    ``changed``: share of rows whose word differs from before; ``contradictory``: share whose word goes
    against the reasoning that was put in.
    """

    rows: int
    changed: Interval
    contradictory: float


def citation_questions(
    rows: Sequence[Row], limit: int, method: ScoreMethod, seed: int, *, parts: bool = False
) -> list[Asked]:
    """Ask for unsafe rows under two or three categories that are known for them, at least one of them not met.

    Args:
        rows: with every label that follows from their own.
        limit: for each source.
        method: of the score.
        seed: of the draw of categories.
        parts: whether categories are parts of concepts, and no whole ones.

    """
    words, prefix = (PARTS, CITED_PARTS) if parts else (CONCEPTS, CITED)
    found: Counter[str] = Counter()
    questions = []
    for row in rows:
        known = sorted(key for key in row.known if key in words)
        met, others = [key for key in known if row.known[key]], [key for key in known if not row.known[key]]
        if not met or not others or len(row.text) > MAX_CHARS or found[row.source] >= limit:
            continue
        found[row.source] += 1
        keys = _draw(random.Random(f"{seed}/{row.place}"), met, others)
        questions.append(asked(row, canonical_of(keys), method, name=prefix + row.source, concept=" ".join(keys)))
    return questions


def _draw(rng: random.Random, met: Sequence[str], others: Sequence[str]) -> list[str]:
    first, second = rng.choice(met), rng.choice(others)
    rest = [key for key in (*met, *others) if key not in {first, second}]
    keys = [first, second, *rng.sample(rest, min(len(rest), MAX_CATEGORIES - 2))]
    rng.shuffle(keys)
    return keys


def citation(
    found: Sequence[Answered],
    texts: Mapping[str, str],
    models: Mapping[str, Linear],
    violated: Mapping[str, int],
    seed: int,
) -> Citation | None:
    """Compare what is cited.

    Args:
        found: answers to ``citation_questions``.
        texts: by place.
        models: one linear model for each concept.
        violated: how often each concept is violated in training.
        seed: of the intervals.

    Returns:
        None without a true positive.

    """
    hits = [one for one in found if one.unsafe and one.label == "unsafe"]
    if not hits:
        return None
    right = [bool(one.cited) and set(one.cited) <= set(one.right_ids) for one in hits]
    majority = [_is_right(one, max(one.concept.split(), key=lambda key: violated.get(key, 0))) for one in hits]
    linear = [_is_right(one, _linear(one, texts[one.place], models)) for one in hits]
    groups = [one.group for one in hits]
    return Citation(
        true_positives=len(hits),
        right=bootstrap.interval(bootstrap.share(right), groups, seed=seed),
        any_right=_mean([bool(set(one.cited) & set(one.right_ids)) for one in hits]),
        majority=_mean(majority),
        linear=_mean(linear),
        over_linear=bootstrap.interval(
            bootstrap.difference(bootstrap.share(right), bootstrap.share(linear)), groups, seed=seed
        ),
        by_source=dict(sorted(Counter(one.source for one in hits).items())),
    )


def _is_right(one: Answered, key: str) -> bool:
    return TRAINING.words[key].ids[0] in one.right_ids


def _linear(one: Answered, text: str, models: Mapping[str, Linear]) -> str:
    return max(one.concept.split(), key=lambda key: models[key].probabilities([text])[0] if key in models else 0.0)


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def quotes(results: Sequence[Result], *, masked: bool) -> Quotes:
    """Look for each quote in its message, by the function that finds evidence in serving.

    ``masked``: the model sees placeholders instead of personal data.
    """
    reasoned = [result for result in results if result.judgement.reasoning]
    verbatim = [
        stands(quote, result.asked.message.text, masked=masked)
        for result in reasoned
        for quote in quotes_in(result.judgement.reasoning or "")
    ]
    return Quotes(reasonings=len(reasoned), quotes=len(verbatim), verbatim=_mean(verbatim) if verbatim else None)


def offsets(text: str, marked: Sequence[str]) -> frozenset[int]:
    """Return the offsets of quotes in a text: of each the first place where it stands as whole words."""
    return frozenset(
        offset
        for quote in marked
        for span in spans(f'"{quote}"', text, masked=False)
        for offset in range(span.start, span.end)
    )


def character_f1(found: frozenset[int], marked: frozenset[int]) -> float:
    """Return the F1 of two sets of offsets; 1 where both are empty."""
    if not found and not marked:
        return 1.0
    return 2 * len(found & marked) / (len(found) + len(marked))


def evidence(results: Sequence[Result], rows: Mapping[str, Row], model: Linear | None, seed: int) -> Evidence | None:
    """Compare quoted evidence with marked spans.

    Args:
        results: with reasoning.
        rows: by place; those without marks are left out.
        model: quotes one word of each text.
        seed: of the interval.

    Returns:
        None without a row that has marks.

    """
    chosen = [result for result in results if rows[result.asked.place].evidence and result.asked.unsafe]
    gold = [offsets(result.asked.message.text, rows[result.asked.place].evidence) for result in chosen]
    kept = [(result, marked) for result, marked in zip(chosen, gold, strict=True) if marked]
    if not kept:
        return None
    scores = [character_f1(_said(result), marked) for result, marked in kept]
    texts = [result.asked.message.text for result, _ in kept]
    words = [(model.quote(text) if model else None) or "" for text in texts]
    return Evidence(
        rows=len(kept),
        all=bootstrap.interval(bootstrap.mean(scores), [result.asked.group for result, _ in kept], seed=seed),
        true_positives=_mean(
            [score for (result, _), score in zip(kept, scores, strict=True) if result.answered.label == "unsafe"]
        ),
        whole_text=_mean(
            [character_f1(frozenset(range(len(text))), marked) for text, (_, marked) in zip(texts, kept, strict=True)]
        ),
        linear=_mean(
            [
                character_f1(offsets(text, (word,)), marked)
                for text, word, (_, marked) in zip(texts, words, kept, strict=True)
            ]
        ),
    )


def _said(result: Result) -> frozenset[int]:
    return frozenset(offset for span in result.judgement.spans for offset in range(span.start, span.end))


#: Whose reasoning is put in. The row's own one is the control: it goes in as text and is tokenised anew.
#: A model may copy the last word of a reasoning and read nothing else of it, so the opposite one is put
#: in once more without that word.
OPPOSITE: Final = "opposite word"
DONORS: Final = ("own", "same word", OPPOSITE)
CUT: Final = "opposite word, its conclusion cut off"


def donors(results: Sequence[Result], limit: int, seed: int) -> dict[str, list[tuple[Result, str]]]:
    """Choose for rows a reasoning to put in: their own, another's with the same word, one with the opposite.

    Donors come from the same set of questions, so from the same policy. Rows without one are left out;
    ``limit`` rows are taken at even steps.
    """
    rng = random.Random(seed)
    pools: dict[tuple[str, str | None], list[Result]] = defaultdict(list)
    whole = [one for one in results if one.judgement.reasoning and not one.judgement.truncated]
    for one in whole:
        pools[one.asked.name, one.judgement.model_label].append(one)
    chosen: dict[str, list[tuple[Result, str]]] = {name: [] for name in DONORS}
    for one in spread(whole, limit):
        word = one.judgement.model_label
        same = [other for other in pools[one.asked.name, word] if other.asked.place != one.asked.place]
        opposite = pools[one.asked.name, "safe" if word == "unsafe" else "unsafe"]
        for name, pool in zip(DONORS, ([one], same, opposite), strict=True):
            if pool:
                chosen[name].append((one, rng.choice(pool).judgement.reasoning or ""))
    return chosen


def without_conclusion(trace: str, pattern: re.Pattern[str] | None) -> str | None:
    """Return a reasoning up to the word that it concludes with; None where it does not conclude."""
    found = list(pattern.finditer(trace)) if pattern else []
    return trace[: found[-1].start("label")].rstrip() if found else None


def cut_off(chosen: Sequence[tuple[Result, str]], pattern: re.Pattern[str] | None) -> list[tuple[Result, str]]:
    """Return the pairs whose reasoning concludes, with its last word cut off."""
    pairs = ((one, without_conclusion(trace, pattern)) for one, trace in chosen)
    return [(one, trace) for one, trace in pairs if trace]


def forced(before: Sequence[Result], after: Sequence[Result], seed: int) -> Forced | None:
    """Compare the model's word before and after a reasoning was put in; None without rows."""
    if not before:
        return None
    changed = [
        one.judgement.model_label != other.judgement.model_label for one, other in zip(before, after, strict=True)
    ]
    return Forced(
        rows=len(changed),
        changed=bootstrap.interval(bootstrap.share(changed), [one.asked.group for one in before], seed=seed),
        contradictory=_mean([other.judgement.status == "contradictory" for other in after]),
    )
