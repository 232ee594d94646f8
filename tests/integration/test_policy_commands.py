"""``rsafe policy`` against a real broker, with and without a worker that decides."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import KafkaAddress
from tests.support import policy_topics as topics
from tests.support.policies import category, raw
from tests.support.policy_topics import running, version_of
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.policy.store import PolicyStore

pytestmark = pytest.mark.broker

A: Final = category("A", "Alpha")
#: How long a command waits for a worker's word.
DECIDED: Final = ("--wait", "60")


class Rsafe:
    """The commands, run as a user would; answers are (exit code, standard output, standard error)."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self._folder = folder

    def file(self, content: bytes, name: str = "policy.json") -> str:
        """Write a policy file."""
        path = self._folder / name
        path.write_bytes(content)
        return str(path)

    async def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Run ``rsafe policy`` with these arguments."""
        places = {"RSAFE_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers}
        places["RSAFE_TOPIC_PREFIX"] = self.settings.topic_prefix
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "policy", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | places,
            cwd=ROOT,
        )
        out, err = await process.communicate(stdin)
        return process.returncode or 0, out.decode(), err.decode()

    async def json(self, *arguments: str) -> Any:
        """Run a command that succeeds and return what it prints."""
        code, out, err = await self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
async def rsafe(broker: KafkaAddress, topic_prefix: str, tmp_path: Path) -> Rsafe:
    """Run the commands on topics of their own."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, kafka_timeout_s=10)
    await topics.create(settings)
    return Rsafe(settings, tmp_path)


async def test_the_life_of_a_policy(rsafe: Rsafe) -> None:
    """Put, look, change, roll back, delete: each command waits for the worker's word and prints it."""
    async with running(PolicyStore(rsafe.settings)) as store:
        put = await rsafe.json("put", "acme", rsafe.file(raw(A, title="First")), *DECIDED)
        assert (put["decision"], put["version"], put["offset"]) == ("accepted", 1, 0)
        # The command returns with the decision in the history; the store reads it back afterwards.
        await wait_until(lambda: version_of(store, "acme") == 1)
        code, out, _ = await rsafe("get", "acme")
        assert (code, out.rstrip("\n").encode()) == (0, raw(A, title="First"))

        second = raw(A, category("B", "Beta"), title="Second")
        assert (await rsafe.json("put", "acme", rsafe.file(second), "--bump", *DECIDED))["version"] == 2
        (row,) = await rsafe.json("list")
        assert (row["scope"], row["version"], row["newest"], row["categories"]) == ("acme", 2, "accepted", ["A", "B"])

        back = await rsafe.json("rollback", "acme", *DECIDED)
        assert (back["decision"], back["version"]) == ("accepted", 3)
        assert back["digest"] == put["digest"]
        entries = await rsafe.json("history", "acme")
        assert [(entry["version"], entry["decision"]) for entry in entries] == [
            (1, "accepted"),
            (2, "accepted"),
            (3, "accepted"),
        ]
        assert (await rsafe.json("rollback", "acme", "--to", "2", *DECIDED))["version"] == 4
        assert (await rsafe.json("delete", "acme", *DECIDED))["decision"] == "deleted"
        await wait_until(lambda: store.resolve("acme", None) is None)
        assert await rsafe.json("list") == []
        assert (await rsafe.json("rollback", "acme", "--to", "1", *DECIDED))["version"] == 5


async def test_a_rollback_takes_no_record_for_another_of_its_number(rsafe: Rsafe) -> None:
    """After a delete versions start again: a number that two records had is refused, a digest names the one."""
    async with running(PolicyStore(rsafe.settings)):
        good = await rsafe.json("put", "acme", rsafe.file(raw(A)), *DECIDED)
        await rsafe.json("delete", "acme", *DECIDED)
        await rsafe.json("put", "acme", rsafe.file(raw(category("B", "Bad"))), *DECIDED)

        code, out, err = await rsafe("rollback", "acme", "--to", "1", *DECIDED)
        assert (code, out, good["digest"][:12] in err) == (2, "", True), err
        back = await rsafe.json("rollback", "acme", "--to", good["digest"][:12], *DECIDED)
        assert (back["digest"], back["version"]) == (good["digest"], 2)
        code, out, err = await rsafe("rollback", "acme", "--to", "2", *DECIDED)
        assert (code, out, "acme is that already" in err) == (2, "", True), err
    assert len(await topics.read_all(rsafe.settings, "policies")) == 4


async def test_the_same_file_twice_changes_nothing(rsafe: Rsafe) -> None:
    """Byte for byte the same record is accepted again; another content under the old version is not published."""
    file = rsafe.file(raw(A))
    async with running(PolicyStore(rsafe.settings)):
        assert (await rsafe.json("put", "acme", file, *DECIDED))["decision"] == "accepted"
        assert (await rsafe.json("put", "acme", file, *DECIDED))["decision"] == "accepted"
        code, _, err = await rsafe("put", "acme", rsafe.file(raw(A, title="Other"), "other.json"))
    assert code == 1
    assert err.startswith("rsafe: version: expected an integer above")
    assert err.endswith("nothing was published\n")
    assert len(await topics.read_all(rsafe.settings, "policies")) == 2


async def test_what_a_worker_would_refuse_is_not_published(rsafe: Rsafe) -> None:
    """A loosened floor is named by its field, in one line, with exit code 1."""
    await rsafe("put", "platform", rsafe.file(raw(category("U7", "Hate", action="hold"))), "--wait", "0")
    code, out, err = await rsafe("put", "acme", "-", "--wait", "0", stdin=raw(category("U7", action="label")))
    assert (code, out) == (1, "")
    assert err.startswith("rsafe: categories[0].action: expected a value not milder than the floor's")
    assert err.count("\n") == 1


async def test_without_a_worker_it_says_so(rsafe: Rsafe) -> None:
    """The record is published; versions go on although nobody has decided, and get shows the newest."""
    toml = b'title = "T"\n[[categories]]\nid = "A"\nname = "Alpha"\n'
    for version in (1, 2):
        code, out, _ = await rsafe("put", "acme/lobby", "-", "--wait", "0.2", stdin=toml)
        assert code == 0
        assert out.startswith(f"acme/lobby: version {version} at offset {version - 1} is published; no worker has")
    (row,) = await rsafe.json("list")
    assert (row["version"], row["newest"]) == (None, "undecided")
    assert (await rsafe.json("get", "acme/lobby"))["version"] == 2


async def test_a_refusal_by_a_worker_is_shown(rsafe: Rsafe) -> None:
    """A record that another client published is listed with the field that is wrong; the good one stays."""
    async with running(PolicyStore(rsafe.settings)):
        await rsafe.json("put", "acme", rsafe.file(raw(A)), *DECIDED)
        await topics.publish(rsafe.settings, ("acme", b"{}"))
        await wait_until(lambda: topics.read_all(rsafe.settings, "dead-letters"))
        (row,) = await rsafe.json("list")
    assert (row["version"], row["newest"], row["field"]) == (1, "refused", "title")
    code, out, _ = await rsafe("list")
    assert code == 0
    assert "title: expected a string" in out


async def test_wrong_use_has_exit_code_2(rsafe: Rsafe) -> None:
    """One line names the cause and the cure, and nothing is printed as a result."""
    for arguments in (
        ("get", "nobody"),
        ("delete", "nobody"),
        ("rollback", "nobody"),
        ("rollback", "nobody", "--to", "3"),
        ("put", "a/b/c", "-"),
        ("history", "a b"),
        ("put", "acme", "no-such-file.json"),
        ("put", "acme"),
    ):
        code, out, err = await rsafe(*arguments, stdin=raw(A))
        assert (code, out) == (2, ""), arguments
        assert err.startswith("rsafe: "), arguments
        assert err.count("\n") == 1, arguments


async def test_golden_cases_are_judged(rsafe: Rsafe) -> None:
    """Exit 0 where enough pass, 1 where not; the report says which, in the policy's own order."""
    cases = [{"text": "x [unsafe:A]", "label": "unsafe", "categories": ["A"]}, {"text": "[unsafe:A]", "label": "safe"}]
    record = {"title": "t", "version": 1, "categories": [{"id": "A", "name": "Alpha"}], "golden": cases}
    code, out, _ = await rsafe("test", "-", "--engine", "scripted", "--json", stdin=json.dumps(record).encode())
    report = json.loads(out)
    assert (code, report["ok"], report["passed"]) == (1, False, 1)
    assert [result["passed"] for result in report["results"]] == [True, False]
    half = json.dumps(record | {"min_pass": 0.5}).encode()
    assert (await rsafe("test", "-", "--engine", "scripted", stdin=half))[0] == 0
