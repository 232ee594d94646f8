"""Usage and the digest of the prompts."""

from __future__ import annotations

import hashlib
import struct

from worker.judge.engine import Completion
from worker.judge.tally import Tally, prompt_digest, total
from worker.records import Usage


def completion(written: int, prompt: int, cached: int) -> Completion:
    """Build an answer of so many tokens."""
    return Completion(
        token_ids=tuple(range(written)),
        text=None,
        finish_reason="stop",
        first_logprobs={},
        prompt_tokens=prompt,
        cached_tokens=cached,
    )


def test_usage_is_the_sum_of_all_calls() -> None:
    """Output counts everything that was written, reasoning the first phases only."""
    first, second = Tally(), Tally()
    first.answered(completion(5, 10, 2), reasoning=True)
    first.answered(completion(2, 16, 10))
    second.answered(completion(1, 7, 0))

    found = total([first, second])

    assert found == Usage(prompt_tokens=33, cached_tokens=12, reasoning_tokens=5, output_tokens=8)


def test_the_digest_is_over_little_endian_ids_in_order() -> None:
    """Anyone with the ids can compute it."""
    first, second = Tally(), Tally()
    first.asked([1, 70_000])
    second.asked([2])

    assert prompt_digest([first, second]) == hashlib.sha256(struct.pack("<3I", 1, 70_000, 2)).hexdigest()
    assert prompt_digest([second, first]) != prompt_digest([first, second])


def test_no_prompt_no_digest() -> None:
    """A message that was never asked about has none."""
    assert prompt_digest([Tally()]) is None
