"""A broker with TLS, logins and ACLs, which all tests of this folder share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.secure_broker import SecureBroker
from worker.acls import Acl
from worker.errors import BrokerAway
from worker.topics import create_topics


@pytest.fixture(scope="package")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """One secure broker for this folder."""
    made = SecureBroker(tmp_path_factory.mktemp("secure"))
    try:
        asyncio.run(made.kafka.start())
    except BrokerAway as error:
        pytest.skip(f"needs Kafka: {error}")
    # Who may write nowhere gets no producer id, so a producer's login alone cannot be tried.
    some = Acl(resource="topic", name="logins.", pattern="prefixed", operations=("Write",), why="a test")
    asyncio.run(made.allow("rsafe", [some]))
    yield made
    asyncio.run(made.kafka.stop())


@pytest.fixture
async def prefix(secure: SecureBroker, topic_prefix: str) -> str:
    """A prefix whose topics exist."""
    await create_topics(secure.kafka.bootstrap_servers, topic_prefix, 1)
    return topic_prefix
