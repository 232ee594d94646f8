"""Kafka as it is run for real: TLS and logins, on a real broker; and no password anywhere to be read."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.planted import PASSWORD
from tests.support.secure_broker import CERTIFICATE_USER, SecureBroker
from worker import kafka
from worker.acls import Acl
from worker.config import Settings
from worker.errors import BrokerAway, ConfigError
from worker.secret import Secret

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def _whole(error: BaseException) -> str:
    """Return everything that a crash with this error would print, causes included."""
    return "".join(traceback.format_exception(error))


MAKERS: Final[dict[str, Callable[[Settings], Any]]] = {
    "consumer": kafka.make_consumer,
    "producer": kafka.make_producer,
    "admin": kafka.make_admin,
}


@pytest.mark.long
@pytest.mark.parametrize("client", MAKERS)
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
@pytest.mark.parametrize("door", ["SASL_SSL", "SASL_PLAINTEXT"])
async def test_every_client_logs_in(secure: SecureBroker, client: str, mechanism: str, door: str) -> None:
    """Each kind of client, with each mechanism, with encryption and without."""
    settings = secure.login("logins.", door=door, sasl_mechanism=mechanism)
    made = MAKERS[client](settings)

    await kafka.start(made, settings)

    assert made.client.cluster.brokers() if client == "producer" else made._client.cluster.brokers()
    await kafka.close(made)


async def test_a_password_file_is_read_at_each_connection(secure: SecureBroker, tmp_path: Path) -> None:
    """A wrong password that is set right in the file works from the next client on."""
    file = tmp_path / "password"
    settings = secure.login("logins.", sasl_password=Secret(), sasl_password_file=str(file))
    file.write_text("wrong", encoding="utf-8")
    with pytest.raises(ConfigError, match="refused the login"):
        await kafka.start(kafka.make_producer(settings), settings)

    file.write_text(PASSWORD + "\n", encoding="utf-8")
    client = kafka.make_producer(settings)
    await kafka.start(client, settings)
    await kafka.close(client)


async def test_a_certificate_is_a_login_too(secure: SecureBroker, prefix: str) -> None:
    """With client certificates Kafka knows the client by its certificate's name."""
    settings = secure.certified(prefix)
    await secure.allow(CERTIFICATE_USER, [_topic(settings, "messages", "Write")])
    client = kafka.make_producer(settings)
    await kafka.start(client, settings)

    sent = await kafka.send(client, settings.topic("messages"), b"{}", key=b"k", timeout_s=10)

    await kafka.close(client)
    assert sent.offset == 0


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"sasl_password": Secret("almost-" + PASSWORD)}, "refused the login of 'rsafe' by SCRAM-SHA-512"),
        ({"sasl_username": "stranger"}, "refused the login of 'stranger'"),
        ({"ssl_ca_file": "stranger"}, "certificate is not accepted .*; set ssl_ca_file"),
        ({"ssl_ca_file": ""}, "certificate is not accepted .*; set ssl_ca_file"),
        ({"bootstrap_servers": "localhost"}, "certificate is not accepted .*ssl_check_hostname"),
    ],
    ids=["password", "user", "signer", "system's signers", "name"],
)
async def test_a_refused_login_stops(
    secure: SecureBroker, change: dict[str, Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a wrong setting and not a broker that is away; the error names it, and never the password."""
    caplog.set_level("DEBUG", "worker")
    if change.get("ssl_ca_file"):
        change = {"ssl_ca_file": str(secure.files.stranger)}
    if "bootstrap_servers" in change:
        change = {"bootstrap_servers": secure.address("SASL_SSL").replace("127.0.0.1", "localhost")}
    settings = secure.login("logins.", **change)

    for make in MAKERS.values():
        with pytest.raises(ConfigError, match=expected) as caught:
            await kafka.start(make(settings), settings)
        assert PASSWORD not in _whole(caught.value)

    assert PASSWORD not in caplog.text + repr(settings)


async def test_the_wrong_kind_of_port_names_the_setting(secure: SecureBroker) -> None:
    """A plain client at a door with a login, and a client with TLS at a plain one."""
    plain = secure.plain("logins.", bootstrap_servers=secure.address("SASL_SSL"), kafka_timeout_s=3)
    tls = secure.login("logins.", bootstrap_servers=secure.kafka.bootstrap_servers, kafka_timeout_s=3)
    for settings in (plain, tls):
        with pytest.raises((BrokerAway, ConfigError), match="security_protocol"):
            await kafka.start(kafka.make_admin(settings), settings)


def _topic(settings: Settings, name: str, *operations: Any) -> Acl:
    return Acl(resource="topic", name=settings.topic(name), operations=operations, why="a test")
