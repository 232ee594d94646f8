"""Settings: later sources win, a bad value is named with its key and type, and every setting is described."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from worker import config
from worker.config import Settings, describe, field_names
from worker.config_load import load
from worker.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    """Write a settings file."""
    path = folder / "rsafe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_hold_where_nothing_is_said() -> None:
    """Without file, environment and flags the settings are the defaults."""
    assert load(environ={}) == Settings()


@pytest.mark.parametrize(
    "environ, flags, expected",
    [
        ({}, {}, "file"),
        ({"RSAFE_GROUP_ID": "environment"}, {}, "environment"),
        ({}, {"group_id": "flag"}, "flag"),
        ({"RSAFE_GROUP_ID": "environment"}, {"group_id": "flag"}, "flag"),
        ({"RSAFE_GROUP_ID": "environment"}, {"group_id": None}, "environment"),
    ],
    ids=["file alone", "environment over file", "flag over file", "flag over both", "a flag that was not given"],
)
def test_later_sources_win(tmp_path: Path, environ: dict[str, str], flags: dict[str, Any], expected: str) -> None:
    """File, environment and flags win in rising order; what one leaves out another may say."""
    file = write(tmp_path, 'group_id = "file"\nweb_port = 7000\n')

    settings = load(file=file, environ=environ, flags=flags)

    assert (settings.group_id, settings.web_port) == (expected, 7000)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables count when nobody hands in another environment."""
    monkeypatch.setattr(os, "environ", {"RSAFE_TOPIC_PREFIX": "other."})

    assert load().topic("messages") == "other.messages"


def test_texts_become_numbers() -> None:
    """Variables are texts and become the setting's type."""
    settings = load(environ={"RSAFE_WEB_PORT": "0", "RSAFE_REQUEST_TIMEOUT_S": "2.5", "RSAFE_MAX_NUM_SEQS": "64"})

    assert (settings.web_port, settings.request_timeout_s, settings.max_num_seqs) == (0, 2.5, 64)


def test_foreign_variables_are_left_alone() -> None:
    """Variables that name no setting are somebody else's, also with our prefix."""
    assert load(environ={"RSAFE_TEST_BOOTSTRAP": "x", "GROUP_ID": "y", "rsafe_group_id": "z"}) == Settings()


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("web_port", "many", "int"),
        ("web_port", "70000", "65535"),
        ("max_num_seqs", "0", ">= 1"),
        ("request_timeout_s", "-1", "> 0"),
        ("request_timeout_s", "nan", "> 0"),
        ("engine", "magic", "enum"),
        ("compression", "rar", "enum"),
        ("group_id", "", "length >= 1"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, expected: str) -> None:
    """The error names the setting, the value and what was expected, and where to see all settings."""
    with pytest.raises(ConfigError) as caught:
        load(environ={f"RSAFE_{name.upper()}": value})

    text = str(caught.value)
    assert text.startswith(f"{name} = {value!r}: ")
    assert expected in text
    assert "rsafe doctor" in text


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    """A name in the file that is no setting is refused: a typing error must not be silent."""
    with pytest.raises(ConfigError, match="unknown setting 'grup_id'"):
        load(file=write(tmp_path, 'grup_id = "x"\n'), environ={})


@pytest.mark.parametrize("text", ["group_id = ", "= 1", "\ufeff\x00"], ids=["no value", "no name", "no text"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    path = write(tmp_path, text)

    with pytest.raises(ConfigError, match="is not TOML") as caught:
        load(file=path, environ={})

    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the file and the flag that named it."""
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read .*--config"):
        load(file=tmp_path / "missing.toml", environ={})


def test_settings_cannot_be_changed() -> None:
    """Settings are read once."""
    with pytest.raises(AttributeError):
        Settings().web_port = 1  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    """Each setting has its row: name, default and one sentence, each once."""
    rows = describe()

    assert [name for name, _, _ in rows] == list(field_names())
    assert [default for _, default, _ in rows] == [str(getattr(Settings(), name)) for name in field_names()]
    assert all(text.endswith(".") for _, _, text in rows)
    assert len({text for _, _, text in rows}) == len(rows)


def test_the_names_that_others_rely_on() -> None:
    """Variables that are promised exist, with their promised defaults."""
    names = {config.ENV_PREFIX + name.upper() for name in field_names()}

    assert names >= {
        "RSAFE_BOOTSTRAP_SERVERS",
        "RSAFE_GROUP_ID",
        "RSAFE_TOPIC_PREFIX",
        "RSAFE_MODEL",
        "RSAFE_ENGINE",
        "RSAFE_WEB_PORT",
    }
    assert (Settings().topic_prefix, Settings().engine) == ("moderation.", "vllm")


@pytest.mark.parametrize(
    "window, seqs, expected", [(0, 32, 48), (0, 1, 1), (7, 32, 7)], ids=["1.5 times", "at least one", "as set"]
)
def test_the_window(window: int, seqs: int, expected: int) -> None:
    """Unless set, the window is one and a half times what the engine runs at once."""
    assert Settings(window=window, max_num_seqs=seqs).in_flight == expected


def test_an_instance_has_a_name() -> None:
    """Without a name of its own a worker is named after its host and process."""
    assert Settings(instance_id="w-1").instance == "w-1"
    assert Settings().instance.endswith(f"-{os.getpid()}")


def test_one_tenant_may_not_stop_intake_for_all() -> None:
    """Its own bound on deferred messages is reached long before that of all tenants, by default and when set."""
    assert 2 * Settings().tenant_deferred_messages <= Settings().deferred_messages
    load(environ={}, flags={"tenant_deferred_messages": 100, "deferred_messages": 200})
    with pytest.raises(ConfigError, match="raise deferred_messages"):
        load(environ={}, flags={"tenant_deferred_messages": 101, "deferred_messages": 200})
