"""What each login may do in Kafka, and no more: the table behind ``rsafe topics acls`` and ``deploy/acls``.

Read and Write include Describe. Nobody may create, alter or delete anything, and no producer needs
more than Write: since Kafka 2.8 that includes idempotent writes (KIP-679).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from worker.config import Settings

Operation = Literal["Read", "Write", "Describe", "DescribeConfigs"]

_READ: Final[tuple[Operation, ...]] = ("Read",)
_WRITE: Final[tuple[Operation, ...]] = ("Write",)
_BOTH: Final[tuple[Operation, ...]] = ("Read", "Write")

#: What an auditor reads.
_AUDITED: Final = (
    "messages",
    "policies",
    "policy-history",
    "policy-applied",
    "verdicts",
    "traces",
    "dead-letters",
    "shadow-verdicts",
    "shadow-traces",
    "overrides",
    "exceptions",
    "replays",
    "replay-verdicts",
    "replay-traces",
    "subject-keys",
    "erasures",
)


class Acl(Struct, frozen=True, kw_only=True):
    """One thing that a login may do.

    Attributes:
        resource: what kind of thing.
        name: its full name, or how it begins.
        pattern: ``prefixed`` where ``name`` is only a beginning.
        operations: what is allowed, in Kafka's words.
        why: what breaks without it.

    """

    resource: Literal["topic", "group"]
    name: str
    pattern: Literal["literal", "prefixed"] = "literal"
    operations: tuple[Operation, ...]
    why: str


class Role(Struct, frozen=True):
    """A login: who uses it, and by topic (without prefix) what it may do and why."""

    about: str
    topics: Mapping[str, tuple[tuple[Operation, ...], str]]


ROLES: Final[dict[str, Role]] = {
    "worker": Role(
        "`rsafe run`, without its rehearsals.",
        {
            "messages": (_READ, "what is judged"),
            "policies": (_READ, "by what it is judged"),
            "policy-history": (_BOTH, "which policies were accepted; the worker decides"),
            "exceptions": (_READ, "what is excepted from it"),
            "commands": (_READ, "pause and resume"),
            "verdicts": (_BOTH, "outcomes; read back after a crash, so that none is doubled"),
            "dead-letters": (_BOTH, "outcomes of messages that cannot be read; read back likewise"),
            "traces": (_WRITE, "the reasoning"),
            "policy-applied": (_WRITE, "from when which policy is in force"),
            "subject-keys": (_BOTH, "`erasure = on`: keys that seal words; read to notice another `digest_key`"),
            "erasures": (_READ, "`erasure = on`: whose key must not be used any more"),
        },
    ),
    "shadow": Role(
        "The rehearsals' client inside the worker (`shadow_sasl_username`); it can write nothing that counts.",
        {"shadow-verdicts": (_WRITE, "what a rehearsed policy says"), "shadow-traces": (_WRITE, "and why")},
    ),
    "author": Role(
        "Who writes policies and exceptions. Kafka cannot limit a login to keys: it may write those of every scope.",
        {
            "policies": (_BOTH, "`rsafe policy put` and `get`"),
            "policy-history": (_READ, "whether a policy was accepted"),
            "policy-applied": (_READ, "which workers hold it"),
            "exceptions": (_BOTH, "`rsafe exceptions`"),
            "shadow-verdicts": (_READ, "`rsafe policy compare`"),
            "verdicts": (_READ, "`rsafe policy compare`, and how exceptions fare"),
        },
    ),
    "sender": Role(
        "The platform: `rsafe send`, or its own producer and consumer.",
        {
            "messages": (_WRITE, "what is to be judged"),
            "verdicts": (_READ, "what came of it"),
            "dead-letters": (_READ, "what could not be read"),
        },
    ),
    "operator": Role(
        "Who looks after a running worker: `rsafe dlq`, commands.",
        {
            "dead-letters": (_READ, "`rsafe dlq list` and `show`"),
            "messages": (_BOTH, "`rsafe dlq redrive`"),
            "commands": (_WRITE, "pause and resume"),
            "subject-keys": (_READ, "opening what `erasure = on` sealed"),
        },
    ),
    "replay": Role(
        "`rsafe replay`: reads what was, writes to topics of its own.",
        {
            "messages": (_READ, "what is judged again"),
            "verdicts": (_READ, "what was said then"),
            "policy-history": (_READ, "by what it was judged then, and is now"),
            "exceptions": (_READ, "what was excepted then"),
            "replays": (_BOTH, "the runs"),
            "replay-verdicts": (_BOTH, "outcomes, read back when a run goes on"),
            "replay-traces": (_BOTH, "the reasoning"),
            "subject-keys": (_BOTH, "as for the worker"),
            "erasures": (_READ, "as for the worker"),
        },
    ),
    "eraser": Role(
        "Who answers to people's rights: `rsafe audit erase` and `audit hold`. It can read no words with its keys.",
        {
            "subject-keys": (_BOTH, "keys, to write them over"),
            "erasures": (_BOTH, "holds and receipts"),
            "messages": (("Read", "DescribeConfigs"), "until when the text is there"),
        },
    ),
    "reviewer": Role(
        "Who decides about verdicts: `rsafe audit override` and `audit overrides`.",
        {
            "verdicts": (_READ, "what is decided about"),
            "messages": (_READ, "so that no words of the message stand in a reason"),
            "overrides": (_BOTH, "the decisions"),
            "subject-keys": (_BOTH, "`erasure = on`: keys that seal a reason and a text"),
            "erasures": (_READ, "`erasure = on`: whose key must not be used any more"),
        },
    ),
    "retractor": Role(
        "Who takes verdicts back: `rsafe audit retract --publish`.",
        {"verdicts": (_BOTH, "what stands, and what supersedes it")},
    ),
    "auditor": Role(
        "`rsafe audit`: reads all, writes nothing.",
        dict.fromkeys(_AUDITED, (_READ, "what happened"))
        | {"messages": (("Read", "DescribeConfigs"), "what happened; the plan of an erasure, with its dates")},
    ),
}


def acls(role: str, settings: Settings) -> list[Acl]:
    """Return what a role may do, with the names of these settings: topics first, then groups."""
    topics = [
        Acl(resource="topic", name=settings.topic(name), operations=operations, why=why)
        for name, (operations, why) in ROLES[role].topics.items()
    ]
    return [*topics, *_groups(role, settings)]


def _groups(role: str, settings: Settings) -> Iterator[Acl]:
    group = settings.group_id
    if role == "worker":
        yield Acl(resource="group", name=group, operations=_READ, why="sharing the messages")
        yield Acl(
            resource="group",
            name=f"{group}.",
            pattern="prefixed",
            operations=_READ,
            why="choosing who judges golden cases and who refuses exceptions, and commands",
        )
    if role == "replay":
        name = settings.topic("replay.")
        yield Acl(resource="group", name=name, pattern="prefixed", operations=_READ, why="sharing a replay")
    if role in {"author", "auditor"}:
        yield Acl(resource="group", name=group, operations=("Describe",), why="who the workers are, and how far")


def command(acl: Acl, principal: str, bootstrap: str) -> str:
    """Return the call of Kafka's own tool that allows it; the admin's login stands in a file of its own."""
    parts = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", "admin.properties", "--add"]
    parts += ["--allow-principal", principal]
    for operation in acl.operations:
        parts += ["--operation", operation]
    parts += [f"--{acl.resource}", acl.name, "--resource-pattern-type", acl.pattern]
    return shlex.join(parts)


def as_json(settings: Settings) -> bytes:
    """Return every role's ACLs as indented JSON, for tools that manage a cluster."""
    found: dict[str, Any] = {
        name: {"about": role.about, "acls": msgspec.to_builtins(acls(name, settings))} for name, role in ROLES.items()
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
