"""``rsafe audit explain``: everything behind one verdict, read from the topics and proved where it can be.

Policies come from ``policy-history``, which is never compacted; so this works for every verdict, whatever
``policies`` has forgotten by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiokafka import ConsumerRecord
from msgspec import UNSET, Struct, structs

from worker import credentials, kafka
from worker.audit.explain.exceptions import ExceptionStory, exception_stories
from worker.audit.explain.find import Finder, Found, Hint
from worker.audit.explain.policy import Deciding, PartStory, deciding, first_words, stories
from worker.audit.explain.prompt import OTHER_KEY, Prompt, count_calls, rebuild
from worker.audit.replay.policies import PolicyArchive
from worker.audit.verify.verify import Progress
from worker.config import Settings
from worker.erasure.sealed_words import opened_trace, sealed_keys
from worker.erasure.subject_keys import read_keys
from worker.errors import AuditError, DecodeError, KeysUnavailable
from worker.judge.verdict import REASONING
from worker.policy.model import EffectivePolicy, Judging
from worker.records import HistoryEntry, Message, Trace, Verdict, decode_message, sha256_hex, verdict_id

_STILL_THERE: Final = "its reasoning cannot be read; messages holds the text until its retention"


class RecordPlace(Struct, frozen=True, kw_only=True):
    """Where a record stands, and Kafka's time of it in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class MessagePart(Struct, frozen=True, kw_only=True):
    """The message; null where it is gone, and then why."""

    message: Message | None
    place: RecordPlace | None = None
    note: str | None = None


class PolicyPartOfIt(Struct, frozen=True, kw_only=True):
    """The effective policy, rebuilt from the history; null where there was none or it cannot be had, and then why."""

    digest: str | None
    effective: Judging | None
    parts: tuple[PartStory, ...]
    note: str | None = None


class ReasoningPart(Struct, frozen=True, kw_only=True):
    """The trace; ``agrees`` says whether its text fits its digest, and it its verdict.

    ``erased`` stands in place of a text that is sealed and that nobody can read any more, or not here.
    """

    trace: Trace | None
    place: RecordPlace | None = None
    agrees: bool | None = None
    note: str | None = None
    erased: str | None = None


class Explanation(Struct, frozen=True, kw_only=True):
    """Everything behind one verdict.

    Attributes:
        verdict: the record.
        place: where it stands.
        others: further verdicts that fit what was asked for, or that supersede this one.
        message, policy, deciding, prompt, reasoning: see their types.
        exceptions: those that took something back.

    """

    verdict: Verdict
    place: RecordPlace
    others: tuple[RecordPlace, ...]
    message: MessagePart
    policy: PolicyPartOfIt
    deciding: Deciding | None
    prompt: Prompt
    reasoning: ReasoningPart
    exceptions: tuple[ExceptionStory, ...] = ()


async def explain(
    settings: Settings,
    wanted: str,
    tenant_id: str | None = None,
    hint: Hint | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Explain a verdict.

    Args:
        settings: addresses, prefix, and the model whose template the prompt is built with.
        wanted: a verdict's id, or a message's id where a tenant is named.
        tenant_id: the tenant whose message it is.
        hint: where to look.
        progress: called while verdicts are searched.

    Raises:
        UsageError: a message's id without its tenant.
        AuditError: there is no such verdict.
        BrokerAway: nobody answers.
        TopicMissing: a topic does not exist.

    """
    async with kafka.reader(settings) as consumer:
        finder = Finder(consumer, settings, progress)
        matches = await finder.verdicts(wanted, tenant_id, hint or Hint())
        # The newest one that was asked for or stands for itself: what supersedes comes along as another one.
        found = next((one for one in reversed(matches) if _is_meant(one.verdict, wanted)), matches[-1])
        message = _message(found.verdict, await finder.message(found.verdict))
        trace = await finder.trace(found)
        entries = first_words(await finder.history())
    policy, effective = _policy(found, entries)
    reasoning = await _reasoning(settings, found.verdict, trace)
    if reasoning.erased and message.message is not None:
        message = structs.replace(message, note=_STILL_THERE)
    return Explanation(
        verdict=found.verdict,
        place=_place(found.record),
        others=tuple(_place(one.record) for one in matches if one is not found),
        message=message,
        policy=policy,
        deciding=_deciding(settings, found.verdict, effective),
        prompt=rebuild(settings, found.verdict, message.message, effective),
        reasoning=reasoning,
        exceptions=await exception_stories(settings, found.verdict),
    )


def _is_meant(verdict: Verdict, wanted: str) -> bool:
    return verdict.verdict_id == wanted or not verdict.supersedes


def _place(record: ConsumerRecord) -> RecordPlace:
    return RecordPlace(topic=record.topic, partition=record.partition, offset=record.offset, timestamp=record.timestamp)


def _message(verdict: Verdict, record: ConsumerRecord | None) -> MessagePart:
    if record is None:
        return MessagePart(message=None, note="the message is gone: retention of messages is shorter than of verdicts")
    if record.timestamp != verdict.source.timestamp:
        return MessagePart(message=None, note="another record has its offset now: messages was made anew")
    if record.value is None:
        return MessagePart(message=None, place=_place(record), note="a null value stands at its source")
    try:
        return MessagePart(message=decode_message(record.value or b""), place=_place(record))
    except DecodeError as error:
        return MessagePart(message=None, place=_place(record), note=f"the record at its source is no message: {error}")


def _policy(found: Found, entries: Sequence[HistoryEntry]) -> tuple[PolicyPartOfIt, EffectivePolicy | None]:
    ref = found.verdict.policy
    told = tuple(stories(ref.parts, entries, found.verdict.source.timestamp, found.record.timestamp))
    if ref.digest is None:
        note = "no policy was in force for this tenant, nor a floor"
        return PolicyPartOfIt(digest=None, effective=None, parts=told, note=note), None
    try:
        effective = PolicyArchive(entries).rebuild(ref)
    except AuditError as error:
        return PolicyPartOfIt(digest=ref.digest, effective=None, parts=told, note=str(error)), None
    judging = effective.judging if effective else None
    return PolicyPartOfIt(digest=ref.digest, effective=judging, parts=told), effective


def _deciding(settings: Settings, verdict: Verdict, effective: EffectivePolicy | None) -> Deciding | None:
    if effective is None and verdict.policy.digest is not None:
        return None
    return deciding(verdict, effective, count_calls(settings, verdict, effective) if effective else 1)


async def _reasoning(settings: Settings, verdict: Verdict, found: tuple[Trace, ConsumerRecord] | None) -> ReasoningPart:
    if verdict.trace_id is None:
        return ReasoningPart(trace=None, note="the policy wants no trace")
    if found is None:
        return ReasoningPart(trace=None, note="the trace is gone: retention took it")
    trace, erased = await _opened(settings, found[0])
    agrees = None if erased else _agrees(settings, verdict, trace)
    note = None if trace.level == "full" else "the policy keeps no text of the reasoning"
    if agrees is False and trace.digest_method is not UNSET:
        note = f"its digest is keyed: {OTHER_KEY}"
    return ReasoningPart(trace=trace, place=_place(found[1]), agrees=agrees, note=note, erased=erased)


async def _opened(settings: Settings, trace: Trace) -> tuple[Trace, str | None]:
    """Return a trace with its words, or why they cannot be read."""
    try:
        known = await read_keys(settings, sealed_keys([trace]))
    except KeysUnavailable as error:
        return trace, f"sealed: {error}"
    return opened_trace(trace, next(iter(known.values()), None))


def _agrees(settings: Settings, verdict: Verdict, trace: Trace) -> bool | None:
    # A retraction keeps the trace of the verdict that was first, however many came between.
    first = verdict_id(verdict.source, verdict.mode, verdict.run_id) if verdict.supersedes else verdict.verdict_id
    if trace.verdict_id != first:
        return False
    if trace.reasoning is None:
        return True
    plain = sha256_hex(trace.reasoning.encode())
    return credentials.digests(settings).agree(REASONING, trace.reasoning_digest, plain, trace.digest_method)
