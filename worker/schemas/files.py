"""The generated files of ``schemas/``, by name."""

from __future__ import annotations

import json
from pathlib import Path

from worker.schemas import asyncapi, json_schema


def render() -> dict[str, str]:
    """Return the text of every generated file by its name."""
    schemas = {
        name + json_schema.SUFFIX: json.dumps(json_schema.schema(name), indent=2, ensure_ascii=False) + "\n"
        for name in json_schema.RECORDS
    }
    return {**schemas, "asyncapi.yaml": asyncapi.render()}


def write(folder: Path) -> None:
    """Write every generated file."""
    for name, text in render().items():
        (folder / name).write_text(text, encoding="utf-8")
