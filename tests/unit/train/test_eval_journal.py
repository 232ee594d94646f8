"""A run that was cut off: what was answered is kept, and the rest is all that is asked again."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.evaluating import made_data
from tests.support.fake_engine import Script
from tests.support.probing import WholeEngine, probed
from worker.commands.evaluate import conditions as conditions_of
from worker.commands.evaluate import measure
from worker.errors import EngineDead, TrainError, UsageError
from worker.judge.engine import Completion, Request
from worker.judge.judgement import Judgement
from worker.train.evaluation.journal import FILE_NAME, Conditions, Journal, Kept, journal
from worker.train.evaluation.report import Evaluation
from worker.train.evaluation.run import Options

OPTIONS = Options(rows=4, in_flight=6)


def conditions(**changes: object) -> Conditions:
    """Return those of a made-up run."""
    given: dict[str, Any] = {"fingerprint": "ab", "split": "dev", "sections": ["quality"], "methods": ["direct"]}
    given |= {"rows": 4, "seed": 1, "in_flight": 6, "rows_digest": "cd"}
    return msgspec.convert(given | changes, Conditions)


class CutOff(Exception):
    """The end of a run that is not done."""


@contextmanager
def opened(folder: Path, said: list[str] | None = None, *, resume: bool = False) -> Iterator[Journal]:
    """Open a journal that is cut off at the end."""
    with suppress(CutOff), journal(folder, resume=resume, say=([] if said is None else said).append) as made:
        made.begin(conditions())
        yield made
        raise CutOff


class Work:
    """Counts how often it is done."""

    def __init__(self, score: float = 0.5, status: str = "judged") -> None:
        """Not yet."""
        self.kept = Kept(judgement=msgspec.convert({"status": status, "score": score}, Judgement))
        self.times = 0

    async def __call__(self) -> Kept:
        """Do it."""
        self.times += 1
        return self.kept


async def test_what_is_kept_is_not_done_again(tmp_path: Path) -> None:
    """By section and key; the same key in another section is another question."""
    first, second, never = Work(0.1), Work(0.2), Work()
    with opened(tmp_path) as made:
        assert await made.section("own")("a", first) == first.kept
        assert await made.section("once more")("a", second) == second.kept

    with opened(tmp_path, resume=True) as made:
        assert made.earlier == 2
        assert await made.section("own")("a", never) == first.kept
        assert await made.section("once more")("a", never) == second.kept
        assert await made.section("own")("b", third := Work(0.3)) == third.kept
        assert (made.taken, made.written, never.times) == (2, 1, 0)

    with opened(tmp_path, resume=True) as made:
        assert made.earlier == 3


async def test_the_file_lives_as_long_as_it_is_needed(tmp_path: Path) -> None:
    """For its owner alone, even if it was there before; gone when the run is done, or has no answer yet."""
    path, said = tmp_path / FILE_NAME, list[str]()
    path.touch(mode=0o644)
    with opened(tmp_path, said) as made:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await made.section("own")("a", Work())
    assert said[-1].startswith(f"cut off: {path} has 1 answers, and may quote messages; go on with --resume")

    with journal(tmp_path, resume=True, say=said.append):
        assert said[-1].startswith("goes on with 1 answers of ")
    assert not path.exists()
    with opened(tmp_path, said, resume=True):
        assert said[-1] == f"{path} has none; begins"
    assert not path.exists()


async def test_half_a_line_is_not_an_answer(tmp_path: Path) -> None:
    """A process that was killed while it wrote: its last answer is asked again, and the file stays whole."""
    with opened(tmp_path) as made:
        await made.section("own")("a", Work(0.1))
        await made.section("own")("b", Work(0.2))
    whole = made.path.read_bytes()
    made.path.write_bytes(whole[:-3])

    with opened(tmp_path, resume=True) as made:
        assert made.earlier == 1
        await made.section("own")("b", again := Work(0.2))

    assert again.times == 1
    assert made.path.read_bytes() == whole


async def test_only_what_the_model_said_is_kept(tmp_path: Path) -> None:
    """A timeout is of a moment, a prompt too long of a setting: both are asked again."""
    failed = [Work(status=status) for status in ("timeout", "engine_error", "too_long")]
    said = [Work(status=status) for status in ("judged", "unparseable", "truncated", "contradictory")]
    for resume in (False, True):
        with opened(tmp_path, resume=resume) as made:
            for number, work in enumerate([*failed, *said]):
                await made.section("own")(str(number), work)

    assert [work.times for work in failed] == [2, 2, 2]
    assert [work.times for work in said] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "change, named",
    [
        ({"fingerprint": "other"}, "model or engine"),
        ({"split": "test", "seed": 2}, "--split, --seed"),
        ({"rows_digest": "other"}, "--data"),
        ({"sections": ["fairness"]}, "--only"),
        ({"in_flight": 7}, "max_num_seqs"),
        ({"version": "none"}, "version of rsafe"),
    ],
    ids=["model", "options", "data", "sections", "engine", "version"],
)
async def test_answers_of_another_run_are_refused(tmp_path: Path, change: dict[str, object], named: str) -> None:
    """It says what is another, and keeps the file."""
    with opened(tmp_path) as made:
        await made.section("own")("a", Work())
    before = made.path.read_bytes()

    other = Journal(tmp_path, resume=True)
    with pytest.raises(UsageError, match=rf"holds answers of a run with another {named}; give the same again"):
        other.begin(conditions(**change))
    other.close()

    assert made.path.read_bytes() == before


async def test_answers_are_never_dropped_unasked(tmp_path: Path) -> None:
    """Without --resume they are in the way; beside another process there is no way."""
    with opened(tmp_path) as made:
        await made.section("own")("a", Work())
        with pytest.raises(UsageError, match="another 'rsafe eval' writes to"):
            Journal(tmp_path, resume=True)
    with pytest.raises(UsageError, match=r"holds 1 answers of a run that was cut off; go on with it: --resume, or"):
        Journal(tmp_path, resume=False)
    with opened(tmp_path, resume=True) as made:
        assert made.earlier == 1


@pytest.mark.parametrize("line", [b"no answer\n", b'["\xff", {}]\n', b'["key", {"judgement": 1}]\n'])
async def test_a_damaged_file_is_one_line(tmp_path: Path, line: bytes) -> None:
    """Cause and cure, and before a model is loaded."""
    with opened(tmp_path) as made:
        await made.section("own")("a", Work())
    made.path.write_bytes(made.path.read_bytes() + line)

    with pytest.raises(UsageError, match=r"no file of answers that this version can read .* delete it to begin anew"):
        Journal(tmp_path, resume=True)
    with pytest.raises(UsageError, match="cannot be read and written"):
        Journal(tmp_path / "none", resume=True)


async def test_a_full_disk_stops_the_run_and_keeps_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half a line nothing more is written; with room again the run goes on."""
    with opened(tmp_path) as made:
        await made.section("own")("a", Work(0.1))
        monkeypatch.setattr(made, "_file", _Half(made._file))
        for key in "bc":
            with pytest.raises(TrainError, match=r"cannot be written \((no room|closed).*; make room, then go on with"):
                await made.section("own")(key, Work(0.2))

    with opened(tmp_path, resume=True) as made:
        assert made.earlier == 1


class _Half:
    """A file on a disk with room for three bytes."""

    def __init__(self, file: Any) -> None:
        """Look as the file does."""
        self._file = file

    def write(self, raw: bytes) -> int:
        """Write what there is room for."""
        return int(self._file.write(raw[:3]))

    def close(self) -> None:
        """Close it."""
        self._file.close()


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
    """Return a script whose label, reasoning and score depend on the prompt."""
    byte = hashlib.sha256(prompt.encode()).digest()[0]
    word = "unsafe" if byte > 127 else "safe"
    return Script(p_unsafe=byte / 256, answer=f"{word}}}", reasoning=f"{byte} of them; so {word}.")


async def run(folder: Path, out: Path, *, life: int, resume: bool) -> tuple[Evaluation | None, int, str]:
    """Evaluate on an engine of so long a life; return what was found, the calls that were made, the last word."""
    judge, engine = await probed(folder, varied, engine_type=MortalEngine)
    assert isinstance(engine, MortalEngine)
    engine.life = life
    found, data, said = None, made_data(), list[str]()
    try:
        with journal(out, resume=resume, say=said.append) as answers:
            answers.begin(conditions_of(judge, data, OPTIONS))
            found = await measure(judge, folder, data, OPTIONS, said.append, answers)
    except EngineDead:
        pass
    return found, len(engine.requests), said[-1]


def figures(found: Evaluation) -> bytes:
    """Return all that does not depend on the clock."""
    report = msgspec.structs.replace(found.report, cost={}, facts=None)
    answers = [msgspec.structs.replace(one, engine_ms=0.0) for one in found.answers]
    return msgspec.json.encode([report, answers])


async def test_a_run_cut_off_twice_comes_to_the_same(tmp_path: Path) -> None:
    """An engine that dies at a third and at two thirds of the calls, and the same figures at the end."""
    out = tmp_path / "out"
    out.mkdir()
    whole, calls, _ = await run(tmp_path, out, life=1_000_000, resume=False)
    assert whole is not None
    assert whole.report.forced.keys() >= {"own"}

    made = 0
    for resume in (False, True):
        found, more, said = await run(tmp_path, out, life=calls // 3, resume=resume)
        assert (found, said.startswith("cut off: ")) == (None, True)
        made += more
    found, rest, _ = await run(tmp_path, out, life=1_000_000, resume=True)

    assert found is not None
    assert figures(found) == figures(whole)
    assert found.report.facts.resumed > len(found.answers) // 3
    # What was in flight when it died is asked again, and a message takes up to three calls.
    assert calls <= made + rest <= calls + 2 * 3 * OPTIONS.in_flight
    assert not list(out.iterdir())
