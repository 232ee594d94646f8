"""``python -m tests.chaos``: runs seeds one after the other; exit 1 if a guarantee is broken."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.chaos import report
from tests.chaos.plan import MEANINGS, Plan, make_plan
from tests.chaos.run import SeedResult, repeat_command, run_seed

_FOLDER: Final = "rsafe-chaos-"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--messages", type=int, default=5100, help="messages for each seed")
    parser.add_argument("--faults", type=int, default=5, help="faults for each seed")
    parser.add_argument("--engine", choices=("scripted", "real"), default="scripted", help="what judges")
    parser.add_argument("--only", nargs="*", choices=sorted(MEANINGS), default=(), help="kinds of fault to take")
    parser.add_argument("--out", type=Path, help="file of results, which are added to what stands there")
    return parser.parse_args()


def run_one(plan: Plan) -> SeedResult:
    """Run a seed in a folder of its own, which stays if a guarantee is broken."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{plan.seed}-"))
    logging.basicConfig(filename=folder / "chaos.log", level=logging.WARNING, force=True)
    try:
        result = asyncio.run(run_seed(plan, folder, lambda line: print(line, flush=True)))
    except Exception:
        print(
            f"seed {plan.seed} came to no end; the logs are in {folder}\n  repeat: {repeat_command(plan)}", flush=True
        )
        raise
    for line in report.lines(result):
        print(line, flush=True)
    if result.broken:
        print(f"the logs are in {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    return result


def main() -> int:
    """Run all; returns the exit status."""
    asked = arguments()
    failed = False
    for seed in range(asked.seed, asked.seed + asked.seeds):
        plan = make_plan(seed, messages=asked.messages, faults=asked.faults, engine=asked.engine, only=asked.only)
        result = run_one(plan)
        failed |= bool(result.broken)
        if asked.out is not None:
            report.add(asked.out, result)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
