"""All measurements of one run, in turns, on one machine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final, get_args

import msgspec
from msgspec import Struct

from worker.bench.contestants import Work, audited, bare_loop, bare_reader, judge_alone, one_at_a_time, through_plane
from worker.bench.memory import engine_rss_mib, peak, peak_rss_mib
from worker.bench.policies import FixedPolicies
from worker.bench.report import machine, versions
from worker.bench.results import MEANINGS, Comparison, Memory, Peak, Report, compare
from worker.bench.rig import Rig, records
from worker.bench.traffic import Shape, traffic
from worker.config import Settings
from worker.errors import UsageError
from worker.judge.build import build_judge
from worker.judge.scripted import ScriptedJudge

ENGINE: Final = ("e2e_over_judge", "e2e_over_single")
PLANE: Final = "data_plane_over_bare"
AUDIT: Final = "audit_over_bare"
MEMORY: Final = "peak_rss_4n_over_n"
_RATE: Final = "messages/s"
#: One at a time is slow; a tenth of the messages says as much.
_SINGLE_PART: Final = 10
_GROWTH: Final = 4

Say = Callable[[str], None]


class BenchOptions(Struct, frozen=True, kw_only=True):
    """What to measure.

    Attributes:
        messages: in one measurement; 0 takes 360 through the engine, 20,000 through the data plane
            alone, and 80,000 for memory.
        repeats: measurements of each side.
        only: the one ratio wanted (all if empty).
        shape: of the traffic.
        seed: of the traffic.

    """

    messages: int = 0
    repeats: int = 3
    only: str = ""
    shape: Shape = "uniform"
    seed: int = 1

    @property
    def engine_messages(self) -> int:
        """Messages through the engine in one measurement."""
        return self.messages or 360

    @property
    def plane_messages(self) -> int:
        """Messages through the data plane alone."""
        return self.messages or 20_000

    @property
    def memory_messages(self) -> int:
        """Messages that wait when memory is measured; then four times as many.

        The smaller number lies past every bound on what that worker holds (``memory.BOUNDS``), or the ratio would
        show how the bounds fill and not whether they hold.
        """
        return self.messages or 80_000

    def check(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            UsageError: a name or a number that makes no sense.

        """
        if self.only and self.only not in MEANINGS:
            text = f"--only {self.only!r} is not one of {', '.join(MEANINGS)}"
            raise UsageError(text)
        if self.shape not in get_args(Shape):
            text = f"--shape {self.shape!r} is not one of {', '.join(get_args(Shape))}"
            raise UsageError(text)
        if self.messages < 0 or self.repeats < 1:
            text = "--messages and --repeats have to be at least 1"
            raise UsageError(text)

    def wants(self, name: str) -> bool:
        """Tell whether a ratio is to be measured."""
        return self.only in {"", name}


class _Measured(Struct):
    """What has been measured so far."""

    comparisons: list[Comparison]
    memory: Memory = Memory()
    model: str | None = None


async def bench(settings: Settings, options: BenchOptions, say: Say) -> Report:
    """Measure everything that is wanted; ``say`` takes a line now and then.

    Raises:
        UsageError: options that cannot be measured.
        WorkerError: broker or engine did not come up, or a measurement is void.

    """
    options.check()
    measured = _Measured(comparisons=[])
    async with Rig(settings) as rig:
        if any(options.wants(name) for name in ENGINE):
            await _with_engine(rig, settings, options, measured, say)
        if options.wants(PLANE):
            await _plane(rig, options, measured, say)
        if options.wants(AUDIT):
            await _audit(rig, options, measured, say)
        if options.wants(MEMORY):
            await _memory(rig, options, measured, say)
    return Report(
        date=dt.datetime.now(dt.UTC),
        seed=options.seed,
        shape=options.shape,
        engine=settings.engine,
        model=measured.model,
        engine_messages=options.engine_messages,
        plane_messages=options.plane_messages,
        repeats=options.repeats,
        machine=machine(),
        versions=versions(),
        comparisons=tuple(measured.comparisons),
        memory=measured.memory,
    )


async def _with_engine(rig: Rig, settings: Settings, options: BenchOptions, measured: _Measured, say: Say) -> None:
    work = Work(judge=build_judge(settings), policies=FixedPolicies())
    say("the engine loads")
    await work.judge.start()
    try:
        measured.model = work.judge.model.name
        at = (await rig.topics("e2e"), await rig.topics("single"))
        await _in_turns(at, work, options, measured, say)
        measured.memory = msgspec.structs.replace(
            measured.memory, worker_peak_mib=peak_rss_mib(), engine_mib=engine_rss_mib()
        )
    finally:
        await work.judge.stop()


async def _in_turns(
    at: tuple[Settings, Settings], work: Work, options: BenchOptions, measured: _Measured, say: Say
) -> None:
    """Measure e2e, judge and single one after the other, once without counting: caches are warm for all."""
    messages = traffic(options.shape, options.engine_messages, options.seed)
    few = messages[: max(1, len(messages) // _SINGLE_PART)]
    e2e, alone, single = [], [], []
    for turn in range(options.repeats + 1):
        e2e.append(await through_plane(at[0], work, messages))
        say(f"turn {turn}: e2e {e2e[-1]:.1f} {_RATE}")
        if options.wants(ENGINE[0]):
            alone.append(await judge_alone(work, messages))
            say(f"turn {turn}: the judge alone {alone[-1]:.1f} {_RATE}")
        if options.wants(ENGINE[1]):
            single.append(await one_at_a_time(at[1], work, few))
            say(f"turn {turn}: one at a time {single[-1]:.1f} {_RATE}")
    for name, rates in zip(ENGINE, (alone, single), strict=True):
        if rates:
            measured.comparisons.append(compare(name, _RATE, e2e[1:], rates[1:]))


async def _plane(rig: Rig, options: BenchOptions, measured: _Measured, say: Say) -> None:
    work = Work(judge=ScriptedJudge(), policies=FixedPolicies())
    messages = traffic(options.shape, options.plane_messages, options.seed)
    at, beside = await rig.topics("plane"), await rig.topics("bare")
    # The first run is not counted; what it wrote is what the bare loop sends.
    await through_plane(at, work, messages)
    traces = await records(at, "traces", len(messages))
    verdicts = await records(at, "verdicts", len(messages))
    plane, bare = [], []
    for turn in range(options.repeats):
        plane.append(await through_plane(at, work, messages))
        bare.append(await bare_loop(beside, messages, traces, verdicts))
        say(f"turn {turn + 1}: data plane {plane[-1]:.0f}, bare loop {bare[-1]:.0f} {_RATE}")
    measured.comparisons.append(compare(PLANE, _RATE, plane, bare))


async def _audit(rig: Rig, options: BenchOptions, measured: _Measured, say: Say) -> None:
    at = await rig.topics("audit")
    work = Work(judge=ScriptedJudge(), policies=FixedPolicies())
    await through_plane(at, work, traffic(options.shape, options.plane_messages, options.seed))
    audit, bare = [], []
    for turn in range(options.repeats):
        audit.append(await audited(at))
        bare.append(await bare_reader(at))
        say(f"turn {turn + 1}: audit {audit[-1]:.0f}, bare consumer {bare[-1]:.0f} records/s")
    measured.comparisons.append(compare(AUDIT, "records/s", audit, bare))


async def _memory(rig: Rig, options: BenchOptions, measured: _Measured, say: Say) -> None:
    found: list[Peak] = []
    for count in (options.memory_messages, options.memory_messages * _GROWTH):
        at = await rig.topics(f"memory-{count}")
        found.append(await peak(at, traffic(options.shape, count, options.seed)))
        say(f"peak memory with {count} messages: {found[-1].peak_mib:.0f} MiB")
    measured.memory = msgspec.structs.replace(measured.memory, peaks=tuple(found))
    few, many = found
    measured.comparisons.append(compare(MEMORY, "MiB", [many.peak_mib], [few.peak_mib]))
