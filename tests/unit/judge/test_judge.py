"""The judge above a fake engine: phases, prompts, statuses, and what several panels give."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.support.fake_engine import FakeEngine, Script
from tests.support.judging import category, floor_and_own, message, policy, prose_alone
from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, save_tokenizer, tiny_tokens
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.errors import EngineAborted, EngineDead, RequestFailed
from worker.judge import prompt
from worker.judge.copied import Copied
from worker.judge.judge import RsafeJudge
from worker.judge.judgement import Finding, Judgement
from worker.judge.plan import KEPT_TOKENS, PLAN_TOKENS, Plans
from worker.judge.verdict import decide
from worker.policy.model import EffectivePolicy
from worker.records import Message, Span, Turn, Usage

Scripts = Callable[[str], Script]


@asynccontextmanager
async def judging(
    folder: Path, scripts: Scripts | Script, template: Path = DEMO_TEMPLATE, **settings: Any
) -> AsyncIterator[tuple[RsafeJudge, FakeEngine]]:
    """Start a judge on a fake engine."""
    save_tokenizer(folder, template)
    tokens, _ = tiny_tokens(template)
    window = settings.pop("window_tokens", 1024)
    engine = FakeEngine(tokens, scripts if callable(scripts) else lambda _: scripts, window)
    judge = RsafeJudge(Settings(model=str(folder), **settings), lambda _settings, _folder: engine)
    await judge.start()
    engine.requests.clear()
    try:
        yield judge, engine
    finally:
        await judge.stop()


async def one(folder: Path, script: Script, judged: Message | None = None, **fields: Any) -> Judgement:
    """Judge one message by one script."""
    under: EffectivePolicy = fields.pop("policy", policy())
    async with judging(folder, script, **fields) as (judge, _):
        return await judge.judge(judged or message("hello"), under)


async def test_safe(tmp_path: Path) -> None:
    """A reasoning, a label, a score, and the usage of both calls."""
    script = Script(reasoning="U7 not met; so safe.", p_unsafe=0.125)
    tokens, template = tiny_tokens()

    found = await one(tmp_path, script)

    first = tokens.encode(
        prompt.prefix(template, policy().panels[0], "user") + prompt.suffix(template, message("hello"), reasoning=True)
    )
    thought = len(tokens.text_ids(script.reasoning))
    second = len(first) + thought + len(tokens.encode(prompt.verdict_opening(template)))
    assert (found.status, found.model_label, found.score_method) == ("judged", "safe", "trace")
    assert found.score == pytest.approx(0.125)
    assert found.reasoning == script.reasoning
    assert found.raw == "U7 not met; so safe.<|verdict|>\\boxed{safe}"
    assert found.prompt_digest == hashlib.sha256(struct.pack(f"<{len(first)}I", *first)).hexdigest()
    assert found.usage == Usage(
        prompt_tokens=len(first) + second,
        cached_tokens=5,
        reasoning_tokens=thought + 1,
        output_tokens=thought + 1 + 1,
    )
    assert found.engine_ms > 0


async def test_unsafe(tmp_path: Path) -> None:
    """Categories, clauses and the place of the quote come with it."""
    script = Script(reasoning='U8 met by "idiot"; so unsafe.', answer="unsafe} U8", p_unsafe=0.9)

    found = await one(tmp_path, script, message("you idiot"))

    assert (found.status, found.model_label, found.cited) == ("judged", "unsafe", (("shop", "U8"),))
    assert found.findings == (Finding(score=found.score or 0, cited=found.cited),)
    assert found.spans == (Span(start=4, end=9),)


async def test_the_second_call_continues_the_first(tmp_path: Path) -> None:
    """Same prompt, then what was reasoned, then the verdict's opening; the grammar is the second's."""
    tokens, _ = tiny_tokens()
    async with judging(tmp_path, Script(reasoning="hm")) as (judge, engine):
        await judge.judge(message("hello"), policy(), priority=3)

    first, second = engine.requests
    assert tokens.decode(second.prompt_ids) == tokens.decode(first.prompt_ids) + "hm<|verdict|>\\boxed{"
    assert second.prompt_ids[: len(first.prompt_ids)] == first.prompt_ids
    assert (first.grammar, first.logprobs, first.max_tokens) == (None, 0, 48)
    assert second.grammar is not None
    assert second.logprobs == 20
    assert second.priority < first.priority


async def test_a_reasoning_is_told_what_it_may_copy(tmp_path: Path) -> None:
    """The policy's ids and the message as the model sees it; the answer has its grammar instead."""
    under = policy(category("U7"), category("U8"))
    async with judging(tmp_path, Script(reasoning="hm")) as (judge, engine):
        await judge.judge(message("mail me at a.b@example.org"), under)

    first, second = engine.requests
    assert first.copied == Copied(text="mail me at [email]", starts=("U7", "U8", "so"))
    assert second.copied is None


async def test_priorities_of_two_classes_do_not_cross(tmp_path: Path) -> None:
    """What continues a replay stands before new replays and behind new live messages."""
    async with judging(tmp_path, Script()) as (judge, engine):
        await judge.judge(message("live"), policy(), priority=0)
        await judge.judge(message("replay"), policy(), priority=1)

    live_new, live_continued, replay_new, replay_continued = (request.priority for request in engine.requests)
    assert live_continued < live_new < replay_continued < replay_new


async def test_ids_are_asked_for_when_the_score_says_so(tmp_path: Path) -> None:
    """The model says safe although it leans to unsafe: it has to say which categories it would be."""
    async with judging(tmp_path, Script(reasoning="hm", answer="safe}", p_unsafe=0.6, names=" U8")) as (judge, engine):
        found = await judge.judge(message("hello"), policy())

    assert (found.status, found.model_label, found.cited) == ("judged", "safe", (("shop", "U8"),))
    assert found.score == pytest.approx(0.6)
    assert found.raw == "hm<|verdict|>\\boxed{safe}\nunsafe} U8"
    assert tiny_tokens()[0].decode(engine.requests[2].prompt_ids).endswith("\\boxed{unsafe}")
    assert engine.requests[2].priority == engine.requests[1].priority


@pytest.mark.parametrize(
    "label, p_unsafe, cited, raw",
    [
        ("safe}", 0.1, (), "safe}"),
        ("safe}", 0.9, (("shop", "U7"),), "safe}\nunsafe} U7"),
        ("unsafe} U7", 0.9, (("shop", "U7"),), "unsafe} U7"),
    ],
)
async def test_a_single_category_needs_no_more_than_the_label(
    tmp_path: Path, label: str, p_unsafe: float, cited: tuple[tuple[str, str], ...], raw: str
) -> None:
    """Behind ``unsafe`` only one id could follow: one token tells all, and nobody has to be asked for the id."""
    script = Script(answer=label, p_unsafe=p_unsafe)
    async with judging(tmp_path, script) as (judge, engine):
        found = await judge.judge(message("hello"), policy(category("U7"), reasoning="never"))

    assert (found.status, found.cited, found.raw) == ("judged", cited, "\\boxed{" + raw)
    assert (len(engine.requests), found.usage.output_tokens) == (1, 1)


@pytest.mark.parametrize("p_unsafe", [0.1, 0.49])
async def test_below_the_lowest_threshold_nothing_is_asked(tmp_path: Path, p_unsafe: float) -> None:
    """A safe answer that is sure enough is the end."""
    async with judging(tmp_path, Script(p_unsafe=p_unsafe)) as (judge, engine):
        found = await judge.judge(
            message("hello"), policy(category("U7", threshold=0.5), category("U8", threshold=0.9))
        )

    assert len(engine.requests) == 2
    assert found.cited == ()


async def test_ids_that_cannot_be_had(tmp_path: Path) -> None:
    """If even the third call gives no category, the finding is unnamed."""
    found = await one(tmp_path, Script(reasoning="hm", p_unsafe=0.7, names="?"))

    assert (found.status, found.cited, found.findings[0].unnamed) == ("judged", (), True)


async def test_prose_alone(tmp_path: Path) -> None:
    """A policy without categories can be violated, without a name, and from one half on."""
    script = Script(reasoning="hm", answer="unsafe}", p_unsafe=0.7)

    found = await one(tmp_path, script, policy=prose_alone("Be kind."))

    assert (found.status, found.cited, found.findings[0].unnamed) == ("judged", (), True)


async def test_cut_by_the_budget(tmp_path: Path) -> None:
    """The forced word is kept, and nothing else: no score, no categories."""
    found = await one(tmp_path, Script(reasoning="and so on", ends_by="", answer="unsafe} U7", p_unsafe=0.9))

    assert (found.status, found.model_label, found.truncated) == ("truncated", "unsafe", True)
    assert (found.score, found.cited, found.findings) == (None, (), ())
    assert found.reasoning == "and so on"


async def test_a_verdict_against_its_own_reasoning(tmp_path: Path) -> None:
    """It is neither of both."""
    found = await one(tmp_path, Script(reasoning="U7 met; so unsafe.", answer="safe}"))

    assert (found.status, found.model_label, found.score) == ("contradictory", "safe", None)


@pytest.mark.parametrize("answer", ["", "unsafe}", "un", "saf", "U7"])
async def test_an_answer_that_is_none(tmp_path: Path, answer: str) -> None:
    """Should the grammar ever fail, the text is not guessed at."""
    assert (await one(tmp_path, Script(answer=answer))).status == "unparseable"


async def test_safe_is_enough(tmp_path: Path) -> None:
    """Behind ``safe`` nothing else can follow, so the call ends there; unless an id could hold that word."""
    safe = tiny_tokens()[0].text_ids("safe")[0]
    async with judging(tmp_path, Script(reasoning="hm")) as (judge, engine):
        short = await judge.judge(message("hello"), policy())
        long = await judge.judge(message("hello"), policy(category("not-safe-at-work")))

    assert [safe in request.stop_ids for request in engine.requests] == [False, True, False, False]
    assert short.raw == long.raw == "hm<|verdict|>\\boxed{safe}"
    assert short.usage.output_tokens < long.usage.output_tokens


async def test_a_label_without_a_score(tmp_path: Path) -> None:
    """Without the first token's alternatives nothing can be compared, so nothing was judged."""

    class Blind(FakeEngine):
        async def complete(self, request: Any) -> Any:
            answer = await super().complete(request)
            return structs.replace(answer, first_logprobs={})

    save_tokenizer(tmp_path)
    engine = Blind(tiny_tokens()[0], lambda _: Script())
    judge = RsafeJudge(Settings(model=str(tmp_path)), lambda _settings, _folder: engine)
    await judge.start()

    assert (await judge.judge(message("hello"), policy())).status == "unparseable"


async def test_unsafe_in_two_tokens(tmp_path: Path) -> None:
    """A model may write ``un`` and ``safe``: the second half is not taken for the label."""
    tokens, _ = tiny_tokens()
    pieces = (*tokens.text_ids("u"), *tokens.text_ids("n"), *tokens.text_ids("safe"), *tokens.text_ids("} U7"))

    found = await one(tmp_path, Script(reasoning="hm", answer="unsafe} U7", answer_ids=pieces, p_unsafe=0.9))

    assert (found.status, found.model_label, found.cited) == ("judged", "unsafe", (("shop", "U7"),))


async def test_without_reasoning(tmp_path: Path) -> None:
    """One call, closed at once; the score is direct, and there is nothing to trace."""
    async with judging(tmp_path, Script(p_unsafe=0.2)) as (judge, engine):
        found = await judge.judge(message("hello"), policy(reasoning="never"))

    (request,) = engine.requests
    assert tiny_tokens()[0].decode(request.prompt_ids).endswith("<|think|><|verdict|>\\boxed{")
    assert (found.status, found.score_method, found.reasoning) == ("judged", "direct", None)
    assert found.raw == "\\boxed{safe}"


@pytest.mark.parametrize(
    "p_unsafe, band, calls, method",
    [
        (0.1, None, 1, "direct"),
        (0.9, None, 2, "direct"),
        (0.5, None, 4, "trace"),
        (0.2, None, 3, "trace"),
        (0.1, (0.05, 0.15), 3, "trace"),
        (0.5, (0.6, 0.7), 2, "direct"),
    ],
    ids=["sure safe", "sure unsafe", "unsure", "at the edge", "in the band", "outside the band"],
)
async def test_reasoning_when_unsure(tmp_path: Path, p_unsafe: float, band: Any, calls: int, method: str) -> None:
    """Only inside the band is the message reasoned about; without a band of the policy's it is 0.2 to 0.8."""
    async with judging(tmp_path, Script(reasoning="hm", p_unsafe=p_unsafe)) as (judge, engine):
        found = await judge.judge(message("hello"), policy(reasoning="when_unsure", review_band=band))

    assert (found.score_method, len(engine.requests)) == (method, calls)


async def test_floor_apart(tmp_path: Path) -> None:
    """Floor and tenant are asked in calls of their own; neither sees the other's text."""
    async with judging(
        tmp_path, lambda text: Script(answer="unsafe} U7" if "U7" in text else "safe}", reasoning="hm")
    ) as (
        judge,
        engine,
    ):
        found = await judge.judge(message("hello"), floor_and_own())

    prompts = [tiny_tokens()[0].decode(request.prompt_ids) for request in engine.requests]
    assert sorted(("U7" in text, "garden" in text) for text in prompts) == [(False, True)] * 2 + [(True, False)] * 2
    assert (found.model_label, found.cited) == ("unsafe", (("platform", "U7"),))
    assert len(found.findings) == 2
    assert found.reasoning == "hm\n\nhm"


async def test_floor_joined(tmp_path: Path) -> None:
    """Where the policy says so everything stands in one prompt."""
    async with judging(tmp_path, Script(reasoning="hm", answer="unsafe} U7, SPAM")) as (judge, engine):
        found = await judge.judge(message("hello"), floor_and_own(floor_mode="joined"))

    assert len(engine.requests) == 2
    assert found.cited == (("platform", "U7"), ("shop", "SPAM"))


async def test_the_digest_covers_every_panel_in_order(tmp_path: Path) -> None:
    """It is the one over both prompts, floor first, whichever was answered first."""
    tokens, template = tiny_tokens()
    found = await one(tmp_path, Script(), policy=floor_and_own())

    ids: list[int] = []
    for panel in floor_and_own().panels:
        ids += tokens.encode(
            prompt.prefix(template, panel, "user") + prompt.suffix(template, message("hello"), reasoning=True)
        )
    assert found.prompt_digest == hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()


async def test_both_tasks(tmp_path: Path) -> None:
    """An agent's answer is judged in its context, a user's message alone."""
    async with judging(tmp_path, Script()) as (judge, engine):
        await judge.judge(message("yes", role="agent", context=(Turn(role="user", text="really?"),)), policy())
        await judge.judge(message("yes"), policy())

    asked = [tiny_tokens()[0].decode(request.prompt_ids) for request in engine.requests if request.grammar is None]
    assert asked[0].endswith("<|user|>really?<|agent|>yes<|judge_agent|><|think|>")
    assert asked[1].endswith("<|user|>yes<|judge_user|><|think|>")


async def test_a_reasoning_that_ends_with_text(tmp_path: Path) -> None:
    """In the default template no single token ends it: the prompt goes on with exactly the text before the end."""
    tokens, _ = tiny_tokens(CHAT_TEMPLATE)
    script = Script(reasoning="U7 is not met <", ends_by="</think>")
    async with judging(tmp_path, script, CHAT_TEMPLATE) as (judge, engine):
        found = await judge.judge(message("hello"), policy())

    first, second = engine.requests
    assert first.stop == ("</think>",)
    assert tokens.decode(second.prompt_ids) == tokens.decode(first.prompt_ids) + "U7 is not met <</think>\n\\boxed{"
    assert (found.status, found.reasoning) == ("judged", "U7 is not met <")


@pytest.mark.parametrize("chosen, budget", [(0, 24), (7, 7), (1000, 48)])
async def test_a_shortened_reasoning(tmp_path: Path, chosen: int, budget: int) -> None:
    """Half of the budget, or what is set, never more; one that it cuts is truncated, as ever."""
    async with judging(tmp_path, Script(ends_by=""), overload_short_tokens=chosen) as (judge, engine):
        whole = await judge.judge(message("hello"), policy())
        short = await judge.judge(message("hello"), policy().at("short_reasoning"))

    assert [request.max_tokens for request in engine.requests[::2]] == [48, budget]
    assert [found.status for found in (whole, short)] == ["truncated", "truncated"]


async def test_a_label_alone(tmp_path: Path) -> None:
    """No call reasons, the floor's neither; the policy's thresholds act on the score as it is without reasoning."""

    def script(text: str) -> Script:
        return Script(answer="unsafe} U7", p_unsafe=0.9) if "U7" in text else Script()

    async with judging(tmp_path, script) as (judge, engine):
        found = await judge.judge(message("hello"), floor_and_own().at("label_only"))

    assert (found.status, found.score_method, found.reasoning) == ("judged", "direct", None)
    assert len(engine.requests) == 2
    assert all(request.grammar for request in engine.requests)
    assert decide(found, floor_and_own()).label == "unsafe"


async def test_room_for_everything(tmp_path: Path) -> None:
    """Prompt, budget, opening and the longest answer have to fit; one token less and nothing is asked."""
    tokens, template = tiny_tokens()
    size = len(
        tokens.encode(
            prompt.prefix(template, policy().panels[0], "user") + prompt.suffix(template, message("x"), reasoning=True)
        )
    )
    needed = size + 48 + len(tokens.encode(prompt.verdict_opening(template))) + len("unsafe} U7, U8") + 1
    async with judging(tmp_path / "a", Script(), window_tokens=needed) as (judge, _):
        assert (await judge.judge(message("x"), policy())).status == "judged"
    async with judging(tmp_path / "b", Script(), window_tokens=needed - 1) as (judge, engine):
        found = await judge.judge(message("x"), policy())

    assert (found.status, found.prompt_digest, engine.requests) == ("too_long", None, [])


@pytest.mark.parametrize(
    "judged",
    [
        message("x" * 1_000_000),
        message("1" * 1_000_000),
        message("x" * 60_000),
        message("hi", context=(Turn(role="user", text="x" * 1_000_000),)),
        message("hi", context=(Turn(role="user", text=""),) * 5000),
    ],
    ids=["a megabyte", "a megabyte of digits", "60 kB", "in the context", "five thousand turns"],
)
async def test_too_long(tmp_path: Path, judged: Message) -> None:
    """What cannot fit is refused at once, and nothing is asked."""
    async with judging(tmp_path, Script()) as (judge, engine):
        found = await judge.judge(judged, policy())

    assert (found.status, engine.requests) == ("too_long", [])
    assert found.engine_ms < 500


async def test_a_policy_that_does_not_fit(tmp_path: Path) -> None:
    """A policy longer than the window is too long with every message, and is not tokenised each time."""
    async with judging(tmp_path, Script()) as (judge, engine):
        found = await judge.judge(message("hi"), policy(prose="x" * 100_000))

    assert (found.status, engine.requests) == ("too_long", [])


async def test_the_engine_fails_one_request(tmp_path: Path) -> None:
    """The message gets a status, and the next one is judged."""
    async with judging(tmp_path, Script()) as (judge, engine):
        engine.error = RequestFailed("no")
        failed = await judge.judge(message("hello"), policy())
        engine.error = None
        judged = await judge.judge(message("hello"), policy())

    assert (failed.status, judged.status) == ("engine_error", "judged")


@pytest.mark.parametrize("error", [EngineDead("gone"), EngineAborted("cut")], ids=["dead", "aborted"])
@pytest.mark.parametrize("under", [policy(), floor_and_own()], ids=["one panel", "two panels"])
async def test_the_engine_is_gone(tmp_path: Path, error: Exception, under: EffectivePolicy) -> None:
    """What is not the message's fault is raised, so that its offset stays open."""
    async with judging(tmp_path, Script()) as (judge, engine):
        engine.error = error
        with pytest.raises(type(error)):
            await judge.judge(message("hello"), under)


async def test_one_panel_fails(tmp_path: Path) -> None:
    """Its status stands, and what the floor found is kept."""

    def script(text: str) -> Script:
        floor = "U7" in text
        return Script(
            reasoning="so unsafe.", ends_by="<|verdict|>" if floor else "", answer="unsafe} U7" if floor else "safe}",
            p_unsafe=0.9,
        )  # fmt: skip

    async with judging(tmp_path, script) as (judge, _):
        found = await judge.judge(message("hello"), floor_and_own())

    assert (found.status, found.truncated, found.cited) == ("truncated", True, (("platform", "U7"),))
    assert [finding.cited for finding in found.findings] == [(("platform", "U7"),)]


async def test_the_deadline(tmp_path: Path) -> None:
    """A message that takes too long ends as a timeout; another is judged meanwhile."""
    async with judging(tmp_path, Script(), request_timeout_s=0.1) as (judge, engine):
        engine.held.clear()
        found = await judge.judge(message("hello"), policy())

    assert (found.status, found.usage.output_tokens) == ("timeout", 0)
    assert found.prompt_digest is not None


async def test_cancelling_reaches_every_panel(tmp_path: Path) -> None:
    """A message that is given up leaves no call behind."""
    async with judging(tmp_path, Script()) as (judge, engine):
        engine.held.clear()
        task = asyncio.create_task(judge.judge(message("hello"), floor_and_own()))
        await wait_until(lambda: len(engine.requests) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        engine.held.set()

        assert len(engine.requests) == 2


async def test_many_at_once(tmp_path: Path) -> None:
    """Calls do not mix: each message gets its own answer."""
    async with judging(
        tmp_path, lambda text: Script(reasoning="hm", answer="unsafe} U7" if "bad" in text else "safe}")
    ) as (
        judge,
        _,
    ):
        texts = ["good", "bad"] * 50
        found = await asyncio.gather(*(judge.judge(message(text), policy()) for text in texts))

    assert [one.model_label for one in found] == ["safe", "unsafe"] * 50


async def test_start_makes_it_known(tmp_path: Path) -> None:
    """The fingerprint is there once it has started; its warm-up is a real call."""
    save_tokenizer(tmp_path / "mine")
    engine = FakeEngine(tiny_tokens()[0], lambda _: Script())
    judge = RsafeJudge(Settings(model=str(tmp_path / "mine")), lambda _settings, _folder: engine)
    with pytest.raises(EngineDead):
        judge.check()
    with pytest.raises(EngineDead):
        await judge.judge(message("hello"), policy())

    before = judge.model
    await judge.start()
    judge.check()
    await judge.stop()

    assert (before.name, before.fingerprint) == ("mine", None)
    assert len(judge.model.fingerprint or "") == 64
    assert (engine.started, engine.stopped, len(engine.requests)) == (1, 1, 1)


async def test_the_estimate_grows_with_the_text(tmp_path: Path) -> None:
    """Fair admission needs no exact count, but longer texts and contexts must cost more."""
    async with judging(tmp_path, Script()) as (judge, _):
        short, long = judge.estimate_tokens(message("hi")), judge.estimate_tokens(message("hi " * 100))
        told = judge.estimate_tokens(message("hi", context=(Turn(role="user", text="x" * 300),)))

    assert 48 < short < told <= long


async def test_plans_are_kept_and_bounded() -> None:
    """A policy's beginning is tokenised once; old ones go when there are too many."""
    tokens, template = tiny_tokens()
    plans = Plans(template, tokens, 100_000)
    first = policy().panels[0]

    assert await plans.get(first, "user") is await plans.get(policy().panels[0], "user")
    assert await plans.get(first, "agent") is not await plans.get(first, "user")


async def test_the_plans_used_last_are_kept() -> None:
    """Old ones go when their tokens are too many together, the least used first; one that two wait for counts once."""
    tokens, template = tiny_tokens()
    plans = Plans(template, tokens, 100_000)
    panels = [policy(category(f"C{number}")).panels[0] for number in range(KEPT_TOKENS // PLAN_TOKENS)]
    first, second = [await plans.get(panel, "user") for panel in panels[:2]]
    sizes = []
    for panel in panels[2:]:
        await plans.get(panels[0], "user")
        sizes.append(PLAN_TOKENS + len((await plans.get(panel, "user")).prefix_ids))
    kept = len(plans)

    total = PLAN_TOKENS + len(first.prefix_ids) + sum(sizes[1 - kept :])
    assert total <= KEPT_TOKENS < total + max(sizes)
    assert await plans.get(panels[0], "user") is first
    assert await plans.get(panels[1], "user") is not second

    long = [policy(prose=f"no spam here. {number} " * 1500).panels[0] for number in range(2)]
    both = await asyncio.gather(*(plans.get(long[0], "user") for _ in range(2)))
    await plans.get(long[1], "user")
    assert both[0].prefix_ids == both[1].prefix_ids
    assert len(plans) < kept


async def test_a_long_policy_is_planned_like_a_short_one() -> None:
    """Tokenised beside the loop or in it, the ids are the same."""
    tokens, template = tiny_tokens()
    prose = "no spam here. " * 2000
    plan = await Plans(template, tokens, 100_000).get(policy(prose=prose).panels[0], "user")

    assert list(plan.prefix_ids) == tokens.encode(prompt.prefix(template, policy(prose=prose).panels[0], "user"))
