"""The form in which ``rsafe doctor`` says what it looked at."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Result = Literal["ok", "warning", "failed"]


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    result: Result
    detail: str
