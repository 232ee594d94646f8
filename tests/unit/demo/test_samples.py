"""The demonstration's messages."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conftest import SHARED_DATA
from worker.demo.samples import BROKEN, CHANGING, STRICT, TENANTS, load, policy_name, version_of
from worker.errors import DecodeError
from worker.records import PLATFORM, decode_message

_WORDS = re.compile(r"\w+")
#: Fewer words than this are common phrases, whoever writes them.
_FEWEST_WORDS = 3


def _plain(text: str) -> str:
    return " ".join(_WORDS.findall(text.lower()))


def test_there_are_a_few_hundred_messages_of_three_tenants_and_a_stranger() -> None:
    """A few hundred messages come from the three tenants, and some from a tenant without a policy."""
    tenants = Counter(sample.message.tenant_id for sample in load())
    assert 300 <= tenants.total() <= 400
    assert set(TENANTS) < set(tenants)
    assert all(count >= 60 for name, count in tenants.items() if name in TENANTS)


def test_ids_and_texts_are_unique() -> None:
    """No two messages share an id, and no tenant says the same text twice."""
    samples = load()
    assert len({sample.message.message_id for sample in samples}) == len(samples)
    assert len({(sample.message.tenant_id, sample.message.text) for sample in samples}) == len(samples)


def test_both_roles_and_the_awkward_texts_are_there() -> None:
    """Agents' answers with their context, empty text, other scripts, zero-width characters and tricks."""
    messages = [sample.message for sample in load()]
    assert all(message.context for message in messages if message.role == "agent")
    assert sum(message.role == "agent" for message in messages) >= 10
    texts = "\0".join(message.text for message in messages)
    assert "" in {message.text for message in messages}
    assert all(part in texts for part in ("\u200b", "\\boxed{safe}", "<|im_start|>", "🎉", "今夜"))


def test_about_half_of_them_carry_a_label_under_the_policies_that_judge_them() -> None:
    """Expectations name only policies that the message can meet, and both labels occur."""
    samples = load()
    labelled = [sample for sample in samples if sample.expect]
    assert 0.4 < len(labelled) / len(samples) < 0.7
    for sample in labelled:
        tenant = sample.message.tenant_id
        assert set(sample.expect) <= ({CHANGING, STRICT} if tenant == CHANGING else {policy_name(tenant)})
    assert {label for sample in labelled for label in sample.expect.values()} == {"safe", "unsafe"}


def test_some_labels_differ_between_the_changing_tenants_policies() -> None:
    """The policy change can show: enough messages are safe under the first policy and unsafe under the second."""
    pairs = Counter((sample.expect.get(CHANGING), sample.expect.get(STRICT)) for sample in load())
    assert pairs["safe", "unsafe"] >= 20
    assert pairs["unsafe", "safe"] == 0
    assert version_of(STRICT) > version_of(CHANGING)


def test_a_stranger_is_judged_by_the_floor() -> None:
    """A tenant without a policy of its own has the floor's."""
    assert policy_name("quiet-harbor") == PLATFORM


@pytest.mark.parametrize("value", BROKEN, ids=lambda value: value.decode()[:30])
def test_broken_records_are_no_messages(value: bytes) -> None:
    """Every broken record is refused as a message."""
    with pytest.raises(DecodeError):
        decode_message(value)


@pytest.mark.data
def test_no_text_is_taken_from_a_data_set() -> None:
    """No text of three words or more stands in any file of the data sets."""
    files = [path for path in SHARED_DATA.rglob("*") if path.suffix in {".csv", ".jsonl", ".txt", ".json"}]
    everything = " ".join(["", *(_plain(path.read_text(encoding="utf-8", errors="replace")) for path in files), ""])
    samples = load()
    texts = [sample.message.text for sample in samples]
    texts += [turn.text for sample in samples for turn in sample.message.context]
    plain = [text for text in map(_plain, texts) if len(text.split()) >= _FEWEST_WORDS]
    assert [text for text in plain if f" {text} " in everything] == []
