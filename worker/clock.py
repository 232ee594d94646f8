"""The time of day, from one place: what is stamped on records. Intervals are measured by ``time.monotonic``.

The time of day may jump, so nothing may be decided by it. Tests let ``time.time`` jump to prove that.
"""

from __future__ import annotations

import datetime as dt
import time


def utc_now() -> dt.datetime:
    """Return the time of day in UTC."""
    return dt.datetime.fromtimestamp(time.time(), dt.UTC)
