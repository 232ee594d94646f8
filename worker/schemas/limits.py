"""Every limit on what grows with what comes in, for the table of the worker's page. Pure.

A limit is a setting, a number in the code, or what a topic takes; numbers stand here by reference, so that the
table cannot say another one. Whatever is added that grows with messages, tenants, policies or errors gets a line.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from worker.client import MAX_UNACKNOWLEDGED
from worker.dead_letter import MAX_DETAIL_CHARS
from worker.judge import copied, parse, tokens
from worker.judge.judge import CALLS_AT_ONCE
from worker.judge.plan import KEPT_TOKENS
from worker.kafka import MAX_FETCH_BYTES, MAX_PARTITION_FETCH_BYTES, MAX_REQUEST_BYTES
from worker.logs import MOST_LINES
from worker.policy import accept
from worker.policy.store import ANNOUNCEMENTS, LETTERS
from worker.stream.ledger import METADATA_MAX_BYTES, MOST_SUSPECTS
from worker.stream.lookahead import MOST_TENANTS
from worker.stream.pipeline import MOST_ABORTS
from worker.stream.refill import MOST_BYTES, MOST_MESSAGES
from worker.stream.state import SAME_ID_MESSAGES


class Limit(Struct, frozen=True, kw_only=True):
    """One limit.

    Attributes:
        what: grows, and by what.
        bound: a setting's name, or the number with its unit.
        then: what follows when it is reached.
        metric: where that shows; empty where it shows in a record or a log line, or nothing follows.
        holders: attributes that hold it, as ``module.Class.attribute``; a test compares them with the source.

    """

    what: str
    bound: str
    then: str
    metric: str = ""
    holders: tuple[str, ...] = ()


LIMITS: Final[tuple[Limit, ...]] = (
    Limit(
        what="messages held until their outcome is published",
        bound="buffer_messages",
        then="intake waits",
        metric="rsafe_limits_reached",
        holders=(
            "stream.publisher.Publisher._queues",
            "stream.admission.Admission._by_offset",
            "stream.admission.Admission._waiting",
        ),
    ),
    Limit(
        what="their bytes, keys and headers included",
        bound="buffer_mib",
        then="intake waits; one turn of 200 records may go beyond, deferred ones that are too old by a quarter",
        metric="rsafe_limits_reached",
    ),
    Limit(
        what="messages of one tenant that wait for the judge; an equal share of the memory once half of it is taken",
        bound="tenant_queue_messages",
        then="the rest is deferred to an offset each",
        metric="rsafe_deferred",
        holders=(
            "stream.admission._Lane.tenants",
            "stream.admission._Lane.turns",
            "stream.admission._Tenant.queue",
            "stream.overload.Overload._ladders",
        ),
    ),
    Limit(
        what="revisions of one message that wait for the judge",
        bound=f"{SAME_ID_MESSAGES}, or fewer: `tenant_queue_messages` by the window",
        then="the rest is deferred, aside: no other message waits behind it",
        metric="rsafe_deferred",
        holders=("stream.admission.Admission._rooms",),
    ),
    Limit(
        what="deferred offsets of one tenant",
        bound="tenant_deferred_messages",
        then="status `overloaded`",
        metric="rsafe_verdicts",
        holders=(
            "stream.deferred.Deferred._in_turn",
            "stream.deferred.Deferred._lines",
            "stream.deferred.Deferred._reading",
            "stream.deferred.Deferred._waiting",
        ),
    ),
    Limit(
        what="deferred offsets of all tenants",
        bound="deferred_messages",
        then="intake waits, or from `lookahead_messages` on where all tenants are behind",
        metric="rsafe_limits_reached",
    ),
    Limit(
        what="time that an offset stays deferred",
        bound="deferred_max_age_s",
        then="status `overloaded`",
        metric="rsafe_verdicts",
    ),
    Limit(
        what="deferred messages that are read again at once",
        bound=f"{MOST_MESSAGES:,}, and {MOST_BYTES >> 20} MiB or a quarter of `buffer_mib`",
        then="the others wait for the next read; one message may be larger",
        holders=(
            "stream.rereader.Reread.doubted",
            "stream.rereader.Reread.failed",
            "stream.rereader.Reread.records",
        ),
    ),
    Limit(
        what="tenants remembered as within their queues",
        bound=f"{MOST_TENANTS:,}",
        then="the one seen longest ago is forgotten; nothing follows",
        holders=("stream.lookahead.Lookahead._within",),
    ),
    Limit(
        what="offsets of one partition in the ledger",
        bound="twice `tenant_deferred_messages`, and `buffer_messages`",
        then="the partition is read no further",
        metric="rsafe_limits_reached",
        holders=(
            "stream.ledger.PartitionLedger._done",
            "stream.ledger.PartitionLedger._in_flight",
        ),
    ),
    Limit(
        what="metadata of a commit",
        bound=f"{METADATA_MAX_BYTES:,} bytes",
        then=f"cut to what fits: two numbers, and at most {MOST_SUSPECTS} messages that were in the judge",
    ),
    Limit(
        what="calls of one message in the engine at once",
        bound=f"{CALLS_AT_ONCE}",
        then="its other calls wait for them",
    ),
    Limit(
        what="messages in the judge",
        bound="window",
        then="the others wait",
        metric="rsafe_in_flight",
        holders=(
            "stream.pipeline.Pipeline._running",
            "stream.admission.Admission._out",
            "judge.vllm_engine.VllmEngine._scopes",
            "judge.tally.Tally.prompts",
        ),
    ),
    Limit(
        what="time of one call for a message",
        bound="request_timeout_s",
        then="status `timeout`",
        metric="rsafe_verdicts",
    ),
    Limit(what="prompt", bound="max_model_len", then="status `too_long`", metric="rsafe_verdicts"),
    Limit(what="reasoning", bound="reasoning_max_tokens", then="status `truncated`", metric="rsafe_verdicts"),
    Limit(
        what="the part of a reasoning that is searched for its conclusion",
        bound=f"the last {parse.CONCLUSION_CHARS} characters",
        then="what stands before counts for nothing",
    ),
    Limit(
        what="times that an aborted request is judged again",
        bound=f"{MOST_ABORTS}",
        then="the engine counts as dead and the worker ends",
        metric="rsafe_engine_aborts",
    ),
    Limit(
        what="prompts of policies kept as tokens",
        bound=f"plans of {KEPT_TOKENS:,} tokens together, {tokens.REMEMBERED:,} texts",
        then="the least used is made again",
        holders=(
            "judge.plan.Plans._kept",
            "judge.tokens.Tokens._remembered",
        ),
    ),
    Limit(
        what="words that a quote of a reasoning may begin with, where it is bound to copy",
        bound=f"the first {copied.MAX_WORDS:,} of the message; tokens of the model's vocabulary",
        then="later words are quoted only as the rest of a quote",
        holders=(
            "judge.copied.Vocabulary.tokens",
            "judge.copied.Vocabulary._plain",
            "judge.copied.Vocabulary._closing",
        ),
    ),
    Limit(
        what="messages that wait for a rehearsal",
        bound="shadow_queue_messages",
        then="the oldest is dropped",
        metric="rsafe_shadow_dropped",
        holders=(
            "stream.shadow.Shadow._queue",
            "stream.shadow.Shadow._tasks",
        ),
    ),
    Limit(
        what="announcements and dead letters of policies that wait for Kafka",
        bound=f"{ANNOUNCEMENTS:,} and {LETTERS}",
        then="the oldest is dropped; decisions stay in `policy-history`",
        metric="rsafe_limits_reached",
        holders=("policy.outbox.Outbox._waiting",),
    ),
    Limit(
        what="a policy record",
        bound=f"{accept.MAX_RECORD_BYTES // 1024} KiB",
        then="refused",
        metric="rsafe_dead_letters",
    ),
    Limit(
        what="categories, clauses of each, golden cases, prose",
        bound=(
            f"{accept.MAX_CATEGORIES}, {accept.MAX_CLAUSES}, {accept.MAX_GOLDEN_CASES:,},"
            f" {accept.MAX_TEXT_CHARS:,} characters"
        ),
        then="refused",
        metric="rsafe_dead_letters",
    ),
    Limit(
        what="policies in force, and decisions about them",
        bound="what `policies` and `policy-history` hold",
        then="the tokens of an effective policy and three numbers for each decision stay in memory",
        metric="rsafe_heap_blocks",
        holders=(
            "policy.history.Book._accepted",
            "policy.history.Book._decided",
            "policy.history.Book._last",
            "policy.history.Book._passed",
            "policy.history.Book._present",
            "policy.history.Book._seen",
            "policy.store.PolicyStore._cache",
            "policy.store.PolicyStore._rehearsals",
            "policy.acks.Roll._said",
        ),
    ),
    Limit(
        what="error text in a dead letter",
        bound=f"{MAX_DETAIL_CHARS:,} characters",
        then="cut",
    ),
    Limit(
        what="a verdict",
        bound="`max.message.bytes` of `verdicts`",
        then="a dead letter of stage `publish`",
        metric="rsafe_dead_letters",
    ),
    Limit(
        what="a trace",
        bound="`max.message.bytes` of `traces`",
        then="published without its texts",
        metric="rsafe_redacted_traces",
    ),
    Limit(
        what="a dead letter",
        bound="`max.message.bytes` of `dead-letters`",
        then="it is tried again each second and its partition's watermark waits; raise the topic's limit",
        metric="rsafe_limits_reached",
    ),
    Limit(
        what="a request to Kafka, a fetch, and what is fetched of one partition",
        bound=f"{MAX_REQUEST_BYTES >> 20} MiB, {MAX_FETCH_BYTES >> 20} MiB, {MAX_PARTITION_FETCH_BYTES >> 10} KiB",
        then="one larger batch still comes whole",
    ),
    Limit(
        what="rows that `send` and the bench have on their way",
        bound=f"{MAX_UNACKNOWLEDGED:,}",
        then="the source is read no faster",
    ),
    Limit(
        what="wait between two tries of the same",
        bound="5 s, doubled from 0.1 s",
        then="tries go on: what is lost otherwise is a message",
        metric="rsafe_publish_failures",
    ),
    Limit(what="one call to Kafka", bound="kafka_timeout_s", then="it is tried again", metric="rsafe_commit_failures"),
    Limit(
        what="lines of libraries that the log remembers",
        bound=f"{MOST_LINES:,}",
        then="they are forgotten",
        holders=("logs.Sparsely._last_s",),
    ),
    Limit(
        what="policy records that wait for a decision or its read-back",
        bound="what `policies` holds undecided",
        then="nothing: each ends with its decision",
        holders=(
            "policy.store.PolicyStore._held",
            "policy.store.PolicyStore._written",
            "policy.trials.Trials._tried",
            "policy.trials.Trials._waiting",
        ),
    ),
    Limit(
        what="keys of subjects that a worker holds",
        bound="subject_keys_held",
        then="the one used longest ago is forgotten; the subject gets another one",
        holders=("stream.sealer.Sealer._held",),
    ),
    Limit(
        what="keys of subjects that are being published",
        bound="one for each message in the judge",
        then="nothing: what is sealed under them waits for them",
        holders=("stream.sealer.Sealer._waiting", "stream.sealer.Sealer._tasks"),
    ),
    Limit(
        what="subjects that were erased or are held",
        bound="those in `erasures`",
        then="nothing: a word of theirs may come at any time",
        holders=(
            "erasure.erased.Erased._held",
            "erasure.erased.Erased._begun_ms",
            "erasure.erased.Erased._open_ms",
            "erasure.erased.Erased._done_ms",
        ),
    ),
    Limit(
        what="outcomes that a read-back found",
        bound="those between the commit and the logs' ends",
        then="nothing: each goes when its message is met",
        metric="rsafe_read_back",
        holders=("stream.ledger.PartitionLedger._published",),
    ),
    Limit(
        what="what is kept for each partition",
        bound="the partitions of `messages`",
        then="nothing",
        metric="rsafe_watermark_lag",
        holders=(
            "stream.committer.Committer._committed",
            "stream.quarantine.Quarantine._waiting",
            "stream.vitals.Vitals.rungs",
            "stream.delivery.Delivery._sending",
            "stream.group.Group.halted",
            "stream.group.Group.open",
            "stream.intake.Intake._careful",
            "stream.ledger.Ledger._open",
            "stream.plane.DataPlane._tasks",
            "stream.publisher.Publisher._tasks",
            "stream.refill.Refill._rests_until_s",
            "stream.rereader.Reader._places",
            "stream.service.WorkerService.commands_from",
        ),
    ),
)
