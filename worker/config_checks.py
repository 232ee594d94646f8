"""What single settings allow and together makes no sense. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from worker.config import ENV_PREFIX, Settings


def login_trouble(settings: Settings) -> str | None:
    """Return which settings of the login contradict each other and what to do, or none. Opens no file."""
    return next((text for wrong, text in _contradictions(settings) if wrong), None)


def ladder_trouble(settings: Settings) -> str | None:
    """Return which limits of the overload ladder do not rise and what to do, or none."""
    names = ("overload_short_s", "overload_label_s", "overload_hold_s")
    limits = [(getattr(settings, name), name) for name in names if getattr(settings, name)]
    for (lower_s, lower), (higher_s, higher) in itertools.pairwise(limits):
        if higher_s <= lower_s:
            return f"{higher} = {higher_s:g} is not above {lower} = {lower_s:g}; each rung needs a longer wait, or 0"
    return None


def deferral_trouble(settings: Settings) -> str | None:
    """Return how one tenant could stop intake for all of them, and what to do, or none."""
    one, most = settings.tenant_deferred_messages, settings.deferred_messages
    if 2 * one > most:
        return (
            f"tenant_deferred_messages = {one} is more than half of deferred_messages = {most}: one tenant could"
            " stop intake for all; raise deferred_messages"
        )
    return None


def erasure_trouble(settings: Settings) -> str | None:
    """Return what ``erasure`` lacks and what to do, or none. Opens no file."""
    if settings.erasure == "on" and not (settings.digest_key or settings.digest_key_file):
        return f"erasure = on needs a secret that names subjects; set digest_key_file or {ENV_PREFIX}DIGEST_KEY"
    return None


def _contradictions(settings: Settings) -> Iterator[tuple[bool, str]]:
    protocol = settings.security_protocol
    chosen = f"security_protocol = {protocol}"
    user = bool(settings.sasl_username or settings.sasl_password or settings.sasl_password_file)
    files = bool(settings.ssl_ca_file or settings.ssl_cert_file or settings.ssl_key_file)
    yield (
        user and not settings.uses_sasl,
        f"sasl_username or its password is set, but {chosen} has no login; take SASL_SSL",
    )
    yield files and not settings.uses_tls, f"ssl_*_file is set, but {chosen} has no encryption; take SSL or SASL_SSL"
    yield (
        settings.uses_sasl and not settings.sasl_username,
        f"sasl_username is empty, but {chosen} logs in; set it and its password",
    )
    yield from _passwords(settings, "sasl", needed=settings.uses_sasl)
    yield (
        bool(settings.ssl_cert_file) != bool(settings.ssl_key_file),
        "ssl_cert_file and ssl_key_file belong together; set both or neither",
    )
    shadow = bool(settings.shadow_sasl_username)
    yield shadow and not settings.uses_sasl, f"shadow_sasl_username is set, but {chosen} has no login; take SASL_SSL"
    yield from _passwords(settings, "shadow_sasl", needed=shadow)
    alone = bool(settings.shadow_sasl_password or settings.shadow_sasl_password_file) and not shadow
    yield alone, "shadow_sasl_username is empty, but its password is set; set both or neither"
    both = bool(settings.digest_key) and bool(settings.digest_key_file)
    yield both, "digest_key and digest_key_file are both set; keep one"


def _passwords(settings: Settings, prefix: str, *, needed: bool) -> Iterator[tuple[bool, str]]:
    value, file = bool(getattr(settings, f"{prefix}_password")), bool(getattr(settings, f"{prefix}_password_file"))
    yield value and file, f"{prefix}_password and {prefix}_password_file are both set; keep one"
    yield (
        needed and not value and not file,
        (
            f"{prefix}_password is empty for a user that logs in; set {prefix}_password_file or"
            f" {ENV_PREFIX}{prefix.upper()}_PASSWORD"
        ),
    )
