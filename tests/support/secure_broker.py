"""A real Kafka with TLS, logins and ACLs, and the certificates for it, made anew for each session.

It has four doors on 127.0.0.1: a plain one, whose anonymous user may do everything (the test's own
clients come in there), and SASL_SSL, SASL_PLAINTEXT and SSL with client certificates for what is tested.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiokafka.protocol.admin import CreateAclsRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.planted import PASSWORD
from worker import broker, kafka
from worker.acls import ROLES, Acl
from worker.broker import HOST, Broker, BrokerConfig
from worker.config import Settings
from worker.secret import Secret

USERS: Final = ("rsafe", "rsafe-shadow", *(name for name in ROLES if name not in {"worker", "shadow"}))
CERTIFICATE_USER: Final = "User:CN=worker"

_DAY: Final = dt.timedelta(days=1)
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_RESOURCES: Final = {"topic": 2, "group": 3}
_PATTERNS: Final = {"literal": 3, "prefixed": 4}
_OPERATIONS: Final = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
_ALLOW: Final = 3


class Files(NamedTuple):
    """PEM files: who signs, a stranger who signs nothing here, the broker's pair, a client's pair."""

    ca: Path
    stranger: Path
    broker: Path
    client_cert: Path
    client_key: Path


class _Signer:
    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.cert = (
            self._builder(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Return a key and a certificate for 127.0.0.1, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [x509.IPAddress(ipaddress.ip_address(HOST))]
        cert = (
            self._builder(_name(name), key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _pem(key), cert.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_files(folder: Path) -> Files:
    """Make certificates."""
    files = Files(*(folder / f"{name}.pem" for name in Files._fields))
    signer, stranger = _Signer("test signer"), _Signer("stranger")
    files.ca.write_bytes(signer.cert.public_bytes(serialization.Encoding.PEM))
    files.stranger.write_bytes(stranger.cert.public_bytes(serialization.Encoding.PEM))
    files.broker.write_bytes(b"".join(signer.issue("broker")))
    key, cert = signer.issue("worker")
    files.client_key.write_bytes(key)
    files.client_cert.write_bytes(cert)
    return files


class SecureBroker:
    """The broker, its doors, and settings that come in by them."""

    def __init__(self, folder: Path) -> None:
        """Choose ports and make certificates; nothing is started."""
        self.files = make_files(folder)
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD + "\n", encoding="utf-8")
        self._ports = {door: broker._free_port() for door in ("CONTROLLER", "SASL_SSL", "SASL_PLAINTEXT", "SSL")}
        port = broker._free_port()
        options = tuple(
            f"--add-scram={mechanism}=[name={user},password={PASSWORD}]"
            for user in USERS
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
        )
        self.kafka = Broker(
            BrokerConfig(
                port=port,
                data_dir=folder / "kafka",
                more_settings=self._settings(port),
                format_options=options,
            )
        )

    def address(self, door: str) -> str:
        """Return host and port of a door."""
        return f"{HOST}:{self._ports[door]}"

    def plain(self, topic_prefix: str, **fields: Any) -> Settings:
        """Return settings of the anonymous user, who may do everything."""
        return _quick(topic_prefix, {"bootstrap_servers": self.kafka.bootstrap_servers} | fields)

    def login(self, topic_prefix: str, user: str = "rsafe", door: str = "SASL_SSL", **fields: Any) -> Settings:
        """Return settings of a user."""
        chosen: dict[str, Any] = {
            "bootstrap_servers": self.address(door),
            "security_protocol": door,
            "sasl_username": user,
            "sasl_password": Secret(PASSWORD),
        }
        if door == "SASL_SSL":
            chosen["ssl_ca_file"] = str(self.files.ca)
        return _quick(topic_prefix, chosen | fields)

    def certified(self, topic_prefix: str, **fields: Any) -> Settings:
        """Return settings of the client that shows a certificate."""
        chosen = {
            "bootstrap_servers": self.address("SSL"),
            "security_protocol": "SSL",
            "ssl_ca_file": str(self.files.ca),
            "ssl_cert_file": str(self.files.client_cert),
            "ssl_key_file": str(self.files.client_key),
        }
        return _quick(topic_prefix, chosen | fields)

    async def allow(self, user: str, acls: Iterable[Acl]) -> None:
        """Allow a user (or a whole principal) something."""
        principal = user if ":" in user else f"User:{user}"
        settings = self.plain("")
        admin = kafka.make_admin(settings)
        await kafka.start(admin, settings)
        try:
            for acl in acls:
                for operation in acl.operations:
                    await _create(admin, acl, operation, principal)
        finally:
            await kafka.close(admin)

    def _settings(self, port: int) -> dict[str, str]:
        doors = {"PLAINTEXT": port} | self._ports
        listeners = {name: f"{name}://{HOST}:{number}" for name, number in doors.items()}
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        found = {
            # As for the shared broker: a pause must not end its session with the controller.
            "broker.session.timeout.ms": "60000",
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(text for name, text in listeners.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(
                f"{name}:{'PLAINTEXT' if name == 'CONTROLLER' else name}" for name in doors
            ),
            "controller.quorum.voters": f"1@{HOST}:{self._ports['CONTROLLER']}",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.files.broker),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.files.ca),
            "listener.name.ssl.ssl.client.auth": "required",
        }
        for door in ("sasl_ssl", "sasl_plaintext"):
            found[f"listener.name.{door}.plain.sasl.jaas.config"] = plain
            for mechanism in ("scram-sha-512", "scram-sha-256"):
                found[f"listener.name.{door}.{mechanism}.sasl.jaas.config"] = _SCRAM
        return found


def _quick(topic_prefix: str, fields: dict[str, Any]) -> Settings:
    """Settings for a fast test; the group is the prefix's own."""
    chosen: dict[str, Any] = {
        "topic_prefix": topic_prefix,
        "group_id": f"{topic_prefix}workers",
        "engine": "scripted",
        "session_timeout_s": 30.0,
        "rebalance_timeout_s": 10.0,
        "drain_timeout_s": 5.0,
        "commit_interval_s": 0.2,
        "kafka_timeout_s": 10.0,
        "linger_ms": 2,
    }
    return Settings(**(chosen | fields))


async def _create(admin: Any, acl: Acl, operation: str, principal: str) -> None:
    request = CreateAclsRequest(
        _RESOURCES[acl.resource],
        acl.name,
        _PATTERNS[acl.pattern],
        principal,
        "*",
        _OPERATIONS[operation],
        _ALLOW,
    )
    response = await admin._send_request(request)
    assert [code for code, _ in response.creation_responses] == [0]
