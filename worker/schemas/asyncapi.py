"""``schemas/asyncapi.yaml``: every topic with its records, keys and headers, from the topic catalogue. Pure."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import yaml
from msgspec import Struct

from worker import __version__
from worker.config import Settings
from worker.schemas.json_schema import RECORDS, SUFFIX
from worker.topics import DEFAULT_PARTITIONS, TopicSpec, catalogue

_CONVERSATION: Final = "Tenant and conversation; the worker never reads it."
_AS_SOURCE: Final = "That of the message; the partition number is the message's too."
_SCOPE: Final = "`platform`, `<tenant>` or `<tenant>/<channel>`, with `#shadow` or `#draft` for one that is not live."
_BINDING_VERSION: Final = "0.5.0"
#: Settings of a topic that AsyncAPI's Kafka binding knows.
_TOPIC_SETTINGS: Final = ("retention.ms", "delete.retention.ms", "max.message.bytes")


class Channel(Struct, frozen=True, kw_only=True):
    """What AsyncAPI says of one topic.

    Attributes:
        about: one sentence.
        key: what the key holds.
        record: one of ``RECORDS``, or None for records that are kept as they came or are not written yet.
        headers: one of ``HEADERS``, or None.
        action: what the worker does with the topic; None where it does nothing yet.

    """

    about: str
    key: str
    record: str | None
    headers: str | None = "cloud-events"
    action: Literal["send", "receive"] | None = "send"


CHANNELS: Final[dict[str, Channel]] = {
    "messages": Channel(
        about="Messages to judge; a null value is a declared skip.",
        key=_CONVERSATION,
        record="message",
        headers="message-headers",
        action="receive",
    ),
    "policies": Channel(
        about="Policies by scope, compacted; a null value ends the scope.",
        key=_SCOPE,
        record="policy",
        headers=None,
        action="receive",
    ),
    "policy-history": Channel(
        about="Every decision about a policy record, kept for ever.", key=_SCOPE, record="policy-history"
    ),
    "policy-applied": Channel(
        about="Which worker judges by which policy, from when.", key=_SCOPE, record="policy-applied"
    ),
    "verdicts": Channel(
        about="One outcome for each message that was judged or could not be.", key=_AS_SOURCE, record="verdict"
    ),
    "traces": Channel(
        about="The reasoning behind a verdict; it stays inside the platform.", key=_AS_SOURCE, record="trace"
    ),
    "dead-letters": Channel(
        about="Records that are not what they should be, key, value and headers byte for byte.",
        key=_AS_SOURCE,
        record=None,
        headers="dead-letter-headers",
    ),
    "shadow-verdicts": Channel(about="Outcomes under a policy that is not live yet.", key=_AS_SOURCE, record="verdict"),
    "shadow-traces": Channel(about="Reasoning under a policy that is not live yet.", key=_AS_SOURCE, record="trace"),
    "replay-verdicts": Channel(about="Outcomes of a replay of the log.", key=_AS_SOURCE, record="verdict"),
    "replay-traces": Channel(about="Reasoning of a replay of the log.", key=_AS_SOURCE, record="trace"),
    "replays": Channel(
        about="What was replayed, fixed at the start, and its end.", key="The run.", record="replay-run"
    ),
    "overrides": Channel(
        about="Decisions of people about verdicts; the last one about a verdict counts.",
        key="That of the verdict; the partition number is the verdict's too.",
        record="override",
    ),
    "exceptions": Channel(
        about="Expiring allowances for texts, authors or channels, compacted; a null value ends one.",
        key="`<scope>#<id>` of the exception.",
        record="exception",
        headers=None,
        action="receive",
    ),
    "subject-keys": Channel(
        about="Keys that words are sealed under (`erasure = on`), compacted; an erased key is written over.",
        key="`<subject>/<key id>`; the subject is eight digits that tell the `digest_key`, and an HMAC under it.",
        record="subject-key",
    ),
    "erasures": Channel(
        about="Receipts of erasures, and legal holds; of the holds of a subject the last one counts.",
        key="The subject, as in `subject-keys`.",
        record="erasure",
        action="receive",
    ),
    "commands": Channel(
        about="Orders to running workers; each worker sees each one.",
        key="Not read.",
        record="command",
        headers=None,
        action="receive",
    ),
}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_TRACEPARENT: Final = {"traceparent": _text("W3C trace context, passed through.")}
#: Headers that are described here; those of dead letters have a schema of their own.
HEADERS: Final[dict[str, dict[str, Any]]] = {
    "cloud-events": {
        "type": "object",
        "required": ["ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion"],
        "properties": {
            "ce_id": _text("Id of the event."),
            "ce_type": _text("Type of the record, as `rsafe.<type>`."),
            "ce_source": _text("The worker."),
            "ce_time": _text("When it was written.", format="date-time"),
            "ce_specversion": _text("Version of CloudEvents.", const="1.0"),
            "content_digest": _text(
                "On verdicts and traces: SHA-256 over the key's length (4 bytes, big-endian), key and value, as hex."
            ),
            **_TRACEPARENT,
        },
    },
    "message-headers": {
        "type": "object",
        "properties": {
            **_TRACEPARENT,
            "redrive_of": _text("`<topic>/<partition>/<offset>` of the dead letter's source, in a message sent again."),
        },
    },
}


def document() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document as plain data.

    Raises:
        KeyError: a topic of the catalogue is not described here.

    """
    specs = {spec.name: spec for spec in catalogue("")}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "RSafe streaming moderation",
            "version": __version__,
            "description": "Topics of the worker, under the default prefix. Read outputs with read_committed.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": Settings().bootstrap_servers, "protocol": "kafka"}},
        "channels": {name: _channel(spec, CHANNELS[name]) for name, spec in specs.items()},
        "operations": {
            f"{channel.action}-{name}": {"action": channel.action, "channel": {"$ref": f"#/channels/{name}"}}
            for name, channel in CHANNELS.items()
            if channel.action
        },
        "components": {"schemas": HEADERS},
    }


def _channel(spec: TopicSpec, channel: Channel) -> dict[str, Any]:
    settings = {key: int(spec.settings[key]) for key in _TOPIC_SETTINGS if key in spec.settings}
    kafka = {
        "partitions": 1 if spec.single else DEFAULT_PARTITIONS,
        "topicConfiguration": {"cleanup.policy": [spec.settings["cleanup.policy"]], **settings},
        "bindingVersion": _BINDING_VERSION,
    }
    messages = {"record": _message(channel)} if channel.action or channel.record else {}
    return {
        "address": Settings().topic(spec.name),
        "description": channel.about,
        "messages": messages,
        "bindings": {"kafka": kafka},
    }


def _message(channel: Channel) -> dict[str, Any]:
    headers = _headers(channel.headers) if channel.headers else {}
    title = RECORDS[channel.record].__name__ if channel.record else "Any bytes"
    payload = {"payload": _foreign(channel.record)} if channel.record else {"contentType": "application/octet-stream"}
    key = {"key": _text(channel.key), "bindingVersion": _BINDING_VERSION}
    return {"title": title, **headers, **payload, "bindings": {"kafka": key}}


def _headers(name: str) -> dict[str, Any]:
    return {"headers": {"$ref": f"#/components/schemas/{name}"} if name in HEADERS else _foreign(name)}


def _foreign(name: str) -> dict[str, Any]:
    """Point at a schema file, and say that its dialect is not AsyncAPI's own."""
    return {"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": {"$ref": name + SUFFIX}}


def render() -> str:
    """Return the document as YAML, nothing shared between its parts."""
    plain = json.loads(json.dumps(document()))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
