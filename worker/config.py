"""Settings: what they are called and mean, and what they are if nobody says otherwise. ``config_load.py`` reads them.

The table in the README is generated from this module.
"""

from __future__ import annotations

import os
import socket
from typing import Annotated, Final, Literal, get_type_hints

from msgspec import Meta, Struct

from worker.secret import NO_SECRET, Secret

ENV_PREFIX: Final = "RSAFE_"
_POSITIVE_S = Meta(gt=0, le=3600)

Seconds = Annotated[float, _POSITIVE_S]
Wait = Annotated[float, Meta(ge=0, le=3600)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Settings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that can be set. Each field's ``Meta`` description is its documentation."""

    bootstrap_servers: Annotated[str, Meta(description="Kafka addresses, host:port, separated by commas.")] = (
        "127.0.0.1:9092"
    )
    group_id: Annotated[str, Meta(description="Consumer group of all workers that share the work.", min_length=1)] = (
        "rsafe"
    )
    topic_prefix: Annotated[str, Meta(description="What stands before every topic's name.")] = "moderation."
    instance_id: Annotated[
        str, Meta(description="Name of this worker in logs and records; host and process id if empty.")
    ] = ""
    model: Annotated[str, Meta(description="Folder of the model; empty means the small demo model.")] = ""
    engine: Annotated[
        Literal["vllm", "scripted"],
        Meta(description="What judges: a real model, or rules for tests of the data plane."),
    ] = "vllm"
    web_host: Annotated[str, Meta(description="Address that /livez, /readyz and /metrics are served on.")] = "127.0.0.1"
    web_port: Annotated[Port, Meta(description="Port for /livez, /readyz and /metrics; 0 takes a free one.")] = 6066
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least serious line that is logged.")
    ] = "info"
    max_num_seqs: Annotated[Count, Meta(description="Sequences that the engine runs at once.")] = 32
    window: Annotated[
        int,
        Meta(
            description="Calls of live messages to the engine at once, a message making up to four; 0 means 1.5 x"
            " max_num_seqs.",
            ge=0,
        ),
    ] = 0
    max_num_batched_tokens: Annotated[Count, Meta(description="Tokens in one engine step.")] = 4096
    max_model_len: Annotated[int, Meta(description="Window of the model in tokens; 0 takes the model's own.", ge=0)] = 0
    reasoning_max_tokens: Annotated[
        int, Meta(description="Budget for the reasoning; 0 takes the model folder's.", ge=0)
    ] = 0
    cache_salt: Annotated[
        Literal["private", "tenant", "none"],
        Meta(
            description="Whose prompts share cached prefixes: 'private' shares the floor's and keeps those with"
            " a tenant's own policy text to that tenant, 'tenant' keeps all apart, 'none' shares everything."
        ),
    ] = "private"
    dtype: Annotated[
        Literal["auto", "bfloat16", "float16", "float32"],
        Meta(
            description="Numbers that the model computes with; 'auto' is vLLM's choice (16 bits). With float32 on a CPU"
            " scores were equal to the last digit, whatever else was in the batch; it is slower."
        ),
    ] = "auto"
    tensor_parallel_size: Annotated[Count, Meta(description="GPUs (or processes) that one model is spread over.")] = 1
    gpu_memory_utilization: Annotated[
        float, Meta(description="Share of each GPU's memory that the engine may take.", gt=0, le=1)
    ] = 0.9
    kv_cache_gib: Annotated[int, Meta(description="Memory for the key-value cache on CPU, in GiB.", ge=1)] = 1
    cpu_threads: Annotated[
        int,
        Meta(description="Threads of the engine on CPU; 0 means all cores but one, which the consumer needs.", ge=0),
    ] = 0
    request_timeout_s: Annotated[
        Seconds,
        Meta(description="Longest time for one call; a message may need several (four run at once)."),
    ] = 60.0
    engine_stall_timeout_s: Annotated[
        Seconds, Meta(description="Time without an engine step until it counts as hung.")
    ] = 60.0
    tenant_queue_messages: Annotated[Count, Meta(description="Messages of one tenant held in memory.")] = 1000
    tenant_deferred_messages: Annotated[
        Count, Meta(description="Offsets of one tenant kept for a later read; at most half of deferred_messages.")
    ] = 50_000
    lookahead_messages: Annotated[
        Count, Meta(description="Deferred messages at which intake waits if every tenant seen is past its queue.")
    ] = 20_000
    deferred_messages: Annotated[
        Count, Meta(description="Deferred messages of all tenants at which intake waits, whoever is behind them.")
    ] = 200_000
    deferred_max_age_s: Annotated[
        Seconds, Meta(description="Age at which a deferred message becomes 'overloaded'.")
    ] = 900.0
    buffer_messages: Annotated[Count, Meta(description="Messages of all tenants held in memory.")] = 5000
    buffer_mib: Annotated[Count, Meta(description="Size of all messages held in memory, in MiB.")] = 256
    overload_short_s: Annotated[
        Wait, Meta(description="Wait in the queue from which a tenant's reasoning is shortened; 0: never.")
    ] = 0.0
    overload_label_s: Annotated[
        Wait, Meta(description="Wait from which its reasoning is left out and only the label is asked for; 0: never.")
    ] = 0.0
    overload_hold_s: Annotated[
        Wait, Meta(description="Wait from which its messages are not judged but 'overloaded'; 0: never.")
    ] = 0.0
    overload_short_tokens: Annotated[
        int,
        Meta(description="Budget of a shortened reasoning; above its usual length, or most are cut. 0: half.", ge=0),
    ] = 0
    overload_settle_s: Annotated[
        Seconds, Meta(description="How long waits must be long, or short again, before a rung is taken or left.")
    ] = 5.0
    session_timeout_s: Annotated[Seconds, Meta(description="Silence after which the group gives a worker up.")] = 45.0
    rebalance_timeout_s: Annotated[Seconds, Meta(description="Longest time for a worker to join a rebalance.")] = 60.0
    drain_timeout_s: Annotated[Seconds, Meta(description="Longest wait for messages in flight at revoke or stop.")] = (
        20.0
    )
    commit_interval_s: Annotated[Seconds, Meta(description="Time between commits.")] = 1.0
    kafka_timeout_s: Annotated[Seconds, Meta(description="Deadline of one call to Kafka.")] = 30.0
    policy_max_age_s: Annotated[Seconds, Meta(description="Silence of the policy topic until intake pauses.")] = 60.0
    shadow_share: Annotated[
        Share, Meta(description="Share of the messages that policies under rehearsal (#shadow) judge too; 0 for none.")
    ] = 0.1
    shadow_queue_messages: Annotated[
        Count, Meta(description="Messages that wait for a rehearsal; beyond it the oldest are dropped.")
    ] = 1000
    shadow_in_flight: Annotated[
        Count, Meta(description="Messages of rehearsals in the judge at once; never above a quarter of max_num_seqs.")
    ] = 4
    linger_ms: Annotated[int, Meta(description="How long the producer waits to fill a batch.", ge=0, le=10_000)] = 5
    compression: Annotated[
        Literal["none", "gzip", "zstd", "lz4", "snappy"], Meta(description="Compression of what is produced.")
    ] = "zstd"

    erasure: Annotated[
        Literal["off", "on"],
        Meta(
            description="'on' seals the words in traces, dead letters and overrides under keys of their authors, so"
            " that 'rsafe audit erase' can take them back; needs digest_key."
        ),
    ] = "off"
    subject_keys_held: Annotated[
        Count, Meta(description="Authors whose sealing key is held in memory; who comes back later gets another one.")
    ] = 50_000

    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(description="How Kafka is spoken to: with TLS (SSL), with a login (SASL), with both, or with neither."),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Meta(description="How the password is proven to Kafka.")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, Meta(description="User that logs in to Kafka.")] = ""
    sasl_password: Annotated[
        Secret, Meta(description="That user's password: from the environment or the settings file, never a flag.")
    ] = NO_SECRET
    sasl_password_file: Annotated[
        str, Meta(description="File that holds the password alone; read at every connection.")
    ] = ""
    ssl_ca_file: Annotated[
        str, Meta(description="PEM file of who signs the brokers' certificates; the system's own list if empty.")
    ] = ""
    ssl_cert_file: Annotated[str, Meta(description="PEM file of this client's certificate, where Kafka wants one.")] = (
        ""
    )
    ssl_key_file: Annotated[str, Meta(description="PEM file of that certificate's key, without a passphrase.")] = ""
    ssl_check_hostname: Annotated[
        bool, Meta(description="Whether the broker's certificate must name the address that was connected to.")
    ] = True
    shadow_sasl_username: Annotated[
        str, Meta(description="User of the rehearsals' own client; the worker's if empty.")
    ] = ""
    shadow_sasl_password: Annotated[
        Secret, Meta(description="Password of the rehearsals' user; never a flag either.")
    ] = NO_SECRET
    shadow_sasl_password_file: Annotated[
        str, Meta(description="File that holds the password of the rehearsals' user.")
    ] = ""
    digest_key: Annotated[
        Secret,
        Meta(
            description="Key of digests over texts that could be guessed, the same for all workers: 32 characters or"
            " more, from the environment or the settings file, never a flag."
        ),
    ] = NO_SECRET
    digest_key_file: Annotated[str, Meta(description="File that holds that key alone; read at the start.")] = ""

    @property
    def uses_tls(self) -> bool:
        """Whether connections to Kafka are encrypted."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def uses_sasl(self) -> bool:
        """Whether clients log in to Kafka with a user and a password."""
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    @property
    def in_flight(self) -> int:
        """Calls of live messages that may be made at once: as many messages, where each needs one."""
        return self.window or max(1, self.max_num_seqs * 3 // 2)

    @property
    def instance(self) -> str:
        """The name of this worker, unique on its host."""
        return self.instance_id or f"{socket.gethostname()}-{os.getpid()}"

    def topic(self, name: str) -> str:
        """Return the full name of a topic."""
        return self.topic_prefix + name


def field_names() -> tuple[str, ...]:
    """Return the names of all settings, in their order."""
    return Settings.__struct_fields__


def describe() -> list[tuple[str, str, str]]:
    """Return (name, default, description) of each setting, for ``--help`` and the README."""
    hints = get_type_hints(Settings, include_extras=True)
    defaults = Settings()
    rows = []
    for name in field_names():
        metas = [meta for meta in getattr(hints[name], "__metadata__", ()) if isinstance(meta, Meta)]
        text = next((meta.description for meta in metas if meta.description), "")
        rows.append((name, str(getattr(defaults, name)), text))
    return rows


def secret_names() -> frozenset[str]:
    """Return the names of the settings whose values are never shown."""
    return frozenset(name for name, kind in get_type_hints(Settings).items() if kind is Secret)
