"""Questions through the judge that serves: many at once, a bounded number, whatever order they end in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from worker.errors import EngineAborted
from worker.judge.judgement import Judge, Judgement
from worker.judge.verdict import decide
from worker.records import Label, ScoreMethod, Status, canonical_json, sha256_hex
from worker.train.evaluation.cases import Asked
from worker.train.evaluation.journal import Kept, Once, anew
from worker.train.evaluation.papers import OFFICIAL
from worker.train.examples.format import OWN

#: A message that the engine cut short is judged again, as in serving.
_ATTEMPTS: Final = 3
_DIGEST_CHARS: Final = 16
#: Hears of the number of answers so far and of the questions.
Progress = Callable[[int, int], None]
Item = TypeVar("Item")
Found = TypeVar("Found")


class Answered(Struct, frozen=True, kw_only=True):
    """What came of one question, without its text: this is what result folders keep.

    Attributes:
        name, place, group, source, concept, unsafe: as in the question.
        method: how the score was meant to be made.
        status, label, score: of the verdict, at the policy's own thresholds.
        cited, right_ids: ids that the verdict cites, and ids that are violated.
        engine_ms: time in the engine.
        tokens: prompt, cached, reasoning and all output tokens.
        question: digest of message and policy, so that two runs are compared on equal questions only.

    """

    name: str
    place: str
    group: str
    source: str
    concept: str
    method: ScoreMethod
    unsafe: bool
    status: Status
    label: Label | None
    score: float | None
    cited: tuple[str, ...] = ()
    right_ids: tuple[str, ...] = ()
    engine_ms: float = 0.0
    tokens: tuple[int, int, int, int] = (0, 0, 0, 0)
    question: str = ""

    @property
    def is_right(self) -> bool:
        """Whether the verdict is right; what was not judged is not."""
        return self.label == ("unsafe" if self.unsafe else "safe")

    @property
    def key(self) -> tuple[str, str, ScoreMethod, str]:
        """What ties it to the same question in another run."""
        return (self.name, self.place, self.method, self.question)

    @property
    def is_own(self) -> bool:
        """Whether it asks for what a data set was labelled for, in the canonical words."""
        names = (self.taught_as, f"{self.source}{OFFICIAL}/{self.concept}")
        return self.source in OWN and self.name in names

    @property
    def taught_as(self) -> str:
        """The questions whose thresholds and baseline are its own, too: an official test split has none of its own."""
        return f"{self.source}/{self.concept}"


class Result(Struct, frozen=True, kw_only=True):
    """A question with its judgement in full."""

    asked: Asked
    judgement: Judgement
    answered: Answered


async def bounded(
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[Found]],
    in_flight: int,
    progress: Progress | None = None,
) -> list[Found]:
    """Work on every item, ``in_flight`` at a time; what comes back stands in the order of the items.

    Raises:
        WorkerError: what ``work`` raised first; the rest is cancelled.

    """
    waiting = iter(enumerate(items))
    found: dict[int, Found] = {}

    async def worker() -> None:
        for place, item in waiting:
            found[place] = await work(item)
            if progress is not None:
                progress(len(found), len(items))

    tasks = [asyncio.ensure_future(worker()) for _ in range(min(in_flight, len(items)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [found[place] for place in range(len(items))]


async def judge_all(
    judge: Judge,
    questions: Sequence[Asked],
    in_flight: int,
    progress: Progress | None = None,
    once: Once = anew,
) -> list[Result]:
    """Judge every question, ``in_flight`` at a time; results stand in the order of the questions.

    ``once`` may know answers from an earlier try.

    Raises:
        EngineDead: nothing can be judged any more.
        EngineAborted: one question was cut short again and again.

    """

    async def kept(question: Asked) -> Result:
        found = await once(key_of(question), lambda: _judged(judge, question))
        return result_of(question, found.judgement)

    return await bounded(questions, kept, in_flight, progress)


async def _judged(judge: Judge, question: Asked) -> Kept:
    return Kept(judgement=await judgement_of(judge, question))


async def judge_one(judge: Judge, question: Asked) -> Result:
    """Judge one question.

    Raises:
        EngineDead: nothing can be judged any more.
        EngineAborted: it was cut short again and again.

    """
    return result_of(question, await judgement_of(judge, question))


async def judgement_of(judge: Judge, question: Asked) -> Judgement:
    """Return what the model says of a question.

    Raises:
        EngineDead: nothing can be judged any more.
        EngineAborted: it was cut short again and again.

    """
    for attempt in range(_ATTEMPTS):
        try:
            return await judge.judge(question.message, question.policy)
        except EngineAborted:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError(question.place)


def key_of(question: Asked) -> str:
    """Return what names a question within one section of a run."""
    return f"{question.name} {question.place} {_digest(question)}"


def _digest(question: Asked) -> str:
    return sha256_hex(canonical_json([question.policy.digest, question.message]))[:_DIGEST_CHARS]


def result_of(question: Asked, judgement: Judgement) -> Result:
    """Put a question together with its judgement."""
    return Result(asked=question, judgement=judgement, answered=_answered(question, judgement))


def _answered(question: Asked, judgement: Judgement) -> Answered:
    decision = decide(judgement, question.policy)
    usage = judgement.usage
    return Answered(
        name=question.name,
        place=question.place,
        group=question.group,
        source=question.source,
        concept=question.concept,
        method="trace" if question.policy.judging.reasoning == "always" else "direct",
        unsafe=question.unsafe,
        status=decision.status,
        label=decision.label,
        score=judgement.score,
        cited=tuple(one.id for one in decision.categories),
        right_ids=question.right_ids,
        engine_ms=judgement.engine_ms,
        tokens=(usage.prompt_tokens, usage.cached_tokens, usage.reasoning_tokens, usage.output_tokens),
        question=_digest(question),
    )


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """Return at most ``limit`` items at even steps, so that every part of an ordered list stays."""
    if limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


def answers(results: Iterable[Result]) -> list[Answered]:
    """Return what is kept of results."""
    return [result.answered for result in results]


class Clock:
    """Says how far a long section is, at most every few seconds."""

    def __init__(self, say: Callable[[str], None], name: str, every_s: float = 15.0) -> None:
        """Begin a section."""
        self._say = say
        self._name = name
        self._every_s = every_s
        self._last_s = time.monotonic()
        self._last_done = 0

    def __call__(self, done: int, total: int) -> None:
        """Hear of progress."""
        now_s = time.monotonic()
        if now_s - self._last_s < self._every_s and done < total:
            return
        # Since the last word: answers of an earlier try are all there at once, and would spoil a mean.
        rate = (done - self._last_done) / max(now_s - self._last_s, 1e-9)
        self._last_s, self._last_done = now_s, done
        self._say(f"{self._name}: {done} of {total}, {rate:.1f} a second")


def encode_lines(found: Iterable[Answered]) -> bytes:
    """Return answers as JSON Lines."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in found)


def decode_lines(raw: bytes) -> list[Answered]:
    """Read answers back.

    Raises:
        msgspec.DecodeError: a line is no answer.

    """
    return [msgspec.json.decode(line, type=Answered) for line in raw.splitlines()]
