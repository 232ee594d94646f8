"""Targets under libFuzzer: ``python -m tests.fuzz.child`` reads jobs from its input and forks for each one.

Importing and instrumenting the program takes seconds, so it is done once. A job is a line of JSON: the target, a
folder, and libFuzzer's options. The folder takes the corpus, what libFuzzer says, and a line for each finding that
is new. An error that a target lets out does not end a job; a hang does, since nothing else ends a hang. The answer
to a job is its exit code, on a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import atheris

from tests.fuzz.findings import Finding, crash

FOUND: Final = "found.jsonl"
CORPUS: Final = "corpus"
SAID: Final = "said.txt"
#: Whose branches steer the fuzzer.
INSTRUMENTED: Final = ("worker", "aiokafka.record")


def main() -> None:
    """Do one job after the other until there are no more."""
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415  (instrumented while it is imported)
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        job = json.loads(line)
        process = os.fork()
        if not process:
            _fuzz(TARGETS[job["target"]], Path(job["folder"]), job["options"])
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _fuzz(target: Any, folder: Path, options: list[str]) -> None:
    """Run the seeds whole and then what libFuzzer makes of them; never returns."""
    with (folder / SAID).open("wb", buffering=0) as said, Path(os.devnull).open("rb") as nothing:
        for number, file in ((0, nothing), (1, said), (2, said)):
            os.dup2(file.fileno(), number)
    run = _guarded(target.name, target.run, folder / FOUND)
    for number, seed in enumerate(target.seeds()):
        run(seed)
        (folder / CORPUS / f"seed-{number:04}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, str(folder / CORPUS)], run)
    atheris.Fuzz()


def _guarded(name: str, run: Callable[[bytes], None], found: Path) -> Callable[[bytes], None]:
    """Write down what a target lets out, once for each kind of error and place."""
    known: set[tuple[str, str]] = set()

    def guarded(data: bytes) -> None:
        try:
            run(data)
        except Exception as error:  # noqa: BLE001  (whatever comes out is a finding)
            finding = crash(name, error, data)
            key = (type(error).__name__, finding.place)
            if key not in known:
                known.add(key)
                _write(finding, found)

    return guarded


def _write(finding: Finding, found: Path) -> None:
    with found.open("a", encoding="utf-8") as file:
        file.write(json.dumps(finding._asdict()) + "\n")


if __name__ == "__main__":
    main()
