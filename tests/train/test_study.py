"""The study end to end within a minute: made-up rows, two arms, one seed; stopped and gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import pytest
import torch

from tests.support.study_rows import made_result, study_rows, tiny_study
from worker.errors import TrainError
from worker.train.model import checkpoint
from worker.train.rl import grpo
from worker.train.rl.runs import CHECKPOINTS
from worker.train.study import made_by, results, rows
from worker.train.study.plan import SETTINGS, Arm
from worker.train.study.run import Place, Runner
from worker.train.study.supervise import EARLY_DIR, Stop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

STUDY: Final = tiny_study()


class Steps:
    """A clock that is up after so many looks at it."""

    def __init__(self, count: int) -> None:
        """Start it."""
        self.left = count

    def __call__(self) -> bool:
        """Look at it."""
        self.left -= 1
        return self.left < 0


def _runner(folder: Path, stop: Stop = lambda: False) -> Runner:
    folder.mkdir(parents=True, exist_ok=True)
    if rows.load(folder, STUDY) is None:
        rows.save(rows.make_prepared(study_rows(), STUDY), folder)
    return Runner(Place(out=folder, data=folder, results=folder / "results"), lambda _: None, stop, STUDY)


def _weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = checkpoint.load(folder)["model"]
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A study of two arms that nobody stopped."""
    runner = _runner(tmp_path_factory.mktemp("study"))
    assert runner.run(("label", "rl_reasoning"), (1,))
    return runner


def test_every_arm_leaves_its_answers(whole: Runner) -> None:
    """Each result answers the same questions in every setting; reinforced updates come on top of the early ones."""
    found = results.read_all(whole.place.results, STUDY)

    assert {("label", 1), ("rl_reasoning", 1)} == set(found)
    for one in found.values():
        assert set(range(len(SETTINGS))) == set(one.columns.setting)
        assert len(set(one.columns.log_odds)) > len(one.columns.log_odds) / 2
        assert made_by.code_digest() == one.code
        assert set(one.columns.said) <= {-1, 0, 1}
    early = checkpoint.load(whole.folder("reasoning", 1) / EARLY_DIR)["progress"]["step"]
    assert 0 < early
    assert early + STUDY.updates == found["rl_reasoning", 1].steps


def test_arms_start_from_one_decoder(whole: Runner) -> None:
    """Both arms are of one warm-up, from which both have moved."""
    warm = _weights(whole.folder("warmup", 1))
    moved = [_weights(whole.folder(arm, 1)) for arm in ("label", "rl_reasoning")]

    assert all(warm.keys() == one.keys() for one in moved)
    assert all(any(not torch.equal(one[name], warm[name]) for name in warm) for one in moved)
    assert "trained" in {path.name for path in whole.folder("warmup", 1).iterdir()}


def test_what_is_done_is_not_done_again(whole: Runner) -> None:
    """A finished model is skipped, and an arm that others started from is only begun."""
    before = results.file_of(whole.place.results, "label", 1).stat().st_mtime_ns

    assert _runner(whole.place.out).run(("label",), (1,))
    assert before == results.file_of(whole.place.results, "label", 1).stat().st_mtime_ns
    states: dict[Arm, str] = {"label": "done", "rl_reasoning": "done", "reasoning": "begun", "rl_label": "not begun"}
    assert states == {arm: whole.status(arm, 1) for arm in states}


@pytest.mark.parametrize(
    "change, shown, refused",
    [
        ({"study": "0"}, "other settings", "other settings"),
        ({"columns": None}, "not a result", "not a result"),
        ({"code": "0"}, "done", "other code.*check out the commit"),
    ],
)
def test_a_result_that_cannot_be_used_is_not_done(
    tmp_path: Path, change: dict[str, Any], shown: str, refused: str
) -> None:
    """The list says why; a run stops at it before it trains anything, and not even rows are made."""
    runner = Runner(Place(out=tmp_path / "out", data=tmp_path, results=tmp_path), lambda _: None, study=STUDY)
    results.write(tmp_path, msgspec.structs.replace(made_result("rl_label", 1, STUDY, rate=0.7), **change))

    assert shown in runner.status("rl_label", 1)
    with pytest.raises(TrainError, match=refused):
        runner.run(("label", "rl_label"), (1,))
    assert not (tmp_path / "out").exists()


def test_a_stopped_run_goes_on_as_if_it_had_not_been(whole: Runner, tmp_path: Path) -> None:
    """Stopped every few batches, warm-up and arm end with the very weights of the run that went through."""
    ends = [_runner(tmp_path, Steps(5)).run(("label",), (1,)) for _ in range(12)]
    stopped = _weights(tmp_path / "label-1")

    assert [False, False, True] == [ends[0], ends[1], ends[-1]]
    for name, weight in _weights(whole.folder("label", 1)).items():
        assert torch.equal(weight, stopped[name])
    assert (
        results.read_all(tmp_path / "results", STUDY)["label", 1].columns
        == results.read_all(whole.place.results, STUDY)["label", 1].columns
    )


def test_the_early_state_is_a_mean_that_stops_do_not_change(whole: Runner, tmp_path: Path) -> None:
    """It is none of the states that it is the mean of, and the same for a run that was stopped among them."""
    shutil.copytree(whole.folder("warmup", 1), tmp_path / "warmup-1")
    while not _runner(tmp_path, Steps(3))._early("reasoning", 1):
        assert not (tmp_path / "reasoning-1" / EARLY_DIR).is_dir()
    mean, last = _weights(tmp_path / "reasoning-1" / EARLY_DIR), _weights(tmp_path / "reasoning-1")

    assert any(not torch.equal(weight, last[name]) for name, weight in mean.items())
    for name, weight in _weights(whole.folder("reasoning", 1) / EARLY_DIR).items():
        assert torch.equal(weight, mean[name])
    assert {EARLY_DIR, "checkpoint.pt", "tokenizer.raw.json"} == {
        path.name for path in (tmp_path / "reasoning-1").iterdir()
    }


def test_reinforced_updates_go_on_too(whole: Runner, tmp_path: Path) -> None:
    """Stopped between two chunks and after one whose weights were not written, it takes no update twice."""
    runner = _runner(whole.place.out, Steps(1))
    arm = runner._reinforced("rl_reasoning", 1)
    parts = type(arm)(**{name: getattr(arm, name) for name in arm.__struct_fields__} | {"folder": tmp_path})

    assert not parts.go(Steps(1), lambda _: None)
    assert STUDY.update_chunk == parts.done()
    (tmp_path / CHECKPOINTS / "checkpoint-99").mkdir()
    assert parts.go(lambda: False, lambda _: None)
    assert STUDY.updates == parts.done()
    log = [orjson.loads(line) for line in (tmp_path / grpo.LOG_FILE).read_bytes().splitlines()]
    assert STUDY.updates == len([entry for entry in log if entry["part"] == "train"])
    dev = [entry for entry in log if entry["part"] == "dev"]
    assert [2, 4] == [entry["step"] for entry in dev]
    assert all({"accuracy", "false_positives", "false_negatives"} <= set(entry) for entry in dev)


def test_a_folder_of_another_study_is_refused(whole: Runner) -> None:
    """Runs of other settings never mix."""
    other = Runner(whole.place, lambda _: None, study=tiny_study(updates=5))

    with pytest.raises(TrainError, match="other settings"):
        other.run(("rl_label",), (1,))
