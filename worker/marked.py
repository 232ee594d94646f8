"""Tables that code writes into a page, between two marks. Pure."""

from __future__ import annotations

import re
import textwrap

from worker.errors import UsageError


def insert(page: str, table: str, mark: str = "bench") -> str:
    """Return a page with ``table`` between its two marks, as far in as they stand.

    Raises:
        UsageError: it has no such marks.

    """
    marks = re.compile(rf"( *)(<!-- {mark} -->\n).*?( *<!-- /{mark} -->)", re.DOTALL)
    text, found = marks.subn(lambda match: match[1] + match[2] + textwrap.indent(table, match[1]) + match[3], page)
    if not found:
        problem = f"the file has no lines '<!-- {mark} -->' and '<!-- /{mark} -->'; add them where the table belongs"
        raise UsageError(problem)
    return text
