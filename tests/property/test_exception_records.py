"""Any bytes at all are an exception or are refused, and the refusal holds nothing of the record."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.test_decode_never_crashes import JSON_VALUES, PLANTED, PLANTS
from tests.support.excepting import NOW_MS, at, incoming, plain
from worker.errors import ExceptionInvalid
from worker.exceptions.accept import DELAY_MS, MAX_DAYS, Accepted, Incoming, accept
from worker.exceptions.records import ExceptionRecord

WHOLE: Final[dict[str, Any]] = {
    **plain(author_id="u1", channel_id="c", categories=["A"], fingerprint="0" * 8 + ":" + "a" * 64),
    "expires_at": at(NOW_MS + 3_600_000),
}
FIELDS: Final = st.sampled_from(ExceptionRecord.__struct_fields__)
NAMES_PLANTED: Final = st.sampled_from([PLANTED, f" - at `$.{PLANTED}`", f"x` - at `$.{PLANTED}", f"{PLANTED} \ud800"])


def outcome(record: Incoming) -> Accepted | ExceptionInvalid:
    """Return the exception, or why it is none."""
    try:
        return accept(record, "0" * 8)
    except ExceptionInvalid as error:
        return error


@given(st.binary(max_size=200))
def test_any_bytes_have_an_outcome(raw: bytes) -> None:
    """No bytes raise anything else."""
    assert isinstance(outcome(incoming(raw)), ExceptionInvalid)


@given(field=FIELDS, value=JSON_VALUES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_field_may_hold_anything(field: str, value: object) -> None:
    """What is accepted ends within its bounds, whatever one field holds."""
    found = outcome(incoming(json.dumps({**WHOLE, field: value}).encode()))

    assert isinstance(found, ExceptionInvalid) or (
        NOW_MS + DELAY_MS < found.until_ms <= NOW_MS + MAX_DAYS * 86_400_000 and found.record.owner.strip()
    )


@given(field=FIELDS | NAMES_PLANTED, plant=PLANTS)
def test_refusals_hold_no_value(field: str, plant: object) -> None:
    """A refusal travels to dead-letters and logs: no part of a field or of a strange name appears in it."""
    found = outcome(incoming(json.dumps({**WHOLE, field: plant}).encode()))

    assert isinstance(found, Accepted) or PLANTED not in f"{found} {found.field} {found.expected} {found.__cause__}"
