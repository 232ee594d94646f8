"""What the calls for one message cost, and which prompts they were asked with."""

from __future__ import annotations

import array
import hashlib
import sys
from collections.abc import Iterable, Sequence

from worker.judge.engine import Completion
from worker.records import Usage


class Tally:
    """Adds up the calls of one panel."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.prompts: list[bytes] = []
        self._prompt = self._cached = self._reasoning = self._output = 0

    def asked(self, prompt_ids: Sequence[int]) -> None:
        """Note a prompt made of policy and message alone; what continues one is not noted."""
        numbers = array.array("I", prompt_ids)
        if sys.byteorder == "big":
            numbers.byteswap()
        self.prompts.append(numbers.tobytes())

    def answered(self, completion: Completion, *, reasoning: bool = False) -> Completion:
        """Add one answer, and return it."""
        written = len(completion.token_ids)
        self._prompt += completion.prompt_tokens
        self._cached += completion.cached_tokens
        self._output += written
        self._reasoning += written if reasoning else 0
        return completion

    @property
    def usage(self) -> Usage:
        """The sums; ``output_tokens`` counts all that was written, the reasoning included."""
        return Usage(
            prompt_tokens=self._prompt,
            cached_tokens=self._cached,
            reasoning_tokens=self._reasoning,
            output_tokens=self._output,
        )


def prompt_digest(tallies: Iterable[Tally]) -> str | None:
    """Return the SHA-256 over all prompts in order, each id as 4 bytes, little-endian; None without a prompt."""
    prompts = [prompt for tally in tallies for prompt in tally.prompts]
    return hashlib.sha256(b"".join(prompts)).hexdigest() if prompts else None


def total(tallies: Iterable[Tally]) -> Usage:
    """Add up the usage of several panels."""
    usages = [tally.usage for tally in tallies]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
    )
