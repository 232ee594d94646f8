"""When intake waits although the buffer has room."""

from __future__ import annotations

from worker.stream.lookahead import MOST_TENANTS, Lookahead


def test_a_backlog_of_hot_tenants_alone_is_not_read_on() -> None:
    """Where every tenant seen is past its queue, reading on helps nobody; below the bound it does no harm."""
    lookahead = Lookahead(asked_from=100, most=1000, memory_s=60, clock=lambda: 0.0)
    lookahead.admitted("hot")
    lookahead.deferred("hot")

    assert not lookahead.futile(99)
    assert lookahead.futile(100)


def test_a_quiet_tenant_keeps_intake_reading() -> None:
    """While a tenant that was seen lately is within its queue, there may be more of it behind the hot one."""
    lookahead = Lookahead(asked_from=100, most=1000, memory_s=60, clock=lambda: 0.0)
    lookahead.deferred("hot")
    lookahead.admitted("quiet")

    assert not lookahead.futile(999)

    lookahead.deferred("quiet")

    assert lookahead.futile(100)


def test_a_tenant_is_forgotten_after_a_while() -> None:
    """A tenant that has sent nothing for long does not keep intake reading for ever."""
    now_s = [0.0]
    lookahead = Lookahead(asked_from=1, most=1000, memory_s=60, clock=lambda: now_s[0])
    lookahead.admitted("first")
    now_s[0] = 50.0
    lookahead.admitted("second")
    now_s[0] = 100.0

    assert not lookahead.futile(1)

    now_s[0] = 111.0

    assert lookahead.futile(1)


def test_memory_is_bounded_whoever_is_behind() -> None:
    """At the bound over all tenants intake waits, although a quiet one may be behind the hot ones."""
    lookahead = Lookahead(asked_from=100, most=1000, memory_s=60, clock=lambda: 0.0)
    lookahead.admitted("quiet")

    assert lookahead.futile(1000)


def test_strangers_do_not_fill_the_memory() -> None:
    """However many names messages bear, so many are remembered: those seen last."""
    lookahead = Lookahead(asked_from=1, most=1000, memory_s=60, clock=lambda: 0.0)
    for number in range(2 * MOST_TENANTS):
        lookahead.admitted(f"stranger-{number}")

    assert list(lookahead._within) == [f"stranger-{number}" for number in range(MOST_TENANTS, 2 * MOST_TENANTS)]
