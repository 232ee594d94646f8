"""Each limit names things that exist, and whatever can grow in a worker has one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.holders import holders
from worker.config import field_names
from worker.metrics import CATALOGUE
from worker.schemas.limits import LIMITS, Limit
from worker.stream.work import held_bytes

ROOT = Path(__file__).resolve().parents[2]


def test_everything_that_can_grow_has_a_limit() -> None:
    """The containers that objects of a worker begin with are those of the table, each in one line."""
    named = Counter(name for one in LIMITS for name in one.holders)

    assert set(named) == holders()
    assert max(named.values()) == 1


@pytest.mark.parametrize("limit", LIMITS, ids=lambda one: one.what)
def test_a_limit_names_what_exists(limit: Limit) -> None:
    """Its metric is in the catalogue, and every setting that it mentions is one."""
    mentioned = {limit.bound} if re.fullmatch(r"[a-z]+(_[a-z]+)+", limit.bound) else set()
    mentioned |= set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", limit.bound + limit.then))

    assert limit.metric in {"", *(spec.name for spec in CATALOGUE)}
    assert mentioned <= {*field_names(), "too_long"}


def test_every_label_of_the_counter_is_explained() -> None:
    """The page names each limit that ``rsafe_limits_reached`` counts, and no other."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "worker").rglob("*.py"))
    counted = set(re.findall(r'limits_reached\.labels\("(\w+)"\)', sources)) | {"buffer", "lookahead"}
    page = (ROOT / "worker" / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"counts by limit \(([^)]*)\)", page)

    assert set(re.findall(r"`(\w+)`", said)) == counted


def test_headers_count_as_memory() -> None:
    """A record of nothing but headers is as large as it is: two bytes on the wire are an object here."""
    from tests.fuzz.target import record  # noqa: PLC0415

    few, many = (held_bytes(record(b"", headers=[("", None)] * count)) for count in (1, 100_000))

    assert many - few > 100 * 99_999
