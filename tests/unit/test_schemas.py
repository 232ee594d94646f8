"""The files in ``schemas/`` are those that the types make, and their examples are what they say."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any, Final

import jsonschema
import msgspec
import pytest
import yaml
from msgspec import Struct

from worker.dead_letter import Failure, headers, lost_headers
from worker.erasure.sealed_words import sealed_letter
from worker.errors import DecodeError, RecordError
from worker.policy.accept import Setting, check
from worker.policy.scope import parse
from worker.records import PLATFORM, Message, Source, Verdict, decode, decode_message, decode_policy, verdict_id
from worker.schemas import files
from worker.schemas.fields import FIELDS
from worker.schemas.json_schema import RECORDS, SUFFIX, DeadLetterHeaders
from worker.sealing import new_key

FOLDER: Final = Path(__file__).resolve().parents[2] / "schemas"
EXAMPLES: Final = FOLDER / "examples"
VALID: Final = sorted(EXAMPLES.glob("*/valid/*.json"))
INVALID: Final = sorted(EXAMPLES.glob("*/invalid/*.json"))
#: Invalid records that one side alone can refuse, and why the other cannot.
ONLY_DECODING_REFUSES: Final = {
    "message/tenant-platform": "a schema could say it, but it is a rule about scopes and no form of a name",
    "message/revision-one-point-zero": "to a schema 1.0 is an integer",
    "message/created-in-february-30": "a pattern does not know the calendar",
}
ONLY_THE_SCHEMA_REFUSES: Final = {
    "message/created-with-short-zone": "the reader forgives a zone without its colon",
    "verdict/score-above-one": "what we promise of our own verdicts is not asked for when reading them back",
    "verdict/verdict-id-upper-case": "as for the score",
    "verdict/label-of-a-timeout": "as for the score",
    "verdict/policy-digest-short": "as for the score",
    "trace/reasoning-digest-short": "as for the score",
}
#: The fields that must stand in a record, whatever the types say.
REQUIRED: Final = {
    "message": "tenant_id message_id text",
    "policy": "title version categories",
    "verdict": (
        "verdict_id tenant_id message_id revision role channel_id conversation_id language mode run_id status label "
        "model_label score score_method categories clauses unevaluated action trace_id policy model prompt_digest "
        "source timing usage cache"
    ),
    "trace": "trace_id verdict_id tenant_id reasoning raw reasoning_digest truncated level",
    "dead-letter-headers": ("error error_detail stage attempts source_topic source_partition source_offset failed_at"),
}
#: Fields that may stand in a record.
OPTIONAL: Final = {
    "message": "role context channel_id conversation_id author_id language created_at revision final",
    "policy": (
        "text default_action on_failure reasoning review_band trace languages floor_mode refuse_rungs golden min_pass "
        "author reason updated_at"
    ),
    "verdict": "spans degraded final suppressed_by suppressions supersedes digest_method",
    "trace": "sealed digest_method",
    "dead-letter-headers": "source_timestamp source_offset_end content_digest sealed",
}


def name_of(path: Path) -> str:
    """Return ``<record>/<example>``."""
    return f"{path.parts[-3]}/{path.stem}"


def read_back(record: str, raw: bytes) -> Struct:
    """Decode as the worker does."""
    if record == "message":
        return decode_message(raw)
    return decode_policy(raw) if record == "policy" else decode(raw, RECORDS[record], DecodeError)


def fits(record: str, raw: bytes) -> bool:
    """Validate as a stranger would, with the committed file and Python's own reader."""
    schema = json.loads((FOLDER / (record + SUFFIX)).read_text(encoding="utf-8"))
    try:
        value = json.loads(raw, parse_constant=_refuse)
    except ValueError:
        return False
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def _refuse(name: str) -> None:
    raise ValueError(name)


def decodes(record: str, raw: bytes) -> bool:
    """Tell whether the worker takes it."""
    try:
        read_back(record, raw)
    except RecordError:
        return False
    return True


@pytest.mark.parametrize("name, text", files.render().items(), ids=list(files.render()))
def test_generated_files_are_fresh(name: str, text: str) -> None:
    """Each generated file is committed as it would be made now; ``make generate`` writes it again."""
    assert (FOLDER / name).read_text(encoding="utf-8") == text


def test_no_file_is_left_over() -> None:
    """Nothing else lies in the folder."""
    found = {path.name for path in FOLDER.iterdir()}

    assert found == {*files.render(), "README.md", "examples"}


@pytest.mark.parametrize("name", RECORDS)
def test_schemas_are_schemas(name: str) -> None:
    """Each file is a valid schema of its dialect, and names itself, its record and every field."""
    schema = json.loads((FOLDER / (name + SUFFIX)).read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == name + SUFFIX
    assert all(part["description"] for part in schema["properties"].values())


def test_every_described_field_exists() -> None:
    """The table of descriptions names no type and no field that is gone."""
    described = {kind: list(fields) for kind, fields in FIELDS.items()}
    schemas = [json.loads((FOLDER / (name + SUFFIX)).read_text(encoding="utf-8")) for name in RECORDS]
    objects = [part for schema in schemas for part in (schema, *schema.get("$defs", {}).values())]

    assert described == {part["title"]: list(part["properties"]) for part in objects}


@pytest.mark.parametrize("name", REQUIRED)
def test_the_fixed_fields_are_there(name: str) -> None:
    """Names that other programs rely on are required or optional as promised."""
    schema = json.loads((FOLDER / (name + SUFFIX)).read_text(encoding="utf-8"))

    assert set(schema["required"]) == set(REQUIRED[name].split())
    assert set(schema["properties"]) == set(schema["required"]) | set(OPTIONAL[name].split())


@pytest.mark.parametrize("name", RECORDS)
def test_patterns_work_in_every_dialect(name: str) -> None:
    """Patterns keep to what Python and ECMA-262 read alike: no named groups, no inline flags, no anchors of Python."""
    text = (FOLDER / (name + SUFFIX)).read_text(encoding="utf-8")
    patterns = [json.loads(found) for found in re.findall(r'"pattern": (".*?")[,\n]', text)]

    foreign = [found for found in patterns if re.search(r"\(\?(?![!=:])|\\[AZzdwsbp]|\+\+|\*\+", found)]

    assert foreign == []


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_valid_examples_are_taken(path: Path) -> None:
    """A valid example fits its schema and decodes."""
    record, raw = path.parts[-3], path.read_bytes()

    assert fits(record, raw)
    read_back(record, raw)


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_invalid_examples_are_refused(path: Path) -> None:
    """An invalid example is refused by schema and worker, except where one of them alone can."""
    record, raw, name = path.parts[-3], path.read_bytes(), name_of(path)

    assert fits(record, raw) == (name in ONLY_DECODING_REFUSES)
    assert decodes(record, raw) == (name in ONLY_THE_SCHEMA_REFUSES)


def test_exceptions_are_examples() -> None:
    """Every exception above is an example that exists."""
    names = {name_of(path) for path in INVALID}

    assert {*ONLY_DECODING_REFUSES, *ONLY_THE_SCHEMA_REFUSES} <= names


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_has_examples(record: str) -> None:
    """There is at least one example of each kind."""
    kinds = {path.parts[-2] for path in (*VALID, *INVALID) if path.parts[-3] == record}

    assert kinds == {"valid", "invalid"}


def test_the_full_examples_use_every_field() -> None:
    """The examples that say so hold every field of message and policy."""
    for record in ("message", "policy"):
        schema = json.loads((FOLDER / (record + SUFFIX)).read_text(encoding="utf-8"))
        example: dict[str, Any] = json.loads((EXAMPLES / record / "valid" / "every-field.json").read_bytes())
        assert set(example) == set(schema["properties"])


@pytest.mark.parametrize("path", sorted((EXAMPLES / "verdict" / "valid").glob("*.json")), ids=name_of)
def test_ids_of_example_verdicts_are_true(path: Path) -> None:
    """The id of an example verdict can be computed from its source, mode and run."""
    verdict = decode(path.read_bytes(), Verdict, DecodeError)
    source = Source(**{name: getattr(verdict.source, name) for name in Source.__struct_fields__})

    assert verdict.verdict_id == verdict_id(source, verdict.mode, verdict.run_id)


@pytest.mark.parametrize("path", sorted((EXAMPLES / "policy" / "valid").glob("*.json")), ids=name_of)
def test_example_policies_could_come_into_force(path: Path) -> None:
    """A valid example is accepted too, under the example of a floor."""
    floor = decode_policy((EXAMPLES / "policy" / "valid" / "platform-floor.json").read_bytes())
    scope = parse(PLATFORM if path.stem == "platform-floor" else "northwind-games")

    check(decode_policy(path.read_bytes()), scope, Setting(floor=floor))


def test_unknown_fields_change_nothing() -> None:
    """A message with fields from the future is the message without them."""
    known = decode_message((EXAMPLES / "message" / "valid" / "smallest.json").read_bytes())
    future = decode_message((EXAMPLES / "message" / "valid" / "unknown-fields.json").read_bytes())

    assert isinstance(known, Message)
    assert future == known


def test_dead_letters_carry_what_the_schema_says() -> None:
    """The headers that the worker adds are those of the schema, and fit it."""
    failure = Failure.of("decode", DecodeError("text", "a string"))
    source = Source(topic="moderation.messages", partition=3, offset=48, timestamp=1_772_388_246_000)
    when = dt.datetime(2026, 3, 1, 18, 4, 6, tzinfo=dt.UTC)
    plain = headers([], failure, source, when)
    _, both = sealed_letter(source, b"k", b"value", plain, new_key())
    added = {name: (value or b"").decode() for name, value in plain}
    sealed = {name: (value or b"").decode() for name, value in both}

    gone = lost_headers(failure, msgspec.structs.replace(source, timestamp=None), 60, when)
    lost = {name: (value or b"").decode() for name, value in gone}

    assert set(sealed) - set(added) == {"content_digest", "sealed"}
    assert set(sealed) | set(lost) == set(DeadLetterHeaders.__struct_fields__)
    for one in (added, lost, sealed):
        assert fits("dead-letter-headers", json.dumps(one).encode())


def test_asyncapi_points_at_files() -> None:
    """Every reference of the AsyncAPI document leads to a schema of this folder or to a part of the document."""
    text = (FOLDER / "asyncapi.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    targets = re.findall(r"\$ref: '?\"?([^'\"\n]+)", text)

    for target in targets:
        if target.startswith("#/"):
            part = document
            for key in target[2:].split("/"):
                part = part[key.replace("~1", "/").replace("~0", "~")]
        else:
            assert (FOLDER / target).is_file()
    assert document["asyncapi"] == "3.0.0"
