"""Runs targets under libFuzzer, each in a process of its own, and counts what they did."""

from __future__ import annotations

import base64
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from tests.fuzz.findings import Finding
from tests.fuzz.results import Outcome
from tests.fuzz.target import Target
from tests.fuzz.words import dictionary

ROOT: Final = Path(__file__).parents[2]
#: One input may take so long; a shared machine is slow at times, and no parser needs a hundredth of it.
HANG_S: Final = 20
MISSING: Final = "the coverage-guided fuzzer (atheris) is only there on Linux, x86-64"
_LARGEST_BYTES: Final = 8192
_MEMORY_MIB: Final = 4096
#: A target that hangs again and again is broken; its run ends.
_MOST_HANGS: Final = 5
_HUNG: Final = 70
_RUN: Final = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
_BRANCHES: Final = re.compile(rb"cov: (\d+)")
_TAIL_CHARS: Final = 300


class Plan(Struct, frozen=True, kw_only=True):
    """How much of what: ``inputs`` over all targets by their shares, the seed, and how many run side by side."""

    targets: tuple[Target, ...]
    inputs: int
    seed: int
    jobs: int = 1


def available() -> bool:
    """Tell whether the fuzzer is installed on this machine."""
    return find_spec("atheris") is not None


def run(plan: Plan, tell: Callable[[Outcome, list[Finding]], None]) -> list[Outcome]:
    """Run every target and return what came of each; ``tell`` hears of each as it ends."""
    total = sum(target.share for target in plan.targets)
    counts = {target.name: max(1, round(plan.inputs * target.share / total)) for target in plan.targets}
    free: queue.SimpleQueue[Fuzzer] = queue.SimpleQueue()

    def one(target: Target) -> Outcome:
        fuzzer = free.get()
        outcome, findings = fuzzer.fuzz(target.name, counts[target.name], plan.seed)
        free.put(fuzzer)
        tell(outcome, findings)
        return outcome

    with ExitStack() as stack, ThreadPoolExecutor(plan.jobs) as pool:
        for _ in range(plan.jobs):
            free.put(stack.enter_context(Fuzzer()))
        return list(pool.map(one, plan.targets))


class Fuzzer:
    """A process that has the program imported and instrumented, and forks for each target."""

    def __enter__(self) -> Self:
        """Start it."""
        # Equal seeds give equal runs, as far as the program does not ask for the time.
        env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it; without an input it ends by itself."""
        self._process.communicate()

    def fuzz(self, name: str, count: int, seed: int) -> tuple[Outcome, list[Finding]]:
        """Run one target on ``count`` inputs, again after each hang with what is left."""
        done = branches = hangs = 0
        findings: list[Finding] = []
        with tempfile.TemporaryDirectory(prefix="rsafe-fuzz-") as made:
            folder = Path(made)
            (folder / "corpus").mkdir()
            (folder / "words.dict").write_text(dictionary(), encoding="ascii")
            while done < count and hangs < _MOST_HANGS:
                code = self._job(name, folder, _options(folder, count - done, seed + hangs))
                said = (folder / "said.txt").read_bytes() if (folder / "said.txt").exists() else b""
                ran = _last(_RUN, said)
                done, branches = done + ran, max(branches, _last(_BRANCHES, said))
                if code == _HUNG:
                    hangs += 1
                    findings += _hangs(name, folder)
                elif code or not ran:
                    text = said.decode(errors="replace")[-_TAIL_CHARS:]
                    findings.append(Finding(name, "crash", f"the process ended with {code}: {text}", "", ""))
                    break
            findings += _crashes(folder)
        crashes = sum(one.kind == "crash" for one in findings)
        return Outcome(target=name, inputs=done, crashes=crashes, hangs=hangs, branches=branches), findings

    def _job(self, name: str, folder: Path, options: list[str]) -> int:
        """Have a target run and return how its process ended; -1 where the whole fuzzer is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"target": name, "folder": str(folder), "options": options}
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline() or b"-1")


def _options(folder: Path, count: int, seed: int) -> list[str]:
    options = {
        "runs": count,
        "seed": seed,
        "timeout": HANG_S,
        "max_len": _LARGEST_BYTES,
        "rss_limit_mb": _MEMORY_MIB,
        "dict": folder / "words.dict",
        "artifact_prefix": f"{folder}/",
        "print_final_stats": 1,
    }
    return [f"-{key}={value}" for key, value in options.items()]


def _last(pattern: re.Pattern[bytes], said: bytes) -> int:
    return int([b"0", *pattern.findall(said)][-1])


def _hangs(name: str, folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("timeout-*")):
        data = base64.b64encode(path.read_bytes()).decode()
        yield Finding(name, "hang", f"more than {HANG_S} s", "", data)
        path.unlink()


def _crashes(folder: Path) -> list[Finding]:
    path = folder / "found.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return list({(one.error, one.place): one for one in (Finding(**json.loads(line)) for line in lines)}.values())
