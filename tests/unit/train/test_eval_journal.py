"""A run that was cut off: what was answered is kept, and the rest is all that is asked again."""

from __future__ import annotations

import hashlib
import stat
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.support.evaluating import made_data
from tests.support.fake_engine import Script
from tests.support.probing import WholeEngine, probed
from tests.unit.train.test_eval_report import options
from worker.commands.evaluate import journal_of, measure
from worker.errors import EngineDead, UsageError
from worker.judge.engine import Completion, Request
from worker.train.evaluation.journal import FILE_NAME, Conditions, Journal, forget
from worker.train.evaluation.report import Evaluation
from worker.train.evaluation.run import Options

OPTIONS = Options(rows=4, in_flight=6)


def conditions(**changes: object) -> Conditions:
    """Return those of a made-up run."""
    given = {"fingerprint": "ab", "split": "dev", "rows": 4, "seed": 1, "in_flight": 6, "rows_digest": "cd"}
    return msgspec.convert(given | changes, Conditions)


class Work:
    """Counts how often it is done."""

    def __init__(self, result: list[int]) -> None:
        """Not yet."""
        self.result = result
        self.times = 0

    async def __call__(self) -> list[int]:
        """Do it."""
        self.times += 1
        return self.result


async def ask(journal: Journal, section: str, key: str, work: Work) -> list[int]:
    """Ask in a section."""
    return await journal.section(section)(key, list[int], work)


async def test_what_is_kept_is_not_done_again(tmp_path: Path) -> None:
    """By section and key; the file is readable for its owner alone and goes when the run is done."""
    first, second = Work([1]), Work([2])
    with closing(Journal(tmp_path, conditions(), resume=False)) as journal:
        assert await ask(journal, "own", "a", first) == [1]
        assert await ask(journal, "once more", "a", second) == [2]
    mode = stat.S_IMODE(journal.path.stat().st_mode)

    never = Work([])
    with closing(Journal(tmp_path, conditions(), resume=True)) as journal:
        assert journal.earlier == 2
        assert [await ask(journal, section, "a", never) for section in ("own", "once more")] == [[1], [2]]
        assert await ask(journal, "own", "b", Work([3])) == [3]
        assert (journal.taken, never.times) == (2, 0)

    assert Journal(tmp_path, conditions(), resume=True).earlier == 3
    assert mode == 0o600
    for _ in range(2):
        forget(tmp_path)
        assert not journal.path.exists()


async def test_half_a_line_is_not_an_answer(tmp_path: Path) -> None:
    """A process that was killed while it wrote: its last answer is asked again, and the file stays whole."""
    with closing(Journal(tmp_path, conditions(), resume=False)) as journal:
        await ask(journal, "own", "a", Work([1]))
        await ask(journal, "own", "b", Work([2]))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-3])

    again = Work([2])
    with closing(Journal(tmp_path, conditions(), resume=True)) as journal:
        assert journal.earlier == 1
        await ask(journal, "own", "b", again)

    assert again.times == 1
    assert journal.path.read_bytes() == whole


def test_nothing_to_go_on_with(tmp_path: Path) -> None:
    """Without a file, or with one that was cut off in its first line, a resumed run begins like any other."""
    assert Journal(tmp_path, conditions(), resume=True).earlier == 0
    (tmp_path / FILE_NAME).write_bytes(b'{"finger')
    with closing(Journal(tmp_path, conditions(), resume=True)) as journal:
        assert journal.earlier == 0
    assert msgspec.json.decode(journal.path.read_bytes(), type=Conditions) == conditions()


async def test_answers_of_another_run_are_refused(tmp_path: Path) -> None:
    """Another model, other rows, or no journal at all: it says which, and keeps the file; anew it is emptied."""
    with closing(Journal(tmp_path, conditions(), resume=False)) as journal:
        await ask(journal, "own", "a", Work([1]))
    before = journal.path.read_bytes()

    for other in ({"fingerprint": "other"}, {"split": "test"}, {"seed": 2}, {"rows_digest": "other"}):
        with pytest.raises(UsageError, match=r"another model or engine setting, or to another --split"):
            Journal(tmp_path, conditions(**other), resume=True)
    assert journal.path.read_bytes() == before
    assert Journal(tmp_path, conditions(seed=2), resume=False).earlier == 0
    journal.path.write_bytes(before + b"no answer\n")
    with pytest.raises(UsageError, match="no file of answers that this version can read"):
        Journal(tmp_path, conditions(), resume=True)
    with pytest.raises(UsageError, match="cannot be written"):
        Journal(tmp_path / "none", conditions(), resume=True)


class MortalEngine(WholeEngine):
    """Dies after so many calls."""

    life = 1_000_000

    async def complete(self, request: Request) -> Completion:
        """Answer while it lives."""
        if len(self.requests) >= self.life:
            text = "the engine is gone"
            raise EngineDead(text)
        return await super().complete(request)


def varied(prompt: str) -> Script:
    """Return a script whose score depends on the prompt."""
    return Script(p_unsafe=hashlib.sha256(prompt.encode()).digest()[0] / 512, answer="safe}")


async def run(folder: Path, out: Path, said: list[str], *, life: int, resume: bool) -> tuple[Evaluation | None, int]:
    """Evaluate on an engine of so long a life; return what was found and the calls that were made."""
    judge, engine = await probed(folder, varied, engine_type=MortalEngine)
    assert isinstance(engine, MortalEngine)
    engine.life = life
    found, data = None, made_data()
    try:
        with journal_of(judge, data, OPTIONS, options(out=out, resume=resume), said.append) as journal:
            found = await measure(judge, folder, data, OPTIONS, said.append, journal)
    except EngineDead:
        assert said[-1].startswith("cut off; the answers so far are kept in ")
    return found, len(engine.requests)


def figures(found: Evaluation) -> bytes:
    """Return all that does not depend on the clock."""
    report = msgspec.structs.replace(found.report, cost={}, facts=None)
    answers = [msgspec.structs.replace(one, engine_ms=0.0) for one in found.answers]
    return msgspec.json.encode([report, answers])


async def test_a_run_cut_off_twice_comes_to_the_same(tmp_path: Path) -> None:
    """Every section: an engine that dies at a third and at two thirds of the calls, and the same figures at the end."""
    out = tmp_path / "out"
    out.mkdir()
    said: list[str] = []
    whole, calls = await run(tmp_path, out, said, life=1_000_000, resume=False)
    assert whole is not None

    made = 0
    for resume in (False, True):
        found, more = await run(tmp_path, out, said, life=calls // 3, resume=resume)
        assert found is None
        made += more
    found, rest = await run(tmp_path, out, said, life=1_000_000, resume=True)

    assert found is not None
    assert figures(found) == figures(whole)
    assert found.report.facts.resumed > len(found.answers) // 3
    # What was in flight when it died is asked again, and a message takes up to three calls.
    assert calls <= made + rest <= calls + 2 * 3 * OPTIONS.in_flight
    assert any(line.startswith("goes on with ") for line in said)
