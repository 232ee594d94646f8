"""One evaluation: which questions are asked, in which order, and what is made of the answers."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, get_args

from msgspec import Struct, structs

from worker.judge.parse import Reading
from worker.records import ScoreMethod, sha256_hex
from worker.train.data.rows import Row
from worker.train.data.splits import Split
from worker.train.evaluation import fairness, following, formats, quality, reasoning
from worker.train.evaluation.baseline import ONE_MODEL, baseline_scores
from worker.train.evaluation.cases import METHODS, WORDING, Asked, own_questions
from worker.train.evaluation.data import CALIB_FOR, CHATS, DEV_FOR, Data
from worker.train.evaluation.journal import Journal, Kept, Once, anew
from worker.train.evaluation.judging import (
    Answered,
    Clock,
    Result,
    answers,
    bounded,
    judge_all,
    judgement_of,
    key_of,
    result_of,
    spread,
)
from worker.train.evaluation.probe import Note, ProbedJudge, noting
from worker.train.examples.format import OWN
from worker.train.policies.following import KINDS, pairs
from worker.train.policies.heldout import heldout_canonical

Section = Literal["quality", "wording", "baseline", "format", "following", "reasoning", "fairness"]
SECTIONS: Final[tuple[Section, ...]] = get_args(Section)
#: Without a limit: pairs of each kind, rows of each source for citations, rows of free calls and repeats.
_MANY: Final = 1_000_000
_PAIRS: Final = 400
#: Of each kind whose scores under exchanged policies are calibrated: together more than the pool that ECE asks for.
SWAPPED_PAIRS: Final = 1_600
_CITED: Final = 300
_FORMAT: Final = 400
_FORCED: Final = 400
#: Rows for thresholds: all, or so many where few are measured; a threshold of 60 rows is chance.
_TUNING: Final = 300
#: Texts of each identity term: all of them, or a part of the limit.
_TERM_SHARE: Final = 8

#: After the name of a set: its rows whose text stands nowhere in training.
_FRESH: Final = " (texts never seen)"

Say = Callable[[str], None]


class Options(Struct, frozen=True, kw_only=True):
    """What to measure.

    Attributes:
        split: whose rows are judged.
        sections: which parts of the report.
        methods: which kinds of score.
        rows: for each set and category; 0 for all.
        seed: of samples and intervals.
        in_flight: messages in the judge at once.

    """

    split: Split = "dev"
    sections: frozenset[Section] = frozenset(SECTIONS)
    methods: tuple[ScoreMethod, ...] = METHODS
    rows: int = 0
    seed: int = 1
    in_flight: int = 48


class Evaluator:
    """Asks a judge that runs, and collects what the report is made of."""

    def __init__(
        self, judge: ProbedJudge, data: Data, options: Options, say: Say, journal: Journal | None = None
    ) -> None:
        """Ask nothing yet; what ``journal`` knows from an earlier try is not asked again."""
        self._judge = judge
        self._data = data
        self._options = options
        self._say = say
        self._journal = journal
        self._own: dict[ScoreMethod, list[Result]] = {}
        self._tuned: dict[tuple[Split, ScoreMethod], list[Answered]] = {}
        self.answers: list[Answered] = []
        self.parts: dict[str, Any] = {}

    async def run(self) -> None:
        """Run every section that was asked for.

        Raises:
            EngineDead: nothing can be judged any more.

        """
        sections: dict[Section, Callable[[], Awaitable[None]]] = {
            "quality": self._quality,
            "wording": self._wording,
            "baseline": self._baseline,
            "format": self._format,
            "following": self._following,
            "reasoning": self._reasoning,
            "fairness": self._fairness,
        }
        for name, section in sections.items():
            if name in self._options.sections:
                self._say(f"{name} ...")
                await section()

    def _limit(self, most: int) -> int:
        return min(self._options.rows or most, most)

    async def _ask(self, name: str, questions: Sequence[Asked], *, kept: bool = True) -> list[Result]:
        results = await self._judged(name, questions, self._options.in_flight)
        if kept:
            self.answers += answers(results)
        return results

    async def _judged(self, name: str, questions: Sequence[Asked], in_flight: int) -> list[Result]:
        return await judge_all(self._judge, questions, in_flight, Clock(self._say, name), self._once(name))

    def _once(self, section: str) -> Once:
        return self._journal.section(section) if self._journal else anew

    async def _own_results(self, method: ScoreMethod) -> list[Result]:
        if method not in self._own:
            questions = own_questions(self._data.rows, self._limit(_MANY), method)
            self._own[method] = await self._ask(f"own labels, {method}", questions)
        return self._own[method]

    async def _tuning(self, split: Split, rows: Sequence[Row], method: ScoreMethod) -> list[Answered]:
        if (split, method) not in self._tuned:
            limit = max(_TUNING, self._options.rows) if self._options.rows else _MANY
            questions = own_questions(rows, limit, method)
            asked = await self._ask(f"{split} rows for thresholds, {method}", questions, kept=False)
            self._tuned[split, method] = answers(asked)
        return self._tuned[split, method]

    async def _quality(self) -> None:
        tables, costs = {}, {}
        for method in self._options.methods:
            found = answers(await self._own_results(method))
            tuning = await self._tuning(CALIB_FOR[self._data.split], self._data.calib, method)
            table = quality.table(found, tuning, self._options.seed)
            limits = quality.thresholds(tuning)
            for name, fresh in self._fresh(found).items():
                table.by_set[name + _FRESH] = quality.quality(fresh, limits, self._options.seed)
            tables[method], costs[method] = table, quality.cost(found)
        self.parts |= {"quality": tables, "cost": costs, "better_method": quality.better_method(tables)}

    def _fresh(self, found: Sequence[Answered]) -> dict[str, list[Answered]]:
        """Return the answers about texts that stand nowhere in training, by those sets of which some do."""
        parts = {name: [one for one in found if one.source == name] for name in CHATS}
        fresh = {name: [one for one in part if one.place in self._data.unseen] for name, part in parts.items()}
        return {name: part for name, part in fresh.items() if part}

    async def _wording(self) -> None:
        tables = {}
        for method in self._options.methods:
            questions = own_questions(self._data.rows, self._limit(_MANY), method, heldout_canonical, WORDING)
            found = answers(await self._ask(f"held-out words, {method}", questions))
            tables[method] = quality.table(found, (), self._options.seed)
        self.parts["wording"] = tables

    async def _baseline(self) -> None:
        scores = baseline_scores(self._data.train, [*self._data.rows, *self._data.dev], OWN)
        found = {}
        for method in self._options.methods:
            measured = answers(await self._own_results(method))
            tuning = await self._tuning(DEV_FOR[self._data.split], self._data.dev, method)
            seed = self._options.seed
            table = quality.versus(measured, tuning, scores, _model_of, seed)
            for fresh in self._fresh(measured).values():
                table |= quality.versus(fresh, tuning, scores, _model_of, seed, suffix=_FRESH)
            found[method] = table
        self.parts["baseline"] = found

    async def _format(self) -> None:
        repeats = {}
        for method in self._options.methods:
            first = spread(await self._own_results(method), self._limit(_FORMAT))
            again = [result.asked for result in reversed(first)]
            fewer = max(1, self._options.in_flight // 3)
            second = await self._judged(f"once more, {method}", again, fewer)
            repeats[method] = formats.repeated(answers(first), answers(second))
        chosen = spread(self._of_one_call(await self._own_results("trace")), self._limit(_FORMAT))
        both = await bounded([one.asked for one in chosen], self._free, self._options.in_flight)
        self.parts |= {
            "repeated": {method: found for method, found in repeats.items() if found},
            "format": formats.free_format([free for free, _ in both], [found.judgement for _, found in both]),
            "quotes_free": reasoning.quotes([found for _, found in both], masked=self._judge.masks),
        }

    async def _free(self, question: Asked) -> tuple[Reading, Result]:
        """Judge a question; return what is written freely as it is read, and the result with it for its reasoning."""
        found = await self._once("free")(key_of(question), lambda: self._asked_freely(question))
        assert found.reading is not None
        return found.reading, result_of(question, found.judgement)

    async def _asked_freely(self, question: Asked) -> Kept:
        with noting(Note()) as note:
            judgement = await judgement_of(self._judge, question)
        assert self._judge.probe is not None
        if note.request is None:
            # It was too long to be asked at all.
            return Kept(reading=Reading(status="unparseable"), judgement=judgement)
        reading, text = await self._judge.probe.free(note, question.policy.panels[0])
        return Kept(reading=reading, judgement=structs.replace(judgement, reasoning=text))

    async def _following(self) -> None:
        limits = {kind: self._limit(SWAPPED_PAIRS) for kind in KINDS if following.SWAPPED in kind}
        chosen = pairs(self._data.wide, random.Random(self._options.seed), self._limit(_PAIRS), limits)
        found, swapped, spread_of = {}, {}, {}
        for method in self._options.methods:
            judged = answers(await self._ask(f"following, {method}", following.questions(chosen, method)))
            found[method] = following.figures(following.put_together(chosen, judged), self._options.seed)
            swapped[method] = following.swapped_calibration(judged)
            spread_of[method] = following.swapped_error(judged, self._options.seed)
        self.parts |= {
            "following": found,
            "swapped_calibration": {method: one for method, one in swapped.items() if one},
            "swapped_ece": {method: one for method, one in spread_of.items() if one},
        }

    async def _reasoning(self) -> None:
        data, seed = self._data, self._options.seed
        own = await self._own_results("trace")
        rows = {row.place: row for row in data.rows}
        self.parts |= {
            "citation": await self._cited("citations", parts=False),
            "citation_parts": await self._cited("citations of parts", parts=True),
            "quotes": reasoning.quotes(own, masked=self._judge.masks),
            "evidence": reasoning.evidence(own, rows, data.models.get("toxicity"), seed),
            "forced": await self._forced(own),
        }

    async def _cited(self, section: str, *, parts: bool) -> dict[ScoreMethod, reasoning.Citation]:
        data, seed = self._data, self._options.seed
        texts = {row.place: row.text for row in data.rows}
        found = {}
        for method in self._options.methods:
            questions = reasoning.citation_questions(data.wide, self._limit(_CITED), method, seed, parts=parts)
            judged = answers(await self._ask(f"{section}, {method}", questions))
            found[method] = reasoning.citation(judged, texts, data.models, data.violated, seed)
        return {method: one for method, one in found.items() if one}

    async def _forced(self, own: Sequence[Result]) -> dict[str, reasoning.Forced]:
        found = {}
        chosen = reasoning.donors(self._of_one_call(own), self._limit(_FORCED), self._options.seed)
        chosen[reasoning.CUT] = reasoning.cut_off(chosen[reasoning.OPPOSITE], self._judge.conclusion)
        for name, put in chosen.items():
            section = f"trace put in: {name}"
            work = partial(self._put, self._once(section))
            after = await bounded(put, work, self._options.in_flight, Clock(self._say, section))
            figures = reasoning.forced([one for one, _ in put], after, self._options.seed)
            if figures:
                found[name] = figures
        return found

    def _of_one_call(self, results: Sequence[Result]) -> list[Result]:
        """Return those whose policy stood in one prompt: of several there is no one reasoning to take or to put in."""
        return [one for one in results if self._judge.calls(one.asked.policy) == 1]

    async def _put(self, once: Once, pair: tuple[Result, str]) -> Result:
        result, trace = pair
        key = f"{key_of(result.asked)} {sha256_hex(trace.encode())}"
        found = await once(key, lambda: self._forced_upon(result.asked, trace))
        return result_of(result.asked, found.judgement)

    async def _forced_upon(self, question: Asked, trace: str) -> Kept:
        with noting(Note(forced=trace)):
            return Kept(judgement=await judgement_of(self._judge, question))

    async def _fairness(self) -> None:
        identity, hard = {}, {}
        rows = self._options.rows
        per_term = max(fairness.MIN_ROWS, rows // _TERM_SHARE) if rows else _MANY
        texts = fairness.hard_negatives()
        chosen = spread(texts, rows or len(texts))
        for method in self._options.methods:
            terms = fairness.identity_questions(self._data.templates, per_term, method)
            judged = answers(await self._ask(f"identity terms, {method}", terms))
            identity[method] = fairness.identity_gaps(judged, seed=self._options.seed)
            benign = fairness.hard_questions(chosen, method)
            judged = answers(await self._ask(f"hard negatives, {method}", benign))
            hard[method] = fairness.hard_rates(judged, self._options.seed)
        self.parts |= {"identity": identity, "hard": hard}


def _model_of(one: Answered) -> str:
    """Return the part that one baseline answers for."""
    return one.source if one.source in ONE_MODEL else one.name
