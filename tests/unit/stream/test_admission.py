"""Who is judged next, case by case. The state machine in tests/property covers the combinations."""

from __future__ import annotations

from msgspec import structs

from worker.stream.admission import AGED_ONE_IN, QUANTUM_TOKENS, Admission, Entry, Lane


class Clock:
    """A clock that stands still until it is told otherwise."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time it was told."""
        return self.now_s


def admission(
    clock: Clock | None = None,
    *,
    messages: int = 1000,
    size: int = 10**9,
    replay: int = 2,
    same_id: int = 3,
    together: int = 10**6,
    together_bytes: int = 10**12,
) -> Admission[Entry]:
    """Build an empty admission."""
    return Admission(
        messages=together,
        size_bytes=together_bytes,
        tenant_messages=messages,
        tenant_bytes=size,
        replay_slots=replay,
        same_id_messages=same_id,
        aging_s=10.0,
        clock=clock or Clock(),
    )


def entry(
    tenant: str,
    offset: int,
    *,
    tokens: int = 100,
    lane: Lane = "live",
    group: str = "",
    message: str = "",
    size: int = 1,
) -> Entry:
    """Build a message of partition 0 whose id is its offset unless one is given."""
    return Entry(
        tenant_id=tenant,
        message_id=message or f"m{offset}",
        partition=0,
        offset=offset,
        tokens=tokens,
        size_bytes=size,
        group=group,
        lane=lane,
    )


def offsets(taken: list[Entry]) -> list[int]:
    """Return the offsets of what was handed out."""
    return [item.offset for item in taken]


def test_a_tenant_is_first_in_first_out() -> None:
    """Messages of one tenant are handed out in the order in which they came."""
    queues = admission()
    for offset in range(5):
        queues.offer(entry("a", offset))

    assert offsets(queues.take(3)) == [0, 1, 2]
    assert offsets(queues.take(9)) == [3, 4]
    assert queues.take(1) == []


def test_many_hot_tenants_leave_room_for_another() -> None:
    """Each may fill its own queue; above half of what may wait together each has an equal share, and one stays free."""
    queues = admission(messages=40, together=100)
    hot = [f"hot {number}" for number in range(4)]
    held = {tenant: sum(queues.offer(entry(tenant, n)) for n in range(60)) for tenant in hot[:1]}
    assert held == {"hot 0": 40}

    for number in range(60):
        for tenant in hot[1:]:
            held[tenant] = held.get(tenant, 0) + queues.offer(entry(tenant, 1000 * hot.index(tenant) + number))

    assert held == {"hot 0": 40, "hot 1": 14, "hot 2": 13, "hot 3": 13}
    assert queues.offer(entry("quiet", 9999))
    # What waits gets less, and with it the queues are as long as ever.
    queues.take(60)
    assert queues.whole().messages == 40


def test_many_hot_tenants_leave_bytes_for_another() -> None:
    """What holds for their number holds for their size."""
    queues = admission(size=400, together_bytes=1000)
    for number in range(60):
        for tenant in range(4):
            queues.offer(entry(f"hot {tenant}", 1000 * tenant + number, size=10))

    assert queues.queued("live") == (1000 - 1000 // 5) // 10
    assert queues.offer(entry("quiet", 9999, size=200))


def test_what_is_handed_out_makes_so_many_calls() -> None:
    """A message that makes several counts as several; the last one may be more than was left."""
    queues = admission()
    for offset, calls in enumerate((1, 4, 4, 1, 2)):
        queues.offer(structs.replace(entry("a", offset), calls=calls))

    assert offsets(queues.take(2)) == [0, 1]
    assert offsets(queues.take(5)) == [2, 3]
    assert offsets(queues.take(1)) == [4]


def test_ten_times_the_messages_are_not_ten_times_the_share() -> None:
    """Two tenants that both wait get the same tokens, however long their queues are."""
    queues = admission()
    for offset in range(1000):
        queues.offer(entry("hot", offset))
    for offset in range(1000, 1100):
        queues.offer(entry("quiet", offset))

    taken = queues.take(200)

    quiet = sum(item.tenant_id == "quiet" for item in taken)
    assert 90 <= quiet <= 100


def test_tokens_are_shared_and_not_messages() -> None:
    """A tenant of long messages gets fewer of them through."""
    queues = admission()
    for offset in range(400):
        queues.offer(entry("long", offset, tokens=400))
        queues.offer(entry("short", 1000 + offset, tokens=100))

    taken = queues.take(250)

    tokens = {name: sum(item.tokens for item in taken if item.tenant_id == name) for name in ("long", "short")}
    assert abs(tokens["long"] - tokens["short"]) <= 2 * QUANTUM_TOKENS


def test_a_message_dearer_than_any_quantum_is_handed_out() -> None:
    """A huge message costs its tenant many rounds, but nobody waits for ever."""
    queues = admission()
    queues.offer(entry("a", 0, tokens=1_000_000))

    assert offsets(queues.take(1)) == [0]


def test_a_full_queue_refuses_and_an_empty_one_never_does() -> None:
    """A tenant's queue is bounded by count and by bytes; one message always fits."""
    queues = admission(messages=2, size=10)

    assert queues.offer(entry("a", 0, size=100))
    assert not queues.offer(entry("a", 1, size=1))
    assert not queues.room("a").fits(1)
    assert queues.offer(entry("b", 2))
    assert queues.room("b").messages == 1
    assert queues.offer(entry("b", 3))
    assert not queues.offer(entry("b", 4))
    assert queues.room("c").messages == 2
    assert len(queues) == 3


def test_the_same_id_is_handed_out_one_after_the_other() -> None:
    """A message waits for the one of its id that is being judged, and the rest of its tenant does not."""
    queues = admission()
    for offset in (0, 1, 2):
        queues.offer(entry("a", offset, message="same"))
    queues.offer(entry("a", 3))
    first = queues.take(4)

    assert offsets(first) == [0, 3]
    assert queues.take(4) == []

    queues.release(first[0])
    second = queues.take(4)

    assert offsets(second) == [1]

    queues.release(second[0])

    assert offsets(queues.take(4)) == [2]


def test_of_one_id_only_a_few_wait() -> None:
    """Past its share by count or bytes an id is refused while others of its tenant are not; one alone may be larger."""
    queues = admission(messages=100, size=1000, same_id=3)
    assert all(queues.offer(entry("a", offset, message="same", size=10)) for offset in (0, 1, 2))
    assert not queues.offer(entry("a", 3, message="same", size=0))
    assert queues.room_of_id("a", "same").messages == 0
    assert queues.offer(entry("a", 4, message="large", size=40))
    assert not queues.offer(entry("a", 5, message="large", size=1))
    assert queues.offer(entry("a", 6))

    (first, *_) = queues.take(9)

    assert queues.offer(entry("a", 7, message="same", size=10))

    queues.release(first)

    assert not queues.offer(entry("a", 8, message="same", size=10))
    assert queues.room_of_id("b", "same").fits(10**6)


def test_ids_of_other_tenants_are_other_ids() -> None:
    """The same message id in two tenants is two messages."""
    queues = admission()
    queues.offer(entry("a", 0, message="same"))
    queues.offer(entry("b", 1, message="same"))

    assert sorted(offsets(queues.take(2))) == [0, 1]


def test_live_goes_before_replay_and_replay_is_capped() -> None:
    """A replay uses what live messages leave, and never more slots than it may."""
    queues = admission(replay=2)
    for offset in range(5):
        queues.offer(entry("a", offset, lane="replay"))
    queues.offer(entry("a", 9))

    taken = queues.take(6)

    assert offsets(taken) == [9, 0, 1]
    assert queues.queued("replay") == 3

    queues.release(taken[1])

    assert offsets(queues.take(6)) == [2]


def test_messages_of_one_policy_stand_side_by_side() -> None:
    """What is handed out at once is ordered by policy, so that prefixes are shared."""
    queues = admission()
    for offset, group in enumerate("xyxyx"):
        queues.offer(entry(f"t{offset}", offset, group=group))

    assert [item.group for item in queues.take(5)] == ["x", "x", "x", "y", "y"]


def test_the_oldest_offset_of_a_partition_goes_first_once_it_is_old() -> None:
    """A tenant far behind its share cannot hold a watermark: one slot in four goes to the oldest."""
    clock = Clock()
    queues = admission(clock)
    # Its first message costs more than many rounds of the others.
    queues.offer(entry("behind", 0, tokens=1_000_000))
    for offset in range(1, 200):
        queues.offer(entry("ahead", offset, tokens=1))

    assert 0 not in offsets(queues.take(2 * AGED_ONE_IN))

    clock.now_s = 11.0

    assert 0 in offsets(queues.take(AGED_ONE_IN))


def test_age_does_not_undo_fairness() -> None:
    """A hot tenant whose whole backlog is old pays for the slots that it gets by age: the shares stay even."""
    clock = Clock()
    queues = admission(clock)
    for offset in range(1000):
        queues.offer(entry("hot", offset))
    clock.now_s = 100.0
    for offset in range(1000, 1200):
        queues.offer(entry("quiet", offset))

    quiet = 0
    for _ in range(200):
        (taken,) = queues.take(1)
        queues.release(taken)
        quiet += taken.tenant_id == "quiet"

    assert 90 <= quiet <= 110


def test_dropped_partitions_leave_nothing() -> None:
    """When a partition is given away its queued messages come back to the caller, parked ones too."""
    queues = admission(messages=3)
    for offset in (0, 1, 2):
        queues.offer(entry("a", offset, message="same"))
    first = queues.take(3)

    assert offsets(first) == [0]
    assert sorted(offsets(queues.drop({0}))) == [1, 2]
    assert len(queues) == 0

    queues.release(first[0])

    assert queues.take(3) == []
    assert queues.room("a").messages == 3
