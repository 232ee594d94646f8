"""The catalogue of topics and the plan that makes or grows them."""

from __future__ import annotations

from typing import Final

import pytest

from worker.errors import UsageError
from worker.topics import TopicSpec, _copies, _copies_warning, catalogue, plan

MIB: Final = 1024 * 1024
NAMES: Final = {
    "messages",
    "policies",
    "policy-history",
    "verdicts",
    "traces",
    "dead-letters",
    "shadow-verdicts",
    "shadow-traces",
    "overrides",
    "exceptions",
    "policy-applied",
    "replays",
    "replay-verdicts",
    "replay-traces",
    "commands",
    "subject-keys",
    "erasures",
}
SINGLE: Final = {"policies", "policy-history", "commands", "replays", "subject-keys", "erasures"}
EVERYTHING_AT_8: Final = {spec.name: 1 if spec.single else 8 for spec in catalogue("p.")}


def spec(name: str) -> TopicSpec:
    """Return one topic of the catalogue with the prefix ``p.``."""
    return next(spec for spec in catalogue("p.") if spec.name == "p." + name)


def test_every_topic_is_in_the_catalogue_under_the_prefix() -> None:
    """The seventeen topics are there, once each, and each begins with the prefix."""
    names = [spec.name for spec in catalogue("tenant-7.")]

    assert sorted("tenant-7." + name for name in NAMES) == sorted(names)


def test_topics_with_one_partition() -> None:
    """Policies, their history, commands, replays, keys and erasures have one partition; nothing else is bound to."""
    assert {"p." + name for name in SINGLE} == {spec.name for spec in catalogue("p.") if spec.single}


@pytest.mark.parametrize(
    "name, size",
    [("messages", 2 * MIB), ("verdicts", 3 * MIB), ("traces", 3 * MIB), ("dead-letters", 4 * MIB)],
)
def test_record_sizes(name: str, size: int) -> None:
    """An output takes more than its input: a dead letter holds the message and what went wrong."""
    assert str(size) == spec(name).settings["max.message.bytes"]


def test_only_policies_exceptions_and_keys_are_compacted() -> None:
    """Compaction keeps the heads of these, and takes erased keys away; it would destroy anything else."""
    assert ["p.policies", "p.subject-keys", "p.exceptions"] == [
        spec.name for spec in catalogue("p.") if spec.settings["cleanup.policy"] == "compact"
    ]


def test_the_broker_is_the_clock_everywhere() -> None:
    """The broker stamps messages, policies and all outputs; a producer's clock decides nothing."""
    stamped = {spec.name for spec in catalogue("p.") if spec.settings.get("message.timestamp.type") == "LogAppendTime"}

    assert {spec.name for spec in catalogue("p.")} == stamped


def test_replaced_exceptions_outlive_the_verdicts_that_they_changed() -> None:
    """Compaction leaves a replaced record alone for as long as a verdict is kept: a replay finds what was in force."""
    assert spec("exceptions").settings["min.compaction.lag.ms"] == spec("verdicts").settings["retention.ms"]


def test_what_is_kept_for_ever() -> None:
    """The history of policies, and what people decided or erased, has no end."""
    kept = {spec.name for spec in catalogue("p.") if spec.settings.get("retention.ms") == "-1"}

    assert {"p.policy-history", "p.overrides", "p.exceptions", "p.replays", "p.erasures"} == kept


def test_no_topic_elects_a_leader_that_lost_records() -> None:
    """Unclean leader election is off everywhere."""
    assert {"false"} == {spec.settings["unclean.leader.election.enable"] for spec in catalogue("p.")}


def test_outputs_outlive_their_input() -> None:
    """A verdict is kept at least as long as its message, so that read-back and audit find it."""
    message_ms = int(spec("messages").settings["retention.ms"])
    outputs = [int(spec.settings["retention.ms"]) for spec in catalogue("p.") if spec.follows]

    assert all(retention_ms == -1 or retention_ms >= message_ms for retention_ms in outputs)


def test_an_empty_cluster_gets_everything_with_messages_last() -> None:
    """All topics are created, messages after every output."""
    todo = plan(catalogue("p."), {}, 8)

    assert EVERYTHING_AT_8 == dict(todo.create)
    assert list(todo.create)[-1] == "p.messages"
    assert not todo.grow


@pytest.mark.parametrize("partitions", [8, 5, 1], ids=["the same", "fewer", "one"])
def test_nothing_to_do(partitions: int) -> None:
    """The same number again, or a smaller one, changes nothing."""
    todo = plan(catalogue("p."), EVERYTHING_AT_8, partitions)

    assert (dict(todo.create), dict(todo.grow)) == ({}, {})


def test_growing_leaves_single_topics_alone_and_messages_for_the_end() -> None:
    """Every output has room before a message can lie in a new partition."""
    todo = plan(catalogue("p."), EVERYTHING_AT_8, 12)

    assert {"p." + name for name in NAMES - SINGLE} == set(todo.grow)
    assert set(todo.grow.values()) == {12}
    assert list(todo.grow)[-1] == "p.messages"


def test_outputs_catch_up_with_messages() -> None:
    """Where messages has more partitions than asked for, its outputs get as many."""
    todo = plan(catalogue("p."), EVERYTHING_AT_8 | {"p.messages": 16}, 8)

    assert {"p." + name for name in NAMES - SINGLE - {"messages"}} == set(todo.grow)
    assert set(todo.grow.values()) == {16}


def test_messages_does_not_follow_its_outputs() -> None:
    """More partitions of an output than of messages are no reason to grow messages."""
    todo = plan(catalogue("p."), EVERYTHING_AT_8 | {"p.verdicts": 16}, 8)

    assert not todo.grow


@pytest.mark.parametrize(
    "brokers, asked, given",
    [
        (1, (None, None), (1, 1)),
        (2, (None, None), (2, 2)),
        (3, (None, None), (3, 2)),
        (5, (None, None), (3, 2)),
        (3, (1, None), (1, 1)),
        (5, (5, 3), (5, 3)),
        (3, (None, 1), (3, 1)),
    ],
)
def test_copies(brokers: int, asked: tuple[int | None, int | None], given: tuple[int, int]) -> None:
    """Without a wish it is min(3, brokers) and min(2, replication); a wish is obeyed."""
    assert given == _copies(brokers, *asked)


@pytest.mark.parametrize("replication, min_isr", [(4, None), (0, None), (2, 3), (3, 0)])
def test_copies_that_cannot_be(replication: int, min_isr: int | None) -> None:
    """More copies than brokers, more in-sync copies than copies, or none at all is wrong use."""
    with pytest.raises(UsageError, match="ask for 1 to"):
        _copies(3, replication, min_isr)


@pytest.mark.parametrize("copies, warns", [((3, 2), 0), ((5, 3), 0), ((3, 1), 1), ((1, 1), 1), ((2, 2), 1)])
def test_few_copies_are_warned_of(copies: tuple[int, int], warns: int) -> None:
    """Below replication 3 and min.isr 2 there is one warning."""
    assert warns == len(_copies_warning(*copies))
