"""Settings are read once, from a TOML file, ``RSAFE_*`` variables and flags, then frozen.

Later sources win: file, environment, flags. A value that cannot be used names its key, itself and
the type that was expected.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from worker.config import ENV_PREFIX, Settings, field_names, secret_names
from worker.config_checks import deferral_trouble, erasure_trouble, ladder_trouble, login_trouble
from worker.decoding import read_toml
from worker.errors import ConfigError
from worker.secret import Secret


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Merge the sources into settings.

    Args:
        file: a TOML file of ``name = value`` lines, or none.
        environ: the environment (the process's own by default).
        flags: values from the command line; those that are None were not given.

    Raises:
        ConfigError: a value or a name that cannot be used.

    """
    merged: dict[str, Any] = _from_file(file) if file else {}
    merged |= _from_env(os.environ if environ is None else environ)
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    _refuse_secrets(given)
    merged |= given
    unknown = sorted(set(merged) - set(field_names()))
    if unknown:
        text = f"unknown setting {unknown[0]!r}; 'rsafe doctor' lists them all"
        raise ConfigError(text)
    try:
        settings = msgspec.convert(merged, Settings, strict=False, dec_hook=_decoded)
    except UnicodeEncodeError:
        text = f"{_no_text(merged)} is not UTF-8 text; write it in that encoding"
        raise ConfigError(text) from None
    except msgspec.ValidationError as error:
        text = f"{_name_value(str(error), merged)}: {error}; 'rsafe doctor' shows every setting"
        raise ConfigError(text) from None
    checks = (login_trouble, ladder_trouble, deferral_trouble, erasure_trouble)
    if wrong := next(filter(None, (check(settings) for check in checks)), None):
        raise ConfigError(wrong)
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path.read_bytes())
    except OSError as error:
        text = f"settings file {path} cannot be read ({error.strerror}); check --config"
        raise ConfigError(text) from None
    except ValueError as error:
        text = f"settings file {path} is not TOML: {error}"
        raise ConfigError(text) from None


def _from_env(environ: Mapping[str, str]) -> dict[str, Any]:
    names = {ENV_PREFIX + name.upper(): name for name in field_names()}
    return {names[key]: value for key, value in environ.items() if key in names}


def _refuse_secrets(flags: Mapping[str, Any]) -> None:
    """Refuse secrets on the command line, where every process of the machine can read them."""
    if found := sorted(secret_names() & flags.keys()):
        text = (
            f"{found[0]} cannot be a flag, which others can read; set {ENV_PREFIX}{found[0].upper()} or {found[0]}_file"
        )
        raise ConfigError(text)


def _decoded(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    text = "Expected `str`"
    raise ValueError(text)


def _no_text(merged: Mapping[str, Any]) -> str:
    """Find the setting whose value came as bytes that are no text."""
    broken = (name for name, value in merged.items() if isinstance(value, str) and not _is_text(value))
    return next(broken, "settings")


def _is_text(value: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in value)


def _name_value(text: str, merged: Mapping[str, Any]) -> str:
    """Find which setting an error text is about."""
    name = next((key for key in merged if f"$.{key}`" in text), "settings")
    if name not in merged or name in secret_names():
        return name
    return f"{name} = {merged[name]!r}"
