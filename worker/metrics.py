"""The catalogue of metrics: each one's name, meaning and when to worry, and the objects that count.

Nothing is registered at import; ``Metrics`` builds every metric of ``CATALOGUE`` on the registry given.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]
_MS_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 300_000)


class Spec(Struct, frozen=True, kw_only=True):
    """One metric. ``worry`` says when an engineer on call should look."""

    name: str
    kind: Kind
    meaning: str
    worry: str
    labels: tuple[str, ...] = ()


CATALOGUE: Final[tuple[Spec, ...]] = (
    Spec(
        name="rsafe_messages_in",
        kind="counter",
        meaning="Records taken from the messages topic, by partition.",
        worry="it stands still while the topic grows",
        labels=("partition",),
    ),
    Spec(
        name="rsafe_verdicts",
        kind="counter",
        meaning="Verdicts published, by status and label (label is empty where nothing was judged).",
        worry="any status but 'judged' rises",
        labels=("status", "label"),
    ),
    Spec(
        name="rsafe_dead_letters",
        kind="counter",
        meaning="Records that went to dead-letters, by the stage that refused them.",
        worry="it rises: a producer sends what is not a message",
        labels=("stage",),
    ),
    Spec(
        name="rsafe_skips",
        kind="counter",
        meaning="Records with a null value, which are declared skips.",
        worry="it rises: nobody should write null values to messages",
    ),
    Spec(
        name="rsafe_read_back",
        kind="counter",
        meaning="Messages not judged again because an earlier owner had published their outcome.",
        worry="never by itself; it rises after crashes and rebalances",
    ),
    Spec(
        name="rsafe_in_flight",
        kind="gauge",
        meaning="Messages in the judge.",
        worry="at the window's size for long: the engine is the limit",
    ),
    Spec(
        name="rsafe_queued",
        kind="gauge",
        meaning="Messages waiting in admission, by lane.",
        worry="it stays near buffer_messages: more workers are needed",
        labels=("lane",),
    ),
    Spec(
        name="rsafe_deferred",
        kind="gauge",
        meaning="Messages past their tenant's queue of which only the offset is kept.",
        worry="it grows: a tenant sends more than its share",
    ),
    Spec(
        name="rsafe_held_bytes",
        kind="gauge",
        meaning="Bytes of messages held in memory until their outcome is published.",
        worry="it stays near buffer_mib",
    ),
    Spec(
        name="rsafe_watermark_lag",
        kind="gauge",
        meaning="Offsets between the watermark and the last record read, by partition.",
        worry="it grows for minutes: something holds the watermark",
        labels=("partition",),
    ),
    Spec(
        name="rsafe_commit_failures",
        kind="counter",
        meaning="Commits that failed, by error.",
        worry="BrokerAway keeps rising",
        labels=("error",),
    ),
    Spec(
        name="rsafe_rebalances",
        kind="counter",
        meaning="Times that partitions were assigned to this worker.",
        worry="it rises without a deployment: workers leave the group",
    ),
    Spec(
        name="rsafe_epoch_drops",
        kind="counter",
        meaning="Results dropped because their partition had been given away.",
        worry="never by itself; their messages are judged by the new owner",
    ),
    Spec(
        name="rsafe_publish_failures",
        kind="counter",
        meaning="Sends that Kafka refused, by error; each is tried again.",
        worry="it keeps rising",
        labels=("error",),
    ),
    Spec(
        name="rsafe_producer_replacements",
        kind="counter",
        meaning="Producers replaced after an error that they do not recover from.",
        worry="it keeps rising",
    ),
    Spec(
        name="rsafe_redacted_traces",
        kind="counter",
        meaning="Traces published without their texts because they were above the topic's limit.",
        worry="it rises: raise max.message.bytes of traces, or lower the reasoning budget",
    ),
    Spec(
        name="rsafe_subject_keys",
        kind="counter",
        meaning="Sealing keys made (erasure = on), each a record of subject-keys.",
        worry="it rises as fast as messages: raise subject_keys_held",
    ),
    Spec(
        name="rsafe_engine_ms",
        kind="histogram",
        meaning="Milliseconds in the engine for one message.",
        worry="its tail nears request_timeout_s",
    ),
    Spec(
        name="rsafe_queue_ms",
        kind="histogram",
        meaning="Milliseconds between reading a message and giving it to the judge.",
        worry="it grows: messages come faster than they are judged",
    ),
    Spec(
        name="rsafe_engine_aborts",
        kind="counter",
        meaning="Requests that the engine cut short and that were judged again.",
        worry="it rises: something sends signals to the engine",
    ),
    Spec(
        name="rsafe_suspects",
        kind="gauge",
        meaning="Messages that were in the judge when an engine died and have no outcome yet; each is judged alone.",
        worry="above zero: the engine died; its log says why",
    ),
    Spec(
        name="rsafe_judge_failures",
        kind="counter",
        meaning="Messages whose judging raised an error that nobody foresaw; they got status engine_error.",
        worry="above zero: a bug; the log names the error's class",
        labels=("error",),
    ),
    Spec(
        name="rsafe_prompt_tokens",
        kind="counter",
        meaning="Prompt tokens of all engine calls.",
        worry="never by itself",
    ),
    Spec(
        name="rsafe_cached_tokens",
        kind="counter",
        meaning="Prompt tokens that came from the prefix cache.",
        worry="its share of the prompt tokens falls: prompts no longer share their policy",
    ),
    Spec(
        name="rsafe_output_tokens",
        kind="counter",
        meaning="Tokens written by the engine, reasoning included.",
        worry="never by itself",
    ),
    Spec(
        name="rsafe_degraded",
        kind="counter",
        meaning="Messages from which something was left out to keep up, by rung of the overload ladder.",
        worry="it rises: messages wait longer than declared; 'hold' are not judged at all",
        labels=("rung",),
    ),
    Spec(
        name="rsafe_overloaded_tenants",
        kind="gauge",
        meaning="Tenants at each declared rung of the overload ladder now.",
        worry="above zero for long: more workers are needed, or a tenant sends more than its share",
        labels=("rung",),
    ),
    Spec(
        name="rsafe_shadow_judged",
        kind="counter",
        meaning="Verdicts of policies under rehearsal (#shadow) that were published.",
        worry="it stands still although a #shadow policy is in force",
    ),
    Spec(
        name="rsafe_shadow_dropped",
        kind="counter",
        meaning="Judgements of rehearsals that were given up, by reason (queue, engine, size, error).",
        worry="'queue' rises all the time: lower shadow_share; 'error' above zero: a bug, see the log",
        labels=("reason",),
    ),
    Spec(
        name="rsafe_policies_stale",
        kind="gauge",
        meaning="1 while the policies may be old and intake waits, else 0.",
        worry="it is 1",
    ),
    Spec(
        name="rsafe_policy_age_seconds",
        kind="gauge",
        meaning="Seconds since the policy topic was last read to its end.",
        worry="it nears policy_max_age_s, where intake stops",
    ),
    Spec(
        name="rsafe_suppressions",
        kind="counter",
        meaning="Verdicts published whose recommended action an exception made milder.",
        worry="it rises by much after an exception was put: 'rsafe exceptions list' says which one",
    ),
    Spec(
        name="rsafe_exceptions",
        kind="gauge",
        meaning="Exceptions known, by state (in_force, expired, refused).",
        worry="refused is above zero: 'rsafe exceptions list' names field and cure",
        labels=("state",),
    ),
    Spec(
        name="rsafe_exception_age_seconds",
        kind="gauge",
        meaning="Seconds since the exceptions topic was last read to its end.",
        worry="it nears policy_max_age_s, where intake stops",
    ),
    Spec(
        name="rsafe_halted_partitions",
        kind="gauge",
        meaning="Partitions that were stopped because a batch cannot be read or an output partition is missing.",
        worry="above zero: messages of that partition are not judged",
    ),
    Spec(
        name="rsafe_gaps",
        kind="counter",
        meaning="Offsets that retention took before they were judged; dead letters of stage retention say which.",
        worry="above zero: retention is shorter than the backlog",
        labels=("partition",),
    ),
    Spec(
        name="rsafe_limits_reached",
        kind="counter",
        meaning="Times that a limit was reached, by limit; the table of limits says what follows each time.",
        worry="'buffer' or 'lookahead' rise all the time: more workers; any other: see the table",
        labels=("limit",),
    ),
    Spec(
        name="rsafe_tasks",
        kind="gauge",
        meaning="Tasks of the main loop; a message has one while it is in the judge, and one for each of its calls.",
        worry="it grows while rsafe_in_flight does not",
    ),
    Spec(
        name="rsafe_heap_blocks",
        kind="gauge",
        meaning="Blocks of memory that Python objects hold; unlike the process's memory it falls when they are freed.",
        worry="it grows for days at the same load: a leak",
    ),
)
_BY_NAME: Final = {spec.name: spec for spec in CATALOGUE}


class Metrics:
    """Every metric of the catalogue, on one registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Build and register the metrics; a registry takes them once. The engine's are on the default one."""
        self.registry = registry
        self.messages_in = self._counter("rsafe_messages_in")
        self.verdicts = self._counter("rsafe_verdicts")
        self.dead_letters = self._counter("rsafe_dead_letters")
        self.skips = self._counter("rsafe_skips")
        self.read_back = self._counter("rsafe_read_back")
        self.in_flight = self._gauge("rsafe_in_flight")
        self.queued = self._gauge("rsafe_queued")
        self.deferred = self._gauge("rsafe_deferred")
        self.held_bytes = self._gauge("rsafe_held_bytes")
        self.watermark_lag = self._gauge("rsafe_watermark_lag")
        self.commit_failures = self._counter("rsafe_commit_failures")
        self.rebalances = self._counter("rsafe_rebalances")
        self.epoch_drops = self._counter("rsafe_epoch_drops")
        self.publish_failures = self._counter("rsafe_publish_failures")
        self.producer_replacements = self._counter("rsafe_producer_replacements")
        self.redacted_traces = self._counter("rsafe_redacted_traces")
        self.subject_keys = self._counter("rsafe_subject_keys")
        self.engine_ms = self._histogram("rsafe_engine_ms")
        self.queue_ms = self._histogram("rsafe_queue_ms")
        self.engine_aborts = self._counter("rsafe_engine_aborts")
        self.suspects = self._gauge("rsafe_suspects")
        self.judge_failures = self._counter("rsafe_judge_failures")
        self.prompt_tokens = self._counter("rsafe_prompt_tokens")
        self.cached_tokens = self._counter("rsafe_cached_tokens")
        self.output_tokens = self._counter("rsafe_output_tokens")
        self.degraded = self._counter("rsafe_degraded")
        self.overloaded_tenants = self._gauge("rsafe_overloaded_tenants")
        self.shadow_judged = self._counter("rsafe_shadow_judged")
        self.shadow_dropped = self._counter("rsafe_shadow_dropped")
        self.policies_stale = self._gauge("rsafe_policies_stale")
        self.policy_age_s = self._gauge("rsafe_policy_age_seconds")
        self.suppressions = self._counter("rsafe_suppressions")
        self.exceptions = self._gauge("rsafe_exceptions")
        self.exception_age_s = self._gauge("rsafe_exception_age_seconds")
        self.halted_partitions = self._gauge("rsafe_halted_partitions")
        self.gaps = self._counter("rsafe_gaps")
        self.limits_reached = self._counter("rsafe_limits_reached")
        self.tasks = self._gauge("rsafe_tasks")
        self.heap_blocks = self._gauge("rsafe_heap_blocks")

    def _counter(self, name: str) -> Counter:
        spec = _BY_NAME[name]
        return Counter(spec.name, spec.meaning, spec.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        spec = _BY_NAME[name]
        return Gauge(spec.name, spec.meaning, spec.labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        spec = _BY_NAME[name]
        return Histogram(spec.name, spec.meaning, spec.labels, buckets=_MS_BUCKETS, registry=self.registry)
