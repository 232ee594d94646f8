"""Records into a Parquet file, row group by row group. The one place that knows pyarrow's writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

#: Rows of a row group: what is in memory at one time.
_GROUP_ROWS: Final = 10_000


class ParquetSink:
    """A file of records of one type; every field is a column, objects are structs, what is left out is null."""

    def __init__(self, path: Path, kind: type[Struct]) -> None:
        """Open the file.

        Raises:
            OSError: it cannot be written.

        """
        from pyarrow import parquet  # noqa: PLC0415  (heavy, and only this format needs it)

        self._schema = arrow_schema(kind)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Any] = []

    def add(self, record: Struct) -> None:
        """Write a record, at the latest when its group is full."""
        self._rows.append(msgspec.to_builtins(record))
        if len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left and end the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa  # noqa: PLC0415  (as above)

        self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def arrow_schema(kind: type[Struct]) -> Any:
    """Return the pyarrow schema of a record type.

    Raises:
        TypeError: a field has a type that no column has.

    """
    import pyarrow as pa  # noqa: PLC0415  (as above)

    return pa.schema(_fields(inspect.type_info(kind), pa))


def _fields(found: inspect.Type, pa: Any) -> list[Any]:
    assert isinstance(found, inspect.StructType)
    return [pa.field(field.encode_name, *_column(field.type, pa, required=field.required)) for field in found.fields]


def _column(found: inspect.Type, pa: Any, *, required: bool) -> tuple[Any, bool]:
    """Return a field's type and whether it may be null."""
    if isinstance(found, inspect.UnionType):
        (one,) = (each for each in found.types if not isinstance(each, inspect.NoneType))
        return _arrow(one, pa), True
    return _arrow(found, pa), not required


def _arrow(found: inspect.Type, pa: Any) -> Any:
    if isinstance(found, inspect.StructType):
        return pa.struct(_fields(found, pa))
    if isinstance(found, inspect.VarTupleType):
        return pa.list_(_arrow(found.item_type, pa))
    plain = {
        inspect.StrType: pa.string,
        inspect.LiteralType: pa.string,
        inspect.IntType: pa.int64,
        inspect.FloatType: pa.float64,
        inspect.BoolType: pa.bool_,
    }
    if type(found) not in plain:
        text = f"no column for {type(found).__name__}"
        raise TypeError(text)
    return plain[type(found)]()
