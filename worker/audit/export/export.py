"""``rsafe audit export``: the verdicts that stand, as JSON Lines, as Parquet, or as statements of reasons.

One record is in memory at a time (Parquet: one row group). A file gets its name when it is whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol

from msgspec import Struct

from worker import kafka
from worker.audit.explain.find import Finder
from worker.audit.export.parquet import ParquetSink
from worker.audit.export.statement import Unstated, Wish, Wordings, state
from worker.audit.standing import Progress, Standing, Wanted, standing
from worker.config import Settings
from worker.errors import UsageError
from worker.records import Verdict, encode

Format = Literal["jsonl", "parquet", "dsa"]
#: Put after the name of a file of statements for the list of what cannot be stated.
LEFT_OUT_SUFFIX: Final = ".left-out.jsonl"
_UNFINISHED_SUFFIX: Final = ".part"


class Reason(Struct, frozen=True, kw_only=True):
    """Why verdicts of one category of one tenant cannot be stated, and how many they are."""

    tenant_id: str
    category: str | None
    reason: str
    count: int


class ExportReport(Struct, frozen=True, kw_only=True):
    """What ``rsafe audit export --json`` prints.

    Attributes:
        format: of the file.
        file: where it is.
        exported: records in it.
        tenants: how many of these are of each tenant.
        unrestricted: verdicts without a statement because they restrict nothing (``dsa`` only).
        left_out: what restricts a message and cannot be stated, by reason (``dsa`` only).
        left_out_file: one line for each of these (``dsa`` only).

    """

    format: Format
    file: str
    exported: int
    tenants: dict[str, int]
    unrestricted: int = 0
    left_out: tuple[Reason, ...] = ()
    left_out_file: str | None = None


class _Sink(Protocol):
    def take(self, found: Standing) -> bool:
        """Take a verdict; tell whether it is in the file now."""


class _Verdicts:
    """Writes verdicts as they are; fields that are not a verdict's never get this far."""

    def __init__(self, add: Any) -> None:
        self._add = add

    def take(self, found: Standing) -> bool:
        self._add(found.verdict)
        return True


class _Statements:
    """Writes statements, and beside them what cannot be stated."""

    def __init__(self, file: BinaryIO, left_out: BinaryIO, wordings: Wordings, wish: Wish) -> None:
        self._file = file
        self._left_out = left_out
        self._wordings = wordings
        self._wish = wish
        self.unrestricted = 0
        self.reasons: Counter[tuple[str, str | None, str]] = Counter()

    def take(self, found: Standing) -> bool:
        made = state(found.verdict, found.record.timestamp, self._wordings, self._wish)
        if made is None:
            self.unrestricted += 1
            return False
        if isinstance(made, Unstated):
            self.reasons[made.tenant_id, made.category, made.reason] += 1
            _line(self._left_out, made)
            return False
        _line(self._file, made)
        return True


async def export(
    settings: Settings,
    wanted: Wanted,
    form: Format,
    out: Path,
    wish: Wish | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write the verdicts that stand to a file.

    Args:
        settings: addresses and prefix.
        wanted: which verdicts, by their messages' time and tenant.
        form: how to write them.
        out: the file; one of that name is replaced once the new one is whole.
        wish: what to say in all statements; for ``dsa`` only.
        progress: told of records.

    Raises:
        UsageError: the file cannot be written.
        BrokerAway: Kafka stopped answering.
        TopicMissing: a topic does not exist.

    """
    async with kafka.reader(settings) as consumer:
        entries = await Finder(consumer, settings).history() if form == "dsa" else []
        with ExitStack() as files:
            sink = _sink(files, form, out, Wordings(entries), wish or Wish())
            tenants: Counter[str] = Counter()
            async for found in standing(settings, consumer, wanted, progress):
                if sink.take(found):
                    tenants[found.verdict.tenant_id] += 1
    return _report(form, out, tenants, sink)


def _sink(files: ExitStack, form: Format, out: Path, wordings: Wordings, wish: Wish) -> _Sink:
    path = files.enter_context(_whole(out))
    if form == "parquet":
        parquet = ParquetSink(path, Verdict)
        files.callback(parquet.close)
        return _Verdicts(parquet.add)
    file = files.enter_context(path.open("wb"))
    if form == "jsonl":
        return _Verdicts(lambda verdict: _line(file, verdict))
    other = files.enter_context(_whole(_beside(out)))
    return _Statements(file, files.enter_context(other.open("wb")), wordings, wish)


def _report(form: Format, out: Path, tenants: Mapping[str, int], sink: _Sink) -> ExportReport:
    report = ExportReport(
        format=form, file=str(out), exported=sum(tenants.values()), tenants=dict(sorted(tenants.items()))
    )
    if not isinstance(sink, _Statements):
        return report
    reasons = (
        Reason(tenant_id=tenant_id, category=category, reason=reason, count=count)
        for (tenant_id, category, reason), count in sink.reasons.most_common()
    )
    return ExportReport(
        format=form,
        file=report.file,
        exported=report.exported,
        tenants=report.tenants,
        unrestricted=sink.unrestricted,
        left_out=tuple(reasons),
        left_out_file=str(_beside(out)),
    )


def _beside(out: Path) -> Path:
    return out.with_name(out.name + LEFT_OUT_SUFFIX)


def _line(file: BinaryIO, record: Struct) -> None:
    file.write(encode(record) + b"\n")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Lend a path that becomes ``out`` if all goes well, and is taken away if not.

    Raises:
        UsageError: it cannot be written.

    """
    unfinished = out.with_name(out.name + _UNFINISHED_SUFFIX)
    try:
        unfinished.touch()
        yield unfinished
        unfinished.replace(out)
    except OSError as error:
        text = f"{out} cannot be written ({error.strerror}); give a file in a folder that exists"
        raise UsageError(text) from error
    finally:
        unfinished.unlink(missing_ok=True)
