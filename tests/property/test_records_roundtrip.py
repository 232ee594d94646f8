"""Records survive the way over Kafka."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.record_strategies import records
from worker.errors import DecodeError
from worker.records import canonical_json, decode, encode
from worker.schemas.json_schema import RECORDS


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_decode_undoes_encode(name: str, data: st.DataObject) -> None:
    """Decoding an encoded record gives an equal record."""
    record = data.draw(records(RECORDS[name]))

    assert decode(encode(record), RECORDS[name], DecodeError) == record


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_canonical_json_forgets_order(name: str, data: st.DataObject) -> None:
    """A record and its plain form with keys the other way round have the same canonical bytes."""
    record = data.draw(records(RECORDS[name]))
    plain = msgspec.json.decode(encode(record))
    backwards = dict(reversed(plain.items()))

    assert canonical_json(record) == canonical_json(backwards)
