"""Targets for files and words that people give: policies, packs, labels, settings, seals, lines to send, arguments."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.fuzz import seeds
from tests.fuzz.target import Target, as_file, joined, parts, text
from worker import credentials
from worker.audit import retract, span
from worker.audit.export import parquet
from worker.audit.replay import report
from worker.audit.verify import seals
from worker.audit.verify.merkle import Segment
from worker.commands import dlq, replay, send
from worker.config import ENV_PREFIX, Settings, field_names
from worker.config_load import load
from worker.errors import AuditError, ConfigError, DecodeError, ModelError, PolicyInvalid, UsageError
from worker.judge import calibration, coverage, template
from worker.policy import document, lint, pack, pack_labels, scope
from worker.policy.history import read_policy
from worker.records import Message, Policy, Verdict, decode, encode

#: Shorter ones stand in any sentence.
_TELLING_BYTES: Final = 8
_PACKS: Final = Path(__file__).parents[1] / "unit" / "policy" / "packs"


def policy_file(data: bytes) -> None:
    """Read a policy file, change a field, look at it as ``policy lint`` does, with and without a floor."""
    raw, floor, name = parts(data, 3)
    try:
        made = document.as_json(raw)
        document.with_fields(made, version=2)
        found = read_policy(made)
        whose = scope.parse(text(name) or "shop")
    except PolicyInvalid:
        return
    base = None
    with suppress(PolicyInvalid):
        base = read_policy(document.as_json(floor))
    lint.lint(made, whose, base)
    assert pack.export_prose(found) or not found.text


def prose(data: bytes) -> None:
    """Import prose, which comes back byte for byte; what is written out of categories is read again."""
    try:
        found = pack.import_prose(data, "pack")
    except PolicyInvalid:
        return
    assert pack.export_prose(found) == data
    pack.outline(pack.write_prose(found))
    with suppress(PolicyInvalid):
        lint.lint(encode(found), scope.parse("shop"), None)


def pack_rows(data: bytes) -> None:
    """Read labelled rows beside a pack, JSON Lines or CSV."""
    policy, rows = parts(data, 2)
    with suppress(UsageError):
        pack_labels.golden_cases(rows, pack.outline(policy.decode(errors="replace")), "pack")


def report_labels(data: bytes) -> None:
    """Read labels for the report of a replay, JSON Lines or CSV."""
    with suppress(UsageError):
        report.read_labels(as_file(data))


def settings_file(data: bytes) -> None:
    """Read a settings file, and variables of the environment over it."""
    file, environment = parts(data, 2)
    environ = dict(line.partition("=")[::2] for line in text(environment).split("\n") if "=" in line)
    with suppress(ConfigError):
        found = load(file=as_file(file, "settings.toml"), environ=environ)
        assert isinstance(found, Settings)
        assert found.instance


def password_file(data: bytes) -> None:
    """Read a password from its file; no error holds a byte of it."""
    named = Settings(sasl_password_file=str(as_file(data, "password")))
    said = ""
    try:
        assert credentials.password(named).reveal()
    except ConfigError as error:
        said = str(error)
    assert len(data) < _TELLING_BYTES or text(data) not in said


def seal_file(data: bytes) -> None:
    """Read a file of seals."""
    with suppress(AuditError):
        seals.read_seals(as_file(data, "seals"))


def lines_to_send(data: bytes) -> None:
    """Read the lines of a file that ``send`` sends, as they come from a pipe."""
    path = as_file(data, "messages.jsonl")

    async def read(*, raw: bool) -> list[object]:
        with path.open("rb") as source:
            return [row async for row in send._rows(source, deque(), raw=raw)]

    with suppress(DecodeError):
        asyncio.run(read(raw=False))
    assert len(asyncio.run(read(raw=True))) == sum(bool(line.strip()) for line in data.split(b"\n"))


def parquet_rows(data: bytes) -> None:
    """Write verdicts that anybody may have written to a Parquet file, as ``audit export`` does."""
    found = []
    for piece in parts(data, 3):
        with suppress(DecodeError):
            found.append(decode(piece, Verdict, DecodeError))
    sink = parquet.ParquetSink(as_file(b"", "verdicts.parquet"), Verdict)
    try:
        for one in found:
            sink.add(one)
    finally:
        sink.close()


def arguments(data: bytes) -> None:
    """Read what people type: times, scopes, places, targets, fields."""
    typed = text(data)
    readers = (
        lambda: span.parse_time(typed, 1_700_000_000_000),
        lambda: scope.parse_argument(typed),
        lambda: retract.parse_target(typed),
        lambda: replay._offsets(typed),
        lambda: dlq._place(typed),
        lambda: dlq._edit([typed], None),
    )
    for reader in readers:
        with suppress(UsageError):
            reader()


def model_folder(data: bytes) -> None:
    """Read the files of a model folder that are ours: template, calibration, coverage."""
    path = as_file(data, template.FILE_NAME)
    with suppress(ModelError):
        template.read_template(path)
    as_file(data, calibration.FILE_NAME)
    with suppress(ModelError):
        calibration.load_calibration(path.parent, "key")
    as_file(data, coverage.FILE_NAME)
    with suppress(ModelError):
        coverage.load_coverage(path.parent, "key")


def _toml_policy() -> bytes:
    return b'title = "Shop"\nversion = 1\n[[categories]]\nid = "SPAM"\nname = "Spam"\n'


def _settings_lines() -> bytes:
    return "\n".join(f"{ENV_PREFIX}{name.upper()}=1" for name in field_names()).encode()


TARGETS: Final = (
    Target(
        "policy-file",
        "policy files, JSON and TOML, through `policy lint`",
        policy_file,
        lambda: [
            *(joined(one, seeds.examples("policy/valid")[0], b"shop") for one in seeds.examples("policy")),
            *seeds.of_type(Policy),
            _toml_policy(),
            b"a = 99999999999999999999999999\n" + _toml_policy(),
            b"a = 1979-05-27T07:32:00\n" + _toml_policy(),
            b"a = " + b"[" * 3000,
            *seeds.NASTY,
        ],
        0.5,
    ),
    Target(
        "prose",
        "prose policies, `policy import` and `export`",
        prose,
        lambda: [*(path.read_bytes() for path in sorted(_PACKS.glob("*.policy.*"))), *seeds.NASTY],
        0.5,
    ),
    Target(
        "pack-labels",
        "labels beside a pack",
        pack_rows,
        lambda: [
            *(
                joined((_PACKS / policy).read_bytes(), (_PACKS / rows).read_bytes())
                for policy, rows in (("queue.policy.txt", "queue.csv"), ("swaps.policy.md", "swaps.jsonl"))
            ),
            joined(b"# A (SP2)", b"text,label\n" + b"x" * 140_000 + b",safe"),
            joined(b"# A (SP2)", b'text,label\n"a\x00b",safe\r"'),
            *seeds.with_each(b"# A (SP2)", seeds.NASTY),
        ],
        0.5,
    ),
    Target(
        "report-labels",
        "labels for `replay --labels`",
        report_labels,
        lambda: [
            b'{"message_id": "m1", "label": "safe"}\n',
            b"message_id,label,tenant_id\nm1,unsafe,acme\n",
            b"message_id,label\n" + b"x" * 140_000 + b",safe\n",
            b'{"message_id": "m1", "label": "safe", "a": ' + b"[" * 3000,
            *seeds.NASTY,
        ],
    ),
    Target(
        "settings",
        "the settings file and the environment",
        settings_file,
        lambda: [
            joined(b"group_id = 'a'\nbuffer_mib = 8\n", _settings_lines()),
            joined(b"window = 99999999999999999999999999\n", b"RSAFE_BUFFER_MIB=99999999999999999999999999"),
            joined(b"", b"RSAFE_WEB_PORT=" + b"9" * 5000),
            *seeds.NASTY,
        ],
        0.3,
    ),
    Target("password-file", "a password's file", password_file, lambda: [b"secret\n", *seeds.NASTY], 0.3),
    Target("seals", "a file of seals", seal_file, lambda: [one + b"\n" for one in seeds.of_type(Segment)], 0.5),
    Target(
        "send",
        "lines that `send` reads",
        lines_to_send,
        lambda: [b"\n".join(seeds.examples("message/valid")), *seeds.of_type(Message), *seeds.NASTY],
        0.1,
    ),
    Target("parquet", "verdicts on their way to Parquet", parquet_rows, seeds.verdicts, 0.2),
    Target(
        "arguments",
        "times, scopes, places and targets on the command line",
        arguments,
        lambda: [
            *(b"-1h", b"2026-03-01T12:00:00Z", b"acme/lobby#shadow", b"acme@3", b"3:100-200", b"3/17"),
            *(b"0001-01-01T00:00:00+23:59", b'tenant_id="acme"', b"a@" + b"9" * 5000, b"1:" + b"9" * 5000),
            *(b"9" * 5000 + b"/1", b"a=" + b"[" * 3000, b"a=" + b"9" * 5000, "²/³".encode()),
            *seeds.NASTY,
        ],
    ),
    Target(
        "model-folder",
        "template, calibration and coverage of a model folder",
        model_folder,
        lambda: [
            template.DEFAULT_FILE.read_bytes(),
            *seeds.of_type(calibration.Calibration),
            *seeds.of_type(coverage.Coverage),
            *seeds.NASTY,
        ],
        0.5,
    ),
)
