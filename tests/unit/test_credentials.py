"""Logins to Kafka: which settings fit together, how files are read, and that no password is ever shown."""

from __future__ import annotations

import io
import json
import logging
import pickle
import ssl
import traceback
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from aiokafka.protocol.admin import SaslAuthenticateRequest

from tests.support import planted
from worker import credentials, kafka
from worker.commands.doctor import masked
from worker.commands.options import settings_from
from worker.config import Settings, secret_names
from worker.config_checks import login_trouble
from worker.config_load import load
from worker.errors import ConfigError
from worker.logs import configure
from worker.secret import Secret
from worker.stream.app import _faust_credentials
from worker.stream.shadow_output import shadow_settings

PLANTED: Final = planted.PASSWORD
LOGIN: Final[dict[str, Any]] = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_username": "rsafe",
    "sasl_password": Secret(PLANTED),
}


def test_a_secret_does_not_show_itself() -> None:
    """Neither printed nor formatted, written as JSON or pickled; only asked for by name."""
    secret = Secret(PLANTED)

    assert PLANTED not in f"{secret} {secret!r} {[secret]} {vars(Secret)}"
    assert (str(secret), str(Secret()), secret.reveal()) == ("***", "", PLANTED)
    assert (bool(secret), bool(Secret()), secret == Secret(PLANTED), secret == PLANTED) == (True, False, True, False)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_settings_do_not_show_their_secrets() -> None:
    """What a log line, an error or ``doctor`` would print of them, and what cannot be written at all."""
    settings = Settings(**LOGIN, shadow_sasl_username="s", shadow_sasl_password=Secret(PLANTED))

    assert PLANTED not in f"{settings} {settings!r} {json.dumps(masked(settings))}"
    assert masked(settings)["sasl_password"] == "***"
    assert masked(Settings())["sasl_password"] == ""
    assert masked(settings)["max_num_batched_tokens"] == 4096
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)
    assert msgspec.json.decode(msgspec.json.encode(Settings(web_port=1)), type=Settings) == Settings(web_port=1)


def test_secrets_are_known_by_their_type() -> None:
    """A setting that holds a password has the type that masks it."""
    assert secret_names() == {"sasl_password", "shadow_sasl_password", "digest_key"}


@pytest.mark.parametrize("name", sorted(secret_names()))
def test_a_secret_is_no_flag(name: str) -> None:
    """The process list shows flags; the refusal names the cure and not the value."""
    with pytest.raises(ConfigError, match=f"RSAFE_{name.upper()} or {name}_file") as caught:
        settings_from(None, [f"{name}={PLANTED}"])

    assert PLANTED not in str(caught.value)


def test_a_secret_comes_from_environment_or_file(tmp_path: Path) -> None:
    """From a variable, from the settings file, or from a file of its own."""
    login = {"RSAFE_SECURITY_PROTOCOL": "SASL_SSL", "RSAFE_SASL_USERNAME": "rsafe"}
    file, own = tmp_path / "rsafe.toml", tmp_path / "password"
    file.write_text(f'sasl_password = "{PLANTED}"\n', encoding="utf-8")
    own.write_text(f"{PLANTED}\n", encoding="utf-8")

    found = [
        load(environ=login | {"RSAFE_SASL_PASSWORD": PLANTED}),
        load(environ=login, file=file),
        load(environ=login | {"RSAFE_SASL_PASSWORD_FILE": str(own)}),
    ]

    assert [credentials.password(settings).reveal() for settings in found] == [PLANTED] * 3


def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    """The error names the setting and the type, not the number."""
    file = tmp_path / "rsafe.toml"
    file.write_text("sasl_password = 4711471147\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="sasl_password: Expected `str`") as caught:
        load(file=file, environ={})

    assert "4711471147" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"sasl_username": "u"}, "sasl_username .*PLAINTEXT has no login; take SASL_SSL"),
        ({"sasl_password": Secret("p"), "security_protocol": "SSL"}, "SSL has no login; take SASL_SSL"),
        ({"ssl_ca_file": "ca.pem"}, "ssl_.*_file is set, but .*PLAINTEXT has no encryption"),
        ({"security_protocol": "SASL_SSL"}, "sasl_username is empty"),
        ({"security_protocol": "SASL_SSL", "sasl_username": "u"}, "sasl_password is empty .*RSAFE_SASL_PASSWORD"),
        (LOGIN | {"sasl_password_file": "f"}, "sasl_password and sasl_password_file are both set; keep one"),
        ({"security_protocol": "SSL", "ssl_cert_file": "c"}, "ssl_cert_file and ssl_key_file belong together"),
        ({"shadow_sasl_username": "s", "shadow_sasl_password": Secret("p")}, "shadow_sasl_username .* has no login"),
        (LOGIN | {"shadow_sasl_username": "s"}, "shadow_sasl_password is empty .*RSAFE_SHADOW_SASL_PASSWORD"),
        (LOGIN | {"shadow_sasl_password": Secret("p")}, "shadow_sasl_username is empty"),
    ],
)
def test_contradictions_are_named(change: dict[str, Any], expected: str) -> None:
    """Each names the field and the cure, when settings are read and when a client is made."""
    settings = Settings(**change)
    with pytest.raises(ConfigError, match=expected):
        credentials.options(settings)
    environ = {
        f"RSAFE_{name.upper()}": value.reveal() if isinstance(value, Secret) else value
        for name, value in change.items()
    }
    with pytest.raises(ConfigError, match=expected):
        load(environ=environ)


@pytest.mark.parametrize(
    "content, expected",
    [(None, "cannot be read .*No such file"), (b"\n", "is empty"), (b"\xff\xfe" + PLANTED.encode(), "is not UTF-8")],
    ids=["missing", "empty", "no text"],
)
def test_a_password_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """The error names the file and shows nothing that is in it."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = Settings(security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password_file=str(file))

    with pytest.raises(ConfigError, match=f"sasl_password_file = '{file}' {expected}") as caught:
        credentials.options(settings)

    assert PLANTED not in "".join(traceback.format_exception(caught.value))


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Missing, or not PEM: the setting is named."""
    junk = tmp_path / "junk.pem"
    junk.write_text("junk", encoding="utf-8")
    for ca in (tmp_path / "missing.pem", junk):
        with pytest.raises(ConfigError, match=f"ssl_ca_file = '{ca}' cannot be used"):
            credentials.options(Settings(security_protocol="SSL", ssl_ca_file=str(ca)))
    pair = Settings(security_protocol="SSL", ssl_cert_file=str(junk), ssl_key_file=str(junk))
    with pytest.raises(ConfigError, match=f"ssl_cert_file = '{junk}' with ssl_key_file"):
        credentials.options(pair)


def test_certificates_are_always_checked() -> None:
    """Only the name in the certificate can be passed over, and only if that is asked for."""
    usual = credentials.ssl_context(Settings(security_protocol="SSL"))
    lax = credentials.ssl_context(Settings(security_protocol="SSL", ssl_check_hostname=False))

    assert (usual.verify_mode, usual.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert usual.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_the_rehearsals_log_in_as_themselves() -> None:
    """With a user of their own; without one, as the worker."""
    own = Settings(**LOGIN, shadow_sasl_username="s", shadow_sasl_password=Secret("q"))

    assert credentials.options(shadow_settings(own))["sasl_plain_username"] == "s"
    assert credentials.options(shadow_settings(own))["sasl_plain_password"] == "q"
    assert credentials.options(shadow_settings(Settings(**LOGIN)))["sasl_plain_username"] == "rsafe"


def test_fausts_clients_log_in_too() -> None:
    """With the same user, mechanism and certificates as the worker's own."""
    for protocol, expected in (("SASL_PLAINTEXT", "SASL_PLAINTEXT"), ("SASL_SSL", "SASL_SSL")):
        login = _faust_credentials(Settings(**(LOGIN | {"security_protocol": protocol})))
        assert login is not None
        assert (login.protocol.value, login.mechanism.value) == (expected, "SCRAM-SHA-512")  # type: ignore[attr-defined]
        assert PLANTED not in repr(login)
    encrypted = _faust_credentials(Settings(security_protocol="SSL"))
    assert encrypted is not None
    assert encrypted.protocol.value == "SSL"
    assert _faust_credentials(Settings()) is None


def test_a_broker_of_our_own_asks_for_no_login() -> None:
    """The demonstration and the benchmark start a plain Kafka, whatever the settings say."""
    settings = credentials.without(Settings(**LOGIN, shadow_sasl_username="s", shadow_sasl_password=Secret("q")))

    assert settings == Settings()
    assert login_trouble(settings) is None


async def test_a_client_cannot_be_made_of_contradictions() -> None:
    """Also where settings were not read by ``load``."""
    for make in (kafka.make_consumer, kafka.make_producer, kafka.make_admin):
        with pytest.raises(ConfigError, match="no login"):
            make(Settings(sasl_username="u"))


def test_the_chattiest_log_holds_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections of aiokafka write each request at debug, the password of SASL PLAIN among them."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure("debug")
        request = SaslAuthenticateRequest(b"\0rsafe\0" + PLANTED.encode())
        logging.getLogger("aiokafka.conn").debug("Request to %s:%d %d: %s", "kafka", 9092, 1, vars(request))
        logging.getLogger("aiokafka.consumer").debug("is there")
    finally:
        configure("info")
        root.handlers[:], root.level = before, level

    assert "is there" in written.getvalue()
    assert PLANTED not in written.getvalue()
