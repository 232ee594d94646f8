"""Each permission of the worker taken away in turn, on a real broker: it is missed by name."""

from __future__ import annotations

import json
from typing import Final

import pytest
from msgspec import structs

from tests.support import dataplane
from tests.support.planted import PASSWORD
from tests.support.secure_broker import SecureBroker
from tests.support.secure_rsafe import FLOOR, OWN, SEALING, SHADOW, working
from tests.support.waiting import wait_until
from worker.acls import Acl, acls
from worker.config import Settings

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def without(found: list[Acl], resource: str, name: str, operation: str) -> list[Acl]:
    """Return the ACLs with one operation on one thing taken out."""
    left = []
    for acl in found:
        operations = acl.operations
        if (acl.resource, acl.name) == (resource, name):
            operations = tuple(one for one in operations if one != operation)
        if operations:
            left.append(structs.replace(acl, operations=operations))
    return left


#: What is taken away, and what the refusal must name.
_TAKEN: Final = [
    ("topic", "messages", "Read"),
    ("topic", "commands", "Read"),
    ("topic", "policies", "Read"),
    ("topic", "policy-history", "Read"),
    ("topic", "exceptions", "Read"),
    ("topic", "policy-history", "Write"),
    ("topic", "verdicts", "Read"),
    ("topic", "verdicts", "Write"),
    ("topic", "dead-letters", "Read"),
    ("topic", "dead-letters", "Write"),
    ("topic", "traces", "Write"),
    ("topic", "policy-applied", "Write"),
    ("topic", "subject-keys", "Read"),
    ("topic", "subject-keys", "Write"),
    ("topic", "erasures", "Read"),
    ("topic", "shadow-verdicts", "Write"),
    ("topic", "shadow-traces", "Write"),
    ("group", "workers", "Read"),
    ("group", "workers.", "Read"),
]


@pytest.mark.long
@pytest.mark.parametrize("resource, name, operation", _TAKEN, ids=["-".join(case) for case in _TAKEN])
async def test_each_permission_is_needed_and_missed_by_name(
    secure: SecureBroker, prefix: str, resource: str, name: str, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With one taken away the worker says what it may not do to which topic or group, and where the cure is."""
    caplog.set_level("INFO", "worker")
    settings, plain = secure.login(prefix, **SHADOW, **SEALING, shadow_share=1.0), secure.plain(prefix)
    for user, role in (("rsafe", "worker"), ("rsafe-shadow", "shadow")):
        await secure.allow(user, without(acls(role, settings), resource, prefix + name, operation))
    async with dataplane.producer(plain) as client:
        await client.send_and_wait(plain.topic("policies"), json.dumps(FLOOR).encode(), key=b"platform")
        await client.send_and_wait(plain.topic("policies"), json.dumps(OWN).encode(), key=b"acme#shadow")
        # Something to read back, and both kinds of outcome to write.
        await client.send_and_wait(plain.topic("verdicts"), b"{}")
        await client.send_and_wait(plain.topic("dead-letters"), b"{}")
    await dataplane.send(plain, [dataplane.message(1), b"no message"])

    async with working(settings) as wrong:

        def refusals() -> list[str]:
            lines = [*wrong().splitlines(), *(record.getMessage() for record in caplog.records)]
            return [line for line in lines if "rsafe topics acls" in line and prefix + name in line]

        found = await wait_until(refusals, what=f"a word about {operation} on {name}: {wrong()}")

    print(f"\n{resource} {name} {operation}: {found[0]}")
    assert PASSWORD not in "".join(found)


def test_every_permission_of_the_worker_is_taken_away_once() -> None:
    """The list above is the whole table of the worker, and that of its rehearsals."""
    settings = Settings(topic_prefix="p.", group_id="p.workers")
    roles = [*acls("worker", settings), *acls("shadow", settings)]
    table = {(acl.resource, acl.name, operation) for acl in roles for operation in acl.operations}

    assert table == {(kind, "p." + name, how) for kind, name, how in _TAKEN}
