"""Messages past their tenant's queue."""

from __future__ import annotations

from worker.stream.deferred import Deferred, DeferredOffset, Line, Rooms
from worker.stream.room import Room


def item(
    tenant: str, offset: int, since_s: float = 0.0, partition: int = 0, *, size: int = 1, message_id: str = ""
) -> DeferredOffset:
    """Build a deferred offset; with ``message_id`` one that waits aside."""
    return DeferredOffset(tenant, partition, offset, 7, 1, since_s, size, message_id)


def space(messages: int = 100, whole_bytes: int = 1000) -> Room:
    """Return room that is enough for most tests."""
    return Room(messages, whole_bytes)


def within(messages: int) -> Rooms:
    """Return what says that there is room for so many messages, of all lines together."""
    room = space(messages)
    return lambda _line: [room]


def test_what_comes_back_comes_in_order_and_as_it_fits() -> None:
    """A tenant's messages return first in first out, no more than its queue has room for."""
    deferred = Deferred(tenant_messages=10)
    for offset in range(5):
        assert deferred.add(item("a", offset))

    rooms = within(2)
    chosen = deferred.choose(rooms, space(), -1.0)

    assert [one.offset for one in chosen] == [0, 1]
    assert deferred.choose(rooms, space(), -1.0) == []
    assert len(deferred) == 5

    for one in chosen:
        deferred.settle(one)

    assert [one.offset for one in deferred.choose(within(2), space(), -1.0)] == [2, 3]
    assert len(deferred) == 3


def test_a_tenant_holds_until_its_last_one_is_settled() -> None:
    """A new message must not overtake one that is being read again."""
    deferred = Deferred(tenant_messages=10)
    deferred.add(item("a", 0))

    assert deferred.holds("a")
    assert not deferred.holds("b")

    (chosen,) = deferred.choose(within(1), space(), -1.0)

    assert deferred.holds("a")

    deferred.settle(chosen)

    assert not deferred.holds("a")
    assert len(deferred) == 0


def test_nobody_waits_behind_what_waits_aside() -> None:
    """Revisions aside hold up later ones of theirs alone, but count as their tenant's."""
    deferred = Deferred(tenant_messages=2)
    deferred.add(item("a", 0, message_id="edited"))
    deferred.add(item("a", 1))

    assert deferred.holds_aside(Line("a", 0, "edited"))
    assert not deferred.holds_aside(Line("a", 0, "other"))
    assert not deferred.add(item("a", 2))

    first = deferred.choose(lambda line: [space(0 if line.message_id else 1)], space(), -1.0)

    assert [one.offset for one in first] == [1]

    deferred.settle(first[0])

    assert not deferred.holds("a")
    assert deferred.waits("a")


def test_what_gives_way_goes_behind_what_stands_aside() -> None:
    """A revision from its tenant's line follows the earlier ones of its message, those being read included."""
    deferred = Deferred(tenant_messages=3)
    for one in (item("a", 0, message_id="edited"), item("a", 1, message_id="edited"), item("a", 2)):
        deferred.add(one)
    chosen = deferred.choose(within(3), space(), -1.0)
    assert [one.offset for one in chosen] == [0, 1, 2]

    deferred.settle(chosen[0])
    deferred.set_aside(chosen[2], "edited")
    deferred.settle(chosen[2])
    deferred.put_back([chosen[1]])

    assert not deferred.holds("a")
    assert [one.offset for one in deferred.choose(within(9), space(), -1.0)] == [1, 2]
    assert len(deferred) == 2


def test_lines_of_a_tenant_share_its_room() -> None:
    """Together they bring back no more than its queue has room for."""
    deferred = Deferred(tenant_messages=10)
    for offset in range(4):
        deferred.add(item("a", offset, partition=offset % 2))

    assert len(deferred.choose(within(3), space(), -1.0)) == 3


def test_bytes_are_chosen_and_not_only_messages() -> None:
    """What is too large for the room that is left stays, and whatever stands behind it; one alone may be larger."""
    deferred = Deferred(tenant_messages=10)
    for offset, size in enumerate((600, 600, 1, 5000)):
        deferred.add(item("a", offset, size=size))

    first = deferred.choose(within(9), space(), -1.0)
    second = deferred.choose(within(9), space(), -1.0)
    third = deferred.choose(within(9), space(), -1.0)

    assert [[one.offset for one in chosen] for chosen in (first, second, third)] == [[0], [1, 2], [3]]


def test_what_waited_too_long_is_chosen_in_parts_too() -> None:
    """Its tenant's queue does not matter, but the memory for all does."""
    deferred = Deferred(tenant_messages=10)
    for offset in range(4):
        deferred.add(item("a", offset, size=400))

    assert [one.offset for one in deferred.choose(within(0), space(), 9.0)] == [0, 1]


def test_each_tenant_is_bounded() -> None:
    """Beyond its bound a tenant's message is refused; what is being read again counts."""
    deferred = Deferred(tenant_messages=2)

    assert deferred.add(item("a", 0))
    assert deferred.add(item("a", 1))
    assert not deferred.add(item("a", 2))
    assert deferred.add(item("b", 3))

    deferred.choose(within(1), space(), -1.0)

    assert not deferred.add(item("a", 4))


def test_what_waited_too_long_is_chosen_without_room() -> None:
    """An old message gets its status although its tenant's queue is full."""
    deferred = Deferred(tenant_messages=10)
    deferred.add(item("a", 0, since_s=1.0))
    deferred.add(item("a", 1, since_s=5.0))

    assert [one.offset for one in deferred.choose(within(0), space(), 2.0)] == [0]


def test_no_tenant_is_always_first() -> None:
    """Where only a few can be read at a time, the tenants take turns."""
    deferred = Deferred(tenant_messages=10)
    for offset in range(4):
        deferred.add(item("a", offset))
        deferred.add(item("b", 10 + offset))

    turns = [deferred.choose(within(9), space(1), -1.0)[0].tenant_id for _ in range(4)]

    assert sorted(turns) == ["a", "a", "b", "b"]


def test_what_could_not_be_read_goes_back_in_front() -> None:
    """A failed read changes nothing of the order."""
    deferred = Deferred(tenant_messages=10)
    for offset in range(3):
        deferred.add(item("a", offset))
    deferred.put_back(deferred.choose(within(2), space(), -1.0))

    assert [one.offset for one in deferred.choose(within(9), space(), -1.0)] == [0, 1, 2]
    assert len(deferred) == 3


def test_partitions_that_are_given_away_are_forgotten() -> None:
    """Their offsets stay open for the next owner."""
    deferred = Deferred(tenant_messages=10)
    deferred.add(item("a", 0))
    (read,) = deferred.choose(within(1), space(), -1.0)
    deferred.add(item("a", 1))
    deferred.add(item("b", 2))
    deferred.clear()

    assert len(deferred) == 1
    assert not deferred.holds("b")

    deferred.settle(read)

    assert len(deferred) == 0
    assert not deferred.holds("a")


def test_a_partition_that_rests_holds_up_no_other() -> None:
    """Nothing of it is chosen, even what waited too long; the other partitions' go on."""
    deferred = Deferred(tenant_messages=10)
    for offset in range(4):
        deferred.add(item("a", offset, partition=offset % 2))

    assert [one.offset for one in deferred.choose(within(9), space(), 9.0, {0})] == [1, 3]


def test_what_stands_from_a_bad_batch_on_is_forgotten() -> None:
    """Of its partition in every line, and of no other."""
    deferred = Deferred(tenant_messages=10)
    for offset in range(4):
        deferred.add(item("a", offset))
    deferred.add(item("a", 9, message_id="edited"))
    deferred.add(item("b", 9, partition=1))
    deferred.forget(0, 2)

    assert len(deferred) == 3
    assert not deferred.holds_aside(Line("a", 0, "edited"))
    assert [one.offset for one in deferred.choose(within(9), space(), -1.0)] == [9, 0, 1]
