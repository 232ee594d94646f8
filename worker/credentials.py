"""How this program logs in to Kafka: TLS and SASL from the settings, for every client alike.

Wrong combinations are refused when settings are read; files are read when a client is made, so a
password that was changed on the disk counts from the next connection on.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from msgspec import structs

from worker.config import Settings
from worker.config_checks import login_trouble
from worker.digests import Digests
from worker.errors import ConfigError
from worker.secret import NO_SECRET, Secret

_MAX_PASSWORD_BYTES: Final = 64 * 1024
#: A key that is shorter could be guessed together with the text.
MIN_KEY_CHARS: Final = 32
_REFUSED: Final = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


def options(settings: Settings) -> dict[str, Any]:
    """Return aiokafka's options for the login that the settings describe.

    Raises:
        ConfigError: settings that contradict each other, or a file that holds nothing that can be used.

    """
    if wrong := login_trouble(settings):
        raise ConfigError(wrong)
    found: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.uses_tls:
        found["ssl_context"] = ssl_context(settings)
    if settings.uses_sasl:
        found["sasl_mechanism"] = settings.sasl_mechanism
        found["sasl_plain_username"] = settings.sasl_username
        found["sasl_plain_password"] = password(settings).reveal()
    return found


def password(settings: Settings) -> Secret:
    """Return the password, from its file where one is named; a line's end behind it does not count.

    Raises:
        ConfigError: the file cannot be read, is empty, or is no text.

    """
    if not settings.sasl_password_file:
        return settings.sasl_password
    return _from_file("sasl_password_file", settings.sasl_password_file, "password")


def digest_key(settings: Settings) -> Secret:
    """Return the key of keyed digests, from its file where one is named; nothing where none is set.

    Raises:
        ConfigError: it is too short, or the file cannot be used.

    """
    key = settings.digest_key
    if settings.digest_key_file:
        key = _from_file("digest_key_file", settings.digest_key_file, "key")
    if key and len(key.reveal()) < MIN_KEY_CHARS:
        text = (
            f"digest_key has fewer than {MIN_KEY_CHARS} characters; take a random one, as 'openssl rand -hex 32' gives"
        )
        raise ConfigError(text)
    return key


def _from_file(setting: str, path: str, what: str) -> Secret:
    """Return what a file holds.

    Raises:
        ConfigError: the file cannot be read, is empty, or is no text.

    """
    name = f"{setting} = {path!r}"
    try:
        raw = Path(path).read_bytes()[:_MAX_PASSWORD_BYTES]
        found = raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        text = f"{name} cannot be read ({error.strerror}); name a file that this user may read"
        raise ConfigError(text) from None
    except UnicodeDecodeError:
        # Never the decoder's own words: they hold bytes of the file.
        text = f"{name} is not UTF-8 text; write the {what} alone into it"
        raise ConfigError(text) from None
    if not found:
        text = f"{name} is empty; write the {what} alone into it"
        raise ConfigError(text)
    return Secret(found)


def digests(settings: Settings) -> Digests:
    """Return how digests over people's words are made: keyed where ``digest_key`` or its file is set.

    Raises:
        ConfigError: the file cannot be read, is empty, or is no text.

    """
    return Digests(digest_key(settings))


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """Return what TLS connections are made with: the broker's certificate is always checked.

    Raises:
        ConfigError: a certificate or key cannot be used.

    """
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file or None)
    except (OSError, ValueError) as error:
        text = f"ssl_ca_file = {settings.ssl_ca_file!r} cannot be used ({_why(error)}); name a file of PEM certificates"
        raise ConfigError(text) from None
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_cert_file:
        _load_own_certificate(context, settings)
    return context


def _load_own_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    try:
        # An encrypted key would ask at the terminal; the empty answer makes that an error.
        context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file, password="")
    except (OSError, ValueError) as error:
        text = (
            f"ssl_cert_file = {settings.ssl_cert_file!r} with ssl_key_file = {settings.ssl_key_file!r} cannot be used"
            f" ({_why(error)}); both are PEM, the key belongs to the certificate and has no passphrase"
        )
        raise ConfigError(text) from None


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no PEM"
    return getattr(error, "strerror", None) or type(error).__name__


def shadow(settings: Settings) -> Settings:
    """Return the settings with the login of rehearsals, where they have one of their own."""
    if not settings.shadow_sasl_username:
        return settings
    return structs.replace(
        settings,
        sasl_username=settings.shadow_sasl_username,
        sasl_password=settings.shadow_sasl_password,
        sasl_password_file=settings.shadow_sasl_password_file,
    )


def without(settings: Settings) -> Settings:
    """Return the settings with no login at all, for a broker that this program starts itself."""
    return structs.replace(
        settings,
        security_protocol="PLAINTEXT",
        sasl_username="",
        sasl_password=NO_SECRET,
        sasl_password_file="",
        ssl_ca_file="",
        ssl_cert_file="",
        ssl_key_file="",
        ssl_check_hostname=True,
        shadow_sasl_username="",
        shadow_sasl_password=NO_SECRET,
        shadow_sasl_password_file="",
    )


def absent_text(topic: str) -> str:
    """Return what to say of a topic that Kafka does not show.

    Kafka's answers do not tell a topic that is missing from one that a login may not describe.
    """
    return (
        f"topic {topic} does not exist; run 'rsafe topics create'"
        " (or this login may not see it: 'rsafe topics acls' prints what it needs)"
    )


def refusal(settings: Settings, error: BaseException) -> str | None:
    """Return in one line why a broker did not let a client in, with the cure; none where that is not the reason.

    Args:
        settings: those that the client was made with.
        error: what the connection raised.

    """
    where = f"connecting to {settings.bootstrap_servers}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{where}: the broker's certificate is not accepted ({error.verify_message}); {_tls_cure(error)}"
    if isinstance(error, ssl.SSLError):
        return (
            f"{where}: TLS failed ({error.reason or type(error).__name__}); is security_protocol ="
            f" {settings.security_protocol} what this port speaks, and does it want ssl_cert_file and ssl_key_file?"
        )
    if isinstance(error, _REFUSED):
        return (
            f"{where}: Kafka refused the login of {settings.sasl_username!r} by {settings.sasl_mechanism}"
            f" ({type(error).__name__}); check user, password and sasl_mechanism"
        )
    return None


def _tls_cure(error: ssl.SSLCertVerificationError) -> str:
    if "mismatch" in error.verify_message or "not valid for" in error.verify_message:
        return "connect by a name that stands in it; ssl_check_hostname = false gives this check up"
    return "set ssl_ca_file to the certificate of who signed it"
