"""The calls that judge one message by one panel.

0. *Answer at once*, without reasoning: the verdict where the policy wants none or the model is sure, and half of the
   score where it reasons about every message and its calibration says so (``mean_k``).
1. *Reason*, up to a budget.
2. *Answer*: the same prompt, the reasoning and the verdict's opening, under the panel's grammar, so
   that there is a verdict always. Its first token gives the score.
3. *Name*, only if the score reaches the panel's threshold although the model said ``safe``: the ids
   are asked for after ``unsafe``, where there are several.

What continues a message goes before new messages: each priority has two steps, and all but the first call of a message
take the earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from worker.errors import PromptTooLong
from worker.judge import prompt
from worker.judge.calibration import Calibration
from worker.judge.copied import Copied
from worker.judge.engine import Completion, Engine, Request
from worker.judge.grammar import ids_text
from worker.judge.judgement import Finding, Judgement
from worker.judge.parse import Answer, cited_pairs, parse_answer, parse_ids, read
from worker.judge.plan import Plan
from worker.judge.prompt import Text
from worker.judge.score import unsafe_score
from worker.judge.tally import Tally
from worker.judge.template import Template
from worker.judge.tokens import Tokens
from worker.policy.model import UNSURE
from worker.records import Reasoning, ScoreMethod

#: Enough to see every token that can begin a label under the grammar.
_LOGPROBS: Final = 20
_STEPS: Final = 2


class Task(Struct, frozen=True, kw_only=True):
    """One message under one panel, tokenised.

    ``text`` is the message's own; ``band`` is the policy's review band; ``cache_salt`` goes into every call for it;
    ``is_brief`` gives a reasoning the smaller budget.
    """

    plan: Plan
    conversation_ids: Sequence[int]
    text: str
    reasoning: Reasoning
    band: tuple[float, float] | None
    priority: int
    cache_salt: str | None = None
    is_brief: bool = False


class _Outcome(Struct, frozen=True, kw_only=True):
    """An answer, its score and how that was made, the prompt that it followed, and everything that the model wrote."""

    answer: Answer | None
    score: float | None
    method: ScoreMethod
    prompt_ids: list[int]
    raw: str
    reasoning: str | None = None
    truncated: bool = False


class Phases:
    """Runs the phases on an engine. Its calls may run at the same time."""

    def __init__(
        self,
        engine: Engine,
        tokens: Tokens,
        template: Template,
        budget_tokens: int,
        calibration: Calibration | None = None,
        short_tokens: int = 0,
    ) -> None:
        """Prepare what is equal for every message.

        Without ``calibration`` scores stay raw; ``short_tokens`` is the smaller budget, 0 for half of the usual.
        """
        self._engine = engine
        self._tokens = tokens
        self._template = template
        self._budget = budget_tokens
        self._short_budget = min(short_tokens or max(1, budget_tokens // 2), budget_tokens)
        self._calibration = calibration
        self._open_ids = tokens.encode(prompt.opening(template, reasoning=True))
        self._direct_ids = tokens.encode(prompt.opening(template, reasoning=False))
        self._close_ids = tokens.encode(prompt.verdict_opening(template))
        self._unsafe_ids = tokens.encode((Text("unsafe"), Text(template.verdict_close)))
        self._end_id = tokens.control_ids[template.end]
        self._stop_ids = tuple(tokens.control_ids.values())
        # Where the reasoning ends with plain text, no single token ends it.
        self._stop = (template.think_close,) if template.pieces(template.think_close) == (template.think_close,) else ()

    async def run(self, task: Task, tally: Tally) -> Judgement:
        """Judge one message by one panel; ``tally`` collects prompts and usage, also of what fails.

        Raises:
            PromptTooLong: prompt, budget and answer do not fit the window; nothing was asked, but for an answer at once
                where the model was unsure.
            EngineError: what the engine raised.

        """
        if task.reasoning == "always":
            return await self._judgement(await self._always(task, tally), task, tally)
        direct = await self._direct(task, tally)
        if task.reasoning == "never" or _is_sure(direct.score, task.band):
            return await self._judgement(direct, task, tally)
        # The reasoning is to settle what was in doubt, so its score counts alone.
        return await self._judgement(await self._reasoned(task, tally, is_first=False), task, tally)

    async def _always(self, task: Task, tally: Tally) -> _Outcome:
        """Reason; where the calibration has a curve for it, the score is the mean of before and after."""
        if self._calibration is None or not self._calibration.takes_mean:
            return await self._reasoned(task, tally)
        self._check_room(self._reasoned_tokens(task))
        direct = await self._direct(task, tally)
        reasoned = await self._reasoned(task, tally, is_first=False)
        if direct.score is None or reasoned.score is None:
            return reasoned
        score = self._calibration.mean(direct.score, reasoned.score)
        return structs.replace(reasoned, score=score, method="mean_k")

    async def _direct(self, task: Task, tally: Tally) -> _Outcome:
        prompt_ids = [*task.plan.prefix_ids, *task.conversation_ids, *self._direct_ids]
        self._check_room(len(prompt_ids) + task.plan.answer_tokens)
        tally.asked(prompt_ids)
        return await self._answer(task, prompt_ids, tally, task.priority * _STEPS, "direct")

    def _budget_of(self, task: Task) -> int:
        return self._short_budget if task.is_brief else self._budget

    def _reasoned_tokens(self, task: Task) -> int:
        """Return what a reasoning and its answer may take with all that stands before them."""
        before = len(task.plan.prefix_ids) + len(task.conversation_ids) + len(self._open_ids)
        return before + self._budget_of(task) + len(self._close_ids) + task.plan.answer_tokens

    async def _reasoned(self, task: Task, tally: Tally, *, is_first: bool = True) -> _Outcome:
        self._check_room(self._reasoned_tokens(task))
        prompt_ids = [*task.plan.prefix_ids, *task.conversation_ids, *self._open_ids]
        tally.asked(prompt_ids)
        request = Request(
            prompt_ids=prompt_ids,
            max_tokens=self._budget_of(task),
            stop_ids=self._stop_ids,
            stop=self._stop,
            copied=self._copied(task),
            priority=task.priority * _STEPS - (0 if is_first else 1),
            cache_salt=task.cache_salt,
        )
        thought = tally.answered(await self._engine.complete(request), reasoning=True)
        kept, reasoning = self._reasoning(thought)
        continued = [*prompt_ids, *kept, *self._close_ids]
        outcome = await self._answer(task, continued, tally, task.priority * _STEPS - 1, "trace")
        return _Outcome(
            answer=outcome.answer,
            score=outcome.score,
            method="trace",
            prompt_ids=continued,
            raw=f"{reasoning}{self._template.think_close}{outcome.raw}",
            reasoning=reasoning,
            truncated=thought.finish_reason == "length",
        )

    def _copied(self, task: Task) -> Copied | None:
        starts = self._template.line_starts
        if not starts:
            return None
        return Copied(text=prompt.shown(self._template, task.text), starts=(*task.plan.ids, *starts))

    def _reasoning(self, thought: Completion) -> tuple[list[int], str]:
        """Return the ids and the text of a reasoning without what ended it."""
        ids = self._without_end(thought)
        if thought.text is None or not self._stop:
            return ids, self._tokens.decode(ids)
        # The token that completes the stop text may hold more than it: such tokens are dropped, and
        # what the reasoning has of them is encoded anew.
        while ids and not thought.text.startswith(self._tokens.decode(ids)):
            ids = ids[:-1]
        rest = thought.text[len(self._tokens.decode(ids)) :]
        return [*ids, *self._tokens.text_ids(rest)], thought.text

    def _without_end(self, completion: Completion) -> list[int]:
        ids = list(completion.token_ids)
        return ids[:-1] if ids and ids[-1] in self._stop_ids else ids

    async def _answer(
        self, task: Task, prompt_ids: list[int], tally: Tally, priority: int, method: ScoreMethod
    ) -> _Outcome:
        plan = task.plan
        request = Request(
            prompt_ids=prompt_ids,
            max_tokens=plan.answer_tokens,
            stop_ids=(self._end_id,),
            grammar=plan.grammar,
            logprobs=_LOGPROBS,
            priority=priority,
            cache_salt=task.cache_salt,
        )
        completion, text = await self._label(request, plan, tally)
        return _Outcome(
            answer=parse_answer(text, plan.ids, self._template.verdict_close),
            score=self._score(completion, method),
            method=method,
            prompt_ids=prompt_ids,
            raw=self._template.verdict_open + text,
        )

    def _score(self, completion: Completion, method: ScoreMethod) -> float | None:
        raw = unsafe_score(completion.first_logprobs, self._tokens.first_tokens)
        return self._calibration.apply(raw, method) if self._calibration else raw

    async def _label(self, request: Request, plan: Plan, tally: Tally) -> tuple[Completion, str]:
        """Ask for label and ids, and stop at the label where nothing else can follow.

        Behind it the grammar leaves no choice: engine steps that most messages can do without.
        """
        whole = plan.whole_answers
        stop_ids = (*request.stop_ids, *whole)
        completion = tally.answered(await self._engine.complete(structs.replace(request, stop_ids=stop_ids)))
        ids = completion.token_ids
        if len(ids) == 1 and ids[0] in whole:
            return completion, whole[ids[0]]
        if ids and ids[-1] in whole:
            # It was the second half of "unsafe", in a vocabulary that knows both ways to write it.
            completion = tally.answered(await self._engine.complete(request))
        return completion, self._tokens.decode(self._without_end(completion))

    async def _judgement(self, outcome: _Outcome, task: Task, tally: Tally) -> Judgement:
        plan = task.plan
        reading = read(outcome.reasoning, outcome.answer, plan.panel, self._template, truncated=outcome.truncated)
        judgement = Judgement(
            status="unparseable" if reading.status == "judged" and outcome.score is None else reading.status,
            model_label=reading.model_label,
            clauses=reading.clauses,
            reasoning=outcome.reasoning,
            raw=outcome.raw,
            truncated=outcome.truncated,
        )
        if judgement.status != "judged" or outcome.score is None:
            return judgement
        cited, raw = reading.cited, outcome.raw
        if outcome.score >= plan.threshold and not cited and plan.ids_grammar is not None:
            cited, named = await self._name(outcome, plan.ids_grammar, task, tally)
            raw = f"{raw}\n{named}"
        finding = Finding(score=outcome.score, cited=cited, unnamed=not cited and outcome.score >= plan.threshold)
        return structs.replace(
            judgement, score=outcome.score, score_method=outcome.method, cited=cited, findings=(finding,), raw=raw
        )

    async def _name(
        self, outcome: _Outcome, grammar: str, task: Task, tally: Tally
    ) -> tuple[tuple[tuple[str, str], ...], str]:
        """Ask which categories it would be, had the model said ``unsafe``; return them and what was written.

        Where there is only one, there is nothing to ask.
        """
        lead = f"unsafe{self._template.verdict_close}"
        if len(task.plan.ids) == 1:
            return cited_pairs(task.plan.ids, task.plan.panel), lead + ids_text(task.plan.ids)
        request = Request(
            prompt_ids=[*outcome.prompt_ids, *self._unsafe_ids],
            max_tokens=task.plan.answer_tokens,
            stop_ids=(self._end_id,),
            grammar=grammar,
            priority=task.priority * _STEPS - 1,
            cache_salt=task.cache_salt,
        )
        completion = tally.answered(await self._engine.complete(request))
        text = self._tokens.decode(self._without_end(completion))
        ids = parse_ids(text, task.plan.ids) or ()
        return cited_pairs(ids, task.plan.panel), lead + text

    def _check_room(self, tokens: int) -> None:
        window = self._engine.window_tokens
        if tokens > window:
            text = f"prompt, reasoning and answer take {tokens} tokens, the model's window has {window}"
            raise PromptTooLong(text)


def _is_sure(score: float | None, band: tuple[float, float] | None) -> bool:
    low, high = band or UNSURE
    return score is not None and not low <= score <= high
