"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from worker.config import Settings
from worker.config_load import load
from worker.errors import UsageError

Config = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; RSAFE_* variables and flags win over it.")
]
Bootstrap = Annotated[str | None, typer.Option("--bootstrap-servers", help="Kafka addresses, host:port[,host:port].")]
Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="What stands before every topic's name.")]
Model = Annotated[str | None, typer.Option("--model", help="Folder of the model; the small demo model by default.")]
Engine = Annotated[str | None, typer.Option("--engine", help="'vllm', or 'scripted' for tests of the data plane.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be given many times.")
]


def settings_from(config: Path | None, extra: list[str] | None, **flags: Any) -> Settings:
    """Merge file, environment and flags into settings.

    Raises:
        UsageError: ``--set`` without an equals sign.
        ConfigError: a value that cannot be used.

    """
    pairs: dict[str, Any] = {}
    for item in extra or []:
        name, equals, value = item.partition("=")
        if not equals:
            text = f"--set {item!r} is not NAME=VALUE; for example --set max_num_seqs=64"
            raise UsageError(text)
        pairs[name] = value
    return load(file=config, flags={**pairs, **{key: value for key, value in flags.items() if value is not None}})
