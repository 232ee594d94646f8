"""The one header of a message that its outcomes carry on: W3C Trace Context, and no other text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HEADER: Final = "traceparent"
#: version, trace-id, parent-id, trace-flags: https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_SHAPE: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def passed_on(headers: Iterable[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
    """Return the first ``traceparent`` of a record, or nothing where it is none.

    A sender may write there what it likes; only hexadecimal digits get into other topics.
    """
    found = next((value for name, value in headers if name == HEADER), None)
    return [(HEADER, found)] if found is not None and _SHAPE.fullmatch(found) else []
