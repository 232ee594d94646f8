"""The schemas and the types agree, in both directions."""

from __future__ import annotations

import json
from typing import Final

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from tests.support.record_strategies import records
from worker.errors import DecodeError
from worker.records import decode, encode
from worker.schemas.json_schema import RECORDS, schema

VALIDATORS: Final = {name: jsonschema.Draft202012Validator(schema(name)) for name in RECORDS}
#: Values that are wrong in most fields and right in some.
ODD_VALUES: Final = st.sampled_from([None, True, 0, -1, 0.5, 2**53, "", "x", "x\n", "a b", [], {}, [1], {"a": None}])


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_encoded_records_fit_their_schema(name: str, data: st.DataObject) -> None:
    """Whatever a record's type allows, its encoded form is valid under the schema."""
    record: Struct = data.draw(records(RECORDS[name]))

    VALIDATORS[name].validate(json.loads(encode(record)))


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_broken_field_is_seen_by_both_or_by_neither(name: str, data: st.DataObject) -> None:
    """A field is replaced or removed: where decoding refuses, so does the schema, and the other way round."""
    plain = json.loads(encode(data.draw(records(RECORDS[name]))))
    field = data.draw(st.sampled_from(sorted(plain)))
    if data.draw(st.booleans()):
        plain[field] = data.draw(ODD_VALUES)
    else:
        del plain[field]

    valid = VALIDATORS[name].is_valid(plain)
    decoded = _decodes(name, plain)

    # Promises about our own outputs are kept by the worker and not asked for when reading them back.
    promise_only = name in {"verdict", "trace", "policy-history", "policy-applied"} and decoded
    assert valid == decoded or promise_only


def _decodes(name: str, plain: object) -> bool:
    try:
        decode(json.dumps(plain).encode(), RECORDS[name], DecodeError)
    except DecodeError:
        return False
    return True
