"""What happens to people's words before a record is written: digests keyed, texts sealed, as the settings say."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from worker import credentials
from worker.config import Settings
from worker.config_checks import erasure_trouble
from worker.dead_letter import Headers
from worker.digests import PLAIN, Digests
from worker.erasure.sealed_words import has_words, sealed_letter, sealed_trace
from worker.erasure.subjects import subject_of, subject_of_bytes
from worker.errors import ConfigError
from worker.metrics import Metrics
from worker.records import Message, Trace
from worker.stream.delivery import Delivery
from worker.stream.sealer import Sealer
from worker.stream.tasks import Fail
from worker.stream.work import source_of


class Protection(Struct, frozen=True):
    """How digests are made, and what seals; without a sealer texts stay as they are (``erasure = off``)."""

    digests: Digests = PLAIN
    sealer: Sealer | None = None

    def trace(self, trace: Trace, message: Message, record: Any) -> Trace:
        """Return a trace as it may be written."""
        if self.sealer is None or not has_words(trace):
            return trace
        subject = subject_of(message, source_of(record))
        return sealed_trace(trace, self.sealer.key(subject, record.timestamp))

    def letter(self, record: Any, headers: Headers) -> tuple[bytes | None, Headers]:
        """Return value and headers of a record's dead letter as they may be written."""
        if self.sealer is None:
            return record.value, headers
        source = source_of(record)
        key = self.sealer.key(subject_of_bytes(record.value, source), record.timestamp)
        return sealed_letter(source, record.key, record.value, headers, key)

    async def published(self) -> None:
        """Wait until every key that sealed something up to now is acknowledged; only then may that be written."""
        if self.sealer is not None:
            await self.sealer.published()


#: For whoever writes to no topic.
NO_PROTECTION: Final = Protection()


def protection(settings: Settings, metrics: Metrics, fail: Fail) -> Protection:
    """Make what the settings ask for; nothing connects.

    Raises:
        ConfigError: ``erasure = on`` without a ``digest_key`` that can be used.

    """
    if wrong := erasure_trouble(settings):
        raise ConfigError(wrong)
    digests = credentials.digests(settings)
    if settings.erasure == "off":
        return Protection(digests)
    return Protection(digests, Sealer(settings, digests, Delivery(settings, metrics), metrics.subject_keys, fail))
