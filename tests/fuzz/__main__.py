"""``python -m tests.fuzz --inputs N [--target T] [--seed S]``: fuzz the parsers; ``--help`` says more."""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.findings import Finding
from tests.fuzz.results import Outcome, Results, markdown, merged, told
from tests.fuzz.run import HANG_S, MISSING, Plan, available, run
from tests.fuzz.targets import TARGETS
from worker.marked import insert

SEED: Final = 20261121
INPUTS: Final = 1_000_000


def main(arguments: list[str] | None = None) -> int:
    """Run, print what is found and the table; return 1 if anything was found, 2 without a fuzzer, else 0."""
    asked = _parser().parse_args(arguments)
    if asked.input is not None:
        TARGETS[asked.target].run(base64.b64decode(asked.input))
        print(f"{asked.target}: nothing wrong with it")
        return 0
    if not available():
        print(f"tests.fuzz: {MISSING}", file=sys.stderr)
        return 2
    chosen = (TARGETS[asked.target],) if asked.target else tuple(TARGETS.values())
    outcomes = run(Plan(targets=chosen, inputs=asked.inputs, seed=asked.seed, jobs=asked.jobs), _tell)
    results = Results(date=dt.datetime.now(dt.UTC), seed=asked.seed, hang_s=HANG_S, outcomes=tuple(outcomes))
    if asked.target and asked.out is not None and asked.out.exists():
        results = merged(msgspec.json.decode(asked.out.read_bytes(), type=Results), results)
    _publish(results, asked.out, asked.readme)
    return 1 if results.faults else 0


def _publish(results: Results, out: Path | None, readme: Path | None) -> None:
    table = markdown(results, TARGETS)
    print(table, end="")
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    if readme is not None:
        readme.write_text(insert(readme.read_text(encoding="utf-8"), table, "fuzz"), encoding="utf-8")


_TELLING: Final = threading.Lock()


def _tell(outcome: Outcome, findings: list[Finding]) -> None:
    with _TELLING:
        counted = f"{outcome.inputs:,} inputs, {outcome.crashes} crashes, {outcome.hangs} hangs"
        print(f"fuzz: {outcome.target}: {counted}", file=sys.stderr, flush=True)
        for finding in findings:
            print(told(finding), file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz every parser of bytes from outside."
    )
    parser.add_argument("--inputs", type=int, default=INPUTS, help="over all targets, by their shares")
    parser.add_argument("--target", choices=sorted(TARGETS), help="one target alone")
    parser.add_argument("--seed", type=int, default=SEED, help="of the fuzzer")
    parser.add_argument("--jobs", type=int, default=1, help="targets side by side")
    parser.add_argument("--input", help="base64: run this one input through --target and let its error out")
    parser.add_argument("--out", type=Path, help="where the results go, as JSON; of --target its row there is replaced")
    parser.add_argument("--readme", type=Path, help="a page whose table between its fuzz marks is replaced")
    return parser


if __name__ == "__main__":
    sys.exit(main())
