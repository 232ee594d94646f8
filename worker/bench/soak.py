"""``python -m worker.bench.soak``: many messages through a real broker and a real worker; does anything grow?

The worker is ``rsafe run`` with the scripted engine, in a process of its own, and is looked at from outside,
through its ``/metrics``. After each round everything is published and committed before the next sample is
taken, so all samples are of a worker at rest. At the end ``rsafe audit verify`` says whether each message has
its outcome.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from worker import jars, kafka
from worker.bench.report import machine, save, versions
from worker.bench.rig import Rig
from worker.bench.soak_results import FIGURES, Audit, Sample, SoakReport, growth, markdown
from worker.bench.soak_traffic import Change, Record, changes, floor, records
from worker.config import Settings
from worker.config_load import load
from worker.demo.child import WorkerProcess, variables
from worker.demo.stage import free_port, publish_policy
from worker.errors import StreamError, WorkerError
from worker.marked import insert
from worker.stream.cluster import Cluster

#: Metrics by name and labels.
Found: TypeAlias = "dict[tuple[str, tuple[tuple[str, str], ...]], float]"
#: Counters that together have one for each record of ``messages``; policies have dead letters too.
_OUTCOMES: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("rsafe_verdicts_total", {}),
    ("rsafe_dead_letters_total", {"stage": "decode"}),
    ("rsafe_skips_total", {}),
)
_LOOK_S: Final = 0.2
_PATIENCE_S: Final = 120.0
_UNACKNOWLEDGED: Final = 500


class SoakOptions(Struct, frozen=True, kw_only=True):
    """How much is sent: ``messages`` in all, in ``rounds``; ``seed`` picks them."""

    messages: int = 200_000
    rounds: int = 40
    seed: int = 20261121


async def soak(settings: Settings, options: SoakOptions, folder: Path) -> SoakReport:
    """Run everything and return what was seen; the worker's log goes to ``folder``.

    Raises:
        StreamError: messages have no outcome, or stay uncommitted.
        WorkerError: broker or worker did not come up, or ended.

    """
    async with Rig(settings) as rig:
        at = msgspec.structs.replace(await rig.topics("soak"), engine="scripted", web_port=free_port())
        worker = WorkerProcess(at, folder / "soak-worker.log")
        await worker.start()
        try:
            await worker.ready()
            return await _Soak(at, options, worker).run()
        finally:
            await worker.stop()


class _Soak:
    """One run against a worker that is ready."""

    def __init__(self, settings: Settings, options: SoakOptions, worker: WorkerProcess) -> None:
        self._settings = settings
        self._options = options
        self._worker = worker
        self._cluster = Cluster(settings)
        self._sent = self._policies = 0

    async def run(self) -> SoakReport:
        began = time.monotonic()
        try:
            await self._change([floor()])
            samples = [await self._round(number) for number in range(self._options.rounds)]
        finally:
            await self._cluster.close()
        return SoakReport(
            date=dt.datetime.now(dt.UTC),
            seed=self._options.seed,
            messages=self._sent,
            policies=self._policies,
            duration_s=round(time.monotonic() - began, 1),
            machine=machine(),
            versions=versions(),
            samples=tuple(samples),
            growth=growth(samples),
            audit=await _audit(self._settings),
        )

    async def _round(self, number: int) -> Sample:
        """Send a round's first half, change policies, send the rest, wait until all is committed; then look."""
        count = self._options.messages // self._options.rounds
        rows = list(records(number, count, self._options.seed))
        await self._send(rows[: count // 2])
        await self._change(changes(number))
        await self._send(rows[count // 2 :])
        await self._until(self._published, "have no outcome")
        # Until then the ledger keeps the place of each outcome.
        await self._until(self._committed, "are not committed")
        sample = await self._sample()
        shown = ", ".join(f"{name} {of(sample):,.0f}" for name, of in FIGURES.items())
        print(f"soak: {sample.messages:,} messages: {shown}", file=sys.stderr, flush=True)
        return sample

    async def _change(self, made: Iterable[Change]) -> None:
        for one in made:
            await publish_policy(self._settings, one.scope, one.value)
            self._policies += 1

    async def _send(self, rows: Iterable[Record]) -> None:
        async with kafka.writer(self._settings) as producer:
            topic, waiting = self._settings.topic("messages"), []
            for row in rows:
                waiting.append(await producer.send(topic, row.value, key=row.key, headers=list(row.headers)))
                if len(waiting) >= _UNACKNOWLEDGED:
                    await asyncio.gather(*waiting)
                    waiting.clear()
                self._sent += 1
            await asyncio.gather(*waiting)

    async def _published(self) -> float:
        return _outcomes(await self._metrics())

    async def _committed(self) -> float:
        partitions = (await self._cluster.partition_counts())[self._settings.topic("messages")]
        return sum(point.offset for point in (await self._cluster.committed(range(partitions))).values())

    async def _until(self, count: Callable[[], Awaitable[float]], missing: str) -> None:
        """Wait until each record that was sent is counted.

        Raises:
            BrokerAway: Kafka does not answer.
            StreamError: the count stood still for long.
            WorkerError: the worker ended.

        """
        moved, before = time.monotonic(), -1.0
        while (now := await count()) < self._sent:
            if self._worker.failed():
                raise self._worker.why()
            moved, before = (time.monotonic(), now) if now > before else (moved, before)
            if time.monotonic() - moved > _PATIENCE_S:
                text = f"{self._sent - now:.0f} of {self._sent} messages {missing}; look at the worker's log"
                raise StreamError(text)
            await asyncio.sleep(_LOOK_S)

    async def _sample(self) -> Sample:
        """Look at the worker once its tasks have ended: they are as many at two looks in a row."""
        before, found = -1.0, await self._metrics()
        while found["rsafe_tasks", ()] != before:
            before = found["rsafe_tasks", ()]
            await asyncio.sleep(_LOOK_S)
            found = await self._metrics()
        return Sample(
            messages=self._sent,
            rss_bytes=found["process_resident_memory_bytes", ()],
            heap_blocks=found["rsafe_heap_blocks", ()],
            open_fds=found["process_open_fds", ()],
            tasks=found["rsafe_tasks", ()],
        )

    async def _metrics(self) -> Found:
        """Return the worker's metrics by name and labels."""
        text = await asyncio.to_thread(_fetch, f"http://{self._settings.web_host}:{self._settings.web_port}/metrics")
        families = text_string_to_metric_families(text)
        samples = (sample for family in families for sample in family.samples)
        return {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}


def _fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer:  # noqa: S310  (an address of our own)
        return str(answer.read().decode())


def _outcomes(found: Found) -> float:
    return sum(
        value
        for (name, labels), value in found.items()
        if any(name == wanted and needs.items() <= dict(labels).items() for wanted, needs in _OUTCOMES)
    )


async def _audit(settings: Settings) -> Audit:
    """Ask ``rsafe audit verify``, as an auditor would.

    Raises:
        WorkerError: it could not audit.

    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "audit", "verify", "--json"),
        env={**os.environ, **variables(settings)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    if not out:
        text = f"rsafe audit verify failed: {errors.decode(errors='replace').strip()[-500:]}"
        raise WorkerError(text)
    found: dict[str, Any] = msgspec.json.decode(out)
    return Audit(checked=found["checked"], skipped=found["skipped"], **found["counts"])


def main(arguments: list[str] | None = None) -> int:
    """Run, write JSON, print Markdown; return 1 if something failed, or the audit found something."""
    asked = _parser().parse_args(arguments)
    options = SoakOptions(messages=asked.messages, rounds=asked.rounds, seed=asked.seed)
    try:
        jars.fetch()
        with tempfile.TemporaryDirectory(prefix="rsafe-soak-") as folder:
            report = asyncio.run(soak(load(), options, Path(folder)))
        save(report, asked.out)
        if asked.readme is not None:
            asked.readme.write_text(
                insert(asked.readme.read_text(encoding="utf-8"), markdown(report), "soak"), encoding="utf-8"
            )
    except WorkerError as error:
        print(f"worker.bench.soak: {error}", file=sys.stderr)
        return 1
    print(markdown(report), end="")
    return 1 if report.audit.faults else 0


def _parser() -> argparse.ArgumentParser:
    usual = SoakOptions()
    parser = argparse.ArgumentParser(prog="python -m worker.bench.soak", description="Does a worker grow?")
    parser.add_argument("--messages", type=int, default=usual.messages, help="in all")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="a sample is taken after each; 4 at least")
    parser.add_argument("--seed", type=int, default=usual.seed, help="picks messages")
    parser.add_argument("--out", type=Path, required=True, help="where the figures go, as JSON")
    parser.add_argument("--readme", type=Path, help="a page whose table between its soak marks is replaced")
    return parser


if __name__ == "__main__":
    sys.exit(main())
