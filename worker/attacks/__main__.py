"""``python -m worker.attacks --out FILE``: attack a model and write what came of it; ``--help`` says more."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

import msgspec

from worker.attacks.cases import PER_KIND, SEED
from worker.attacks.floor import FloorReport
from worker.attacks.measure import Report
from worker.attacks.report import table, write_into
from worker.attacks.run import run, run_floors
from worker.config_load import load
from worker.errors import WorkerError


def main(arguments: list[str] | None = None) -> int:
    """Run, write JSON, print Markdown; return 1 if a text escaped, a floor was breached, or it failed, else 0."""
    asked = _parser().parse_args(arguments)
    try:
        # Standard output is for the table alone, whatever a library prints.
        with contextlib.redirect_stdout(sys.stderr):
            report = _measured(asked)
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
        if asked.readme is not None:
            write_into(asked.readme, report)
    except WorkerError as error:
        print(f"worker.attacks: {error}", file=sys.stderr)
        return 1
    print(table(report), end="")
    return 1 if _is_breached(report) else 0


def _is_breached(report: Report | FloorReport) -> bool:
    if isinstance(report, Report):
        return report.escapes > 0
    return report.change.loosened > 0 or report.change.weakened > 0


def _measured(asked: argparse.Namespace) -> Report | FloorReport:
    settings = load(flags={"model": asked.model, "engine": asked.engine})
    if asked.floors:
        return asyncio.run(run_floors(settings))
    return asyncio.run(run(settings, asked.seed, asked.per_kind))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.attacks", description="Attack a model and its prompts.")
    parser.add_argument("--model", help="folder of the model; the small demo model by default")
    parser.add_argument("--engine", help="'vllm', or 'scripted' to try the command itself")
    parser.add_argument("--floors", action="store_true", help="measure what hostile tenants do to floors instead")
    parser.add_argument("--out", type=Path, required=True, help="where the figures go, as JSON")
    parser.add_argument("--readme", type=Path, help="a page whose table between its marks is replaced")
    parser.add_argument("--seed", type=int, default=SEED, help="picks the carriers of each attack")
    parser.add_argument("--per-kind", type=int, default=PER_KIND, help="carriers of each kind for each attack")
    return parser


if __name__ == "__main__":
    sys.exit(main())
