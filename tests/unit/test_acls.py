"""What each login may do in Kafka: the table, the calls that are printed, the file that is shipped."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Final

import pytest

from worker.acls import ROLES, acls, as_json
from worker.commands import topics as command
from worker.config import Settings
from worker.errors import UsageError
from worker.topics import catalogue

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "acls" / "acls.json"
TOPICS: Final = {spec.name for spec in catalogue("")}


def writable(role: str) -> set[str]:
    """Return the topics that a role may write, without prefix."""
    return {name for name, (operations, _) in ROLES[role].topics.items() if "Write" in operations}


def test_roles_know_only_topics_that_exist() -> None:
    """A name with a typing error would allow nothing."""
    assert {name for role in ROLES.values() for name in role.topics} <= TOPICS


def test_each_role_writes_what_is_its_own() -> None:
    """Who may write what, in one place: who judges or retracts writes verdicts, nobody but authors policies."""
    assert {name: writable(name) for name in ROLES} == {
        "worker": {"verdicts", "traces", "dead-letters", "policy-history", "policy-applied", "subject-keys"},
        "shadow": {"shadow-verdicts", "shadow-traces"},
        "author": {"policies", "exceptions"},
        "sender": {"messages"},
        "operator": {"messages", "commands"},
        "replay": {"replays", "replay-verdicts", "replay-traces", "subject-keys"},
        "eraser": {"subject-keys", "erasures"},
        "reviewer": {"overrides", "subject-keys"},
        "retractor": {"verdicts"},
        "auditor": set(),
    }


def test_names_follow_the_settings() -> None:
    """Prefix and group are those of the settings; only groups that are made up on the way are prefixes."""
    found = acls("worker", Settings(topic_prefix="p.", group_id="g"))

    assert {acl.name for acl in found if acl.resource == "topic"} == {f"p.{name}" for name in ROLES["worker"].topics}
    assert {(acl.name, acl.pattern) for acl in found if acl.resource == "group"} == {
        ("g", "literal"),
        ("g.", "prefixed"),
    }
    assert [acl.name for acl in acls("replay", Settings(topic_prefix="p.")) if acl.pattern == "prefixed"] == [
        "p.replay."
    ]


def test_the_printed_calls_are_kafkas_own(capsys: pytest.CaptureFixture[str]) -> None:
    """One call for each, safe for a shell, with the rehearsals' login for their topics."""
    command.acls(Settings(), "worker", "User:a b", "User:s", as_json=False)

    calls = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert calls[0] == shlex.split(
        "kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --command-config admin.properties --add"
        " --allow-principal 'User:a b' --operation Read --topic moderation.messages --resource-pattern-type literal"
    )
    users = {
        call[call.index("--topic") + 1]: call[call.index("--allow-principal") + 1]
        for call in calls
        if "--topic" in call
    }
    assert users.pop("moderation.shadow-verdicts") == users.pop("moderation.shadow-traces") == "User:s"
    assert set(users.values()) == {"User:a b"}


def test_rehearsals_without_a_login_use_the_workers(capsys: pytest.CaptureFixture[str]) -> None:
    """Then the worker's login needs their topics."""
    command.acls(Settings(), "worker", "User:rsafe", None, as_json=False)

    assert "User:rsafe --operation Write --topic moderation.shadow-verdicts" in capsys.readouterr().out


def test_an_unknown_role_is_named() -> None:
    """With those that there are."""
    with pytest.raises(UsageError, match="'boss' is none of worker, shadow"):
        command.acls(Settings(), "boss", "User:x", None, as_json=False)


def test_the_shipped_file_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    """``make generate`` writes it again; ``--json`` prints the same."""
    command.acls(Settings(), "worker", "User:x", None, as_json=True)

    assert SHIPPED.read_bytes() == as_json(Settings()) == capsys.readouterr().out.encode()
    assert set(json.loads(SHIPPED.read_bytes())) == set(ROLES)
