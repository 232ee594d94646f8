"""All targets, in the order of the table."""

from __future__ import annotations

from typing import Final

from tests.fuzz import file_targets, kafka_targets, page_targets, trust_targets
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (kafka_targets, trust_targets, file_targets, page_targets)
    for target in module.TARGETS
}
