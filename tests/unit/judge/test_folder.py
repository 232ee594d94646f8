"""Finding the model, and its fingerprint."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.support.fake_engine import FACTS
from tests.support.tiny_model import save_tokenizer
from worker.config import Settings
from worker.errors import ModelError
from worker.judge.build import build_judge, describe_model
from worker.judge.fingerprint import fingerprint
from worker.judge.folder import find_model, model_name, warn_of_demo
from worker.judge.judge import RsafeJudge
from worker.judge.scripted import ScriptedJudge
from worker.judge.template import load_template


def test_the_settings_folder_wins(tmp_path: Path) -> None:
    """A folder that is named is taken, whatever is shipped."""
    save_tokenizer(tmp_path / "mine")
    save_tokenizer(tmp_path / "shipped" / "rsafe-demo-1")

    assert find_model(Settings(model=str(tmp_path / "mine")), tmp_path / "shipped") == tmp_path / "mine"


def test_the_newest_shipped_model_is_the_default(tmp_path: Path) -> None:
    """Without a setting the last demonstration model is served."""
    for name in ("rsafe-demo-1", "rsafe-demo-2", "something-else"):
        save_tokenizer(tmp_path / name)

    assert find_model(Settings(), tmp_path).name == "rsafe-demo-2"


def test_no_model_at_all(tmp_path: Path) -> None:
    """The error says what to give."""
    with pytest.raises(ModelError, match="--model or RSAFE_MODEL"):
        find_model(Settings(), tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A wrong path is named."""
    with pytest.raises(ModelError, match="gone does not exist"):
        find_model(Settings(model=str(tmp_path / "gone")))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file(tmp_path: Path, name: str) -> None:
    """What is missing is named, before an engine is started."""
    save_tokenizer(tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(ModelError, match="lacks .*" + name.replace("model", "")):
        find_model(Settings(model=str(tmp_path)))


def test_a_broken_configuration(tmp_path: Path) -> None:
    """A configuration that is no JSON is named as well."""
    save_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")

    with pytest.raises(ModelError, match=r"config\.json is not JSON"):
        find_model(Settings(model=str(tmp_path)))


def test_serving_a_demonstration_model_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever serves one is told, also through a link; other models are served in silence."""
    (tmp_path / "rsafe-demo-1").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "rsafe-demo-1")
    with caplog.at_level(logging.WARNING):
        warn_of_demo(tmp_path / "rsafe-safe")
        warn_of_demo(tmp_path / "mine")

    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == ["rsafe-demo-1"]
    assert model_name(tmp_path / "mine") == "rsafe-demo-1"


def test_the_judge_of_the_settings(tmp_path: Path) -> None:
    """Scripted or real, as set; a real one without a model is refused before anything starts."""
    save_tokenizer(tmp_path)

    assert isinstance(build_judge(Settings(engine="scripted")), ScriptedJudge)
    assert isinstance(build_judge(Settings(model=str(tmp_path))), RsafeJudge)
    with pytest.raises(ModelError):
        build_judge(Settings(model=str(tmp_path / "gone")))


def test_a_model_in_words(tmp_path: Path) -> None:
    """The doctor's line names model, template and labels."""
    save_tokenizer(tmp_path / "tiny")

    line = describe_model(Settings(model=str(tmp_path / "tiny")))

    assert line.startswith("tiny at ")
    assert line.endswith("template rsafe-demo-1; safe and unsafe are one token each")


def test_the_fingerprint_knows_everything_that_changes_answers(tmp_path: Path) -> None:
    """Weights, tokenizer, template, engine and budget: each changes it; a note beside them does not."""
    save_tokenizer(tmp_path)
    template = load_template(tmp_path)
    first = fingerprint(tmp_path, template, FACTS, 48)

    (tmp_path / "README.md").write_text("a note", encoding="utf-8")
    assert fingerprint(tmp_path, template, FACTS, 48) == first

    assert len({first, fingerprint(tmp_path, template, FACTS, 49)}) == 2
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert fingerprint(tmp_path, template, FACTS, 48) != first
