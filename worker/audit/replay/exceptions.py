"""Exceptions as they were: the topic keeps what was replaced for as long as verdicts are kept.

A message falls under those of its own time. So a run needs no end of this log: what is written after the
run was planned counts for later messages only.
"""

from __future__ import annotations

import logging
from typing import Final

from worker.config import Settings
from worker.exceptions.book import Book
from worker.exceptions.fingerprint import fingerprinter
from worker.exceptions.log import read_records

logger: Final = logging.getLogger(__name__)


async def read_exceptions(settings: Settings) -> Book:
    """Read the topic to its end.

    Raises:
        BrokerAway: Kafka stopped answering.
        TopicMissing: the topic does not exist.
        ConfigError: ``digest_key`` cannot be used.

    """
    book = Book(fingerprinter(settings))
    versions = [book.add(record) for record in await read_records(settings)]
    texts = sum(one.refusal is not None and one.refusal.field == "fingerprint" for one in versions)
    if texts:
        logger.warning(
            "%d exceptions for texts are passed over, so actions may differ; set digest_key as on the workers", texts
        )
    return book
