"""Records in Parquet: the schema comes from the type, and rows go out in groups."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from msgspec import Struct, structs
from pyarrow import parquet

from tests.support.verdicts import policy_part, some_verdict
from worker.audit.export import parquet as own
from worker.audit.export.parquet import ParquetSink, arrow_schema
from worker.records import Span, Verdict, encode


def test_every_field_of_a_verdict_is_a_column() -> None:
    """Required fields are never null, those that may be null or left out may be."""
    schema = arrow_schema(Verdict)

    assert schema.names == list(Verdict.__struct_fields__)
    assert not schema.field("verdict_id").nullable
    assert schema.field("score").type == pa.float64()
    assert schema.field("label").nullable
    assert schema.field("supersedes").nullable
    assert schema.field("source").type.field("timestamp").type == pa.int64()


def test_rows_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are written as they fill; what was left out is null."""
    monkeypatch.setattr(own, "_GROUP_ROWS", 4)
    plain = some_verdict(policy_part("platform", 1))
    records = [
        structs.replace(plain, message_id=f"m{n}", spans=(Span(start=0, end=n),) if n % 2 else msgspec.UNSET)
        for n in range(10)
    ]
    sink = ParquetSink(tmp_path / "v.parquet", Verdict)
    for record in records:
        sink.add(record)
    sink.close()

    file = parquet.ParquetFile(tmp_path / "v.parquet")

    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 2]
    rows = file.read().to_pylist()
    for row, record in zip(rows, records, strict=True):
        assert {name: row[name] for name in row if row[name] is not None} == {
            name: value for name, value in msgspec.json.decode(encode(record)).items() if value is not None
        }


def test_an_empty_file_has_its_schema(tmp_path: Path) -> None:
    """Nothing to export is no error."""
    ParquetSink(tmp_path / "v.parquet", Verdict).close()

    assert parquet.read_table(tmp_path / "v.parquet").num_rows == 0


def test_a_type_without_a_column_is_refused() -> None:
    """A record that grows such a field is noticed by a test and not by a user."""

    class Odd(Struct):
        fields: dict[str, str]

    with pytest.raises(TypeError, match="DictType"):
        arrow_schema(Odd)
