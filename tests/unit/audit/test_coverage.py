"""One outcome for each input: planted gaps, doubles and misplacements are found, and nothing else."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from worker.audit.verify.coverage import GONE, Coverage, Input, Outcome, Place, Runs

MESSAGES: Final = "t.messages"
HERE: Final = 3
ELSEWHERE: Final = 4
#: Order of the logs differs by no more than this in these tests.
DISORDER: Final = 6


def message(offset: int, timestamp: int = 0) -> Input:
    """Return what is known of the message at an offset."""
    return Input(timestamp or 1000 + offset, "acme", f"m{offset}", hash(offset))


def verdict(
    offset: int,
    *,
    at: int = 0,
    partition: int = HERE,
    timestamp: int = 0,
    message_id: str | None = None,
    tenant_id: str = "acme",
) -> Outcome:
    """Return a verdict about an offset, standing at ``at``."""
    return Outcome(
        place=Place("t.verdicts", partition, at),
        partition=HERE,
        offset=offset,
        timestamp=timestamp or 1000 + offset,
        tenant_id=tenant_id,
        message_id=message_id or f"m{offset}",
    )


def letter(offset: int, body: int, at: int = 0) -> Outcome:
    """Return a dead letter."""
    return Outcome(
        place=Place("t.dead-letters", HERE, at), partition=HERE, offset=offset, timestamp=1000 + offset, body=body
    )


def finished(
    log: dict[int, Input | None], outcomes: list[Outcome], *, end: int | None = None, max_open: int = 100
) -> Coverage:
    """Feed a whole log and then its outcomes."""
    coverage = Coverage(MESSAGES, HERE, 0, max(log, default=-1) + 1 if end is None else end, max_open=max_open)
    for offset, one in log.items():
        coverage.message(offset, one)
    for outcome in outcomes:
        coverage.outcome(outcome)
    coverage.finish({offset: log[offset] for offset in coverage.wanted() if offset in log})
    return coverage


def doubled(coverage: Coverage) -> dict[int, int]:
    """Return how many surplus outcomes each doubled offset has."""
    return {line.offset: len(line.outcomes) for line in coverage.doubled()}


def test_a_whole_log_has_no_faults() -> None:
    """Verdicts, a dead letter and a null value, each offset once."""
    log: dict[int, Input | None] = {0: message(0), 1: None, 2: message(2), 3: message(3)}
    coverage = finished(log, [verdict(2), letter(0, hash(0)), verdict(3)])

    assert (coverage.checked, coverage.skipped) == (4, 1)
    assert (list(coverage.unmet()), doubled(coverage), coverage.misplaced, coverage.altered) == ([], {}, [], [])


def test_a_gap_a_double_and_a_stranger_are_named() -> None:
    """Each of them with its place, and the surplus record beside the double."""
    log: dict[int, Input | None] = {offset: message(offset) for offset in range(4)}
    stranger = verdict(2, at=9, timestamp=5)
    coverage = finished(log, [verdict(0, at=0), verdict(0, at=1), verdict(3, at=2), stranger])

    assert list(coverage.unmet()) == [1, 2]
    (line,) = coverage.doubled()
    assert (line.topic, line.partition, line.offset) == (MESSAGES, HERE, 0)
    assert line.outcomes == (Place("t.verdicts", HERE, 1),)
    (misplaced,) = coverage.misplaced
    assert (misplaced.topic, misplaced.partition, misplaced.offset) == ("t.verdicts", HERE, 9)
    assert misplaced.source == Place(MESSAGES, HERE, 2)
    assert "timestamp" in misplaced.reason


def test_a_verdict_of_another_message_is_misplaced() -> None:
    """A topic that was made anew uses offsets again, even at the same millisecond."""
    coverage = finished({0: message(0)}, [verdict(0, message_id="other")])

    assert list(coverage.unmet()) == [0]
    assert "message_id" in coverage.misplaced[0].reason


def test_an_outcome_without_a_record_at_its_source_is_misplaced() -> None:
    """Transaction markers and compaction leave holes; nothing can be the outcome of one."""
    log: dict[int, Input | None] = {0: message(0), 2: message(2)}
    for outcomes in ([verdict(0), verdict(1), verdict(2)], [verdict(0), verdict(2), verdict(1)]):
        coverage = finished(log, outcomes)

        assert [line.source for line in coverage.misplaced] == [Place(MESSAGES, HERE, 1)]
        assert list(coverage.unmet()) == []


def test_a_null_value_has_its_outcome_already() -> None:
    """A verdict about a declared skip is a second outcome."""
    assert doubled(finished({0: None}, [verdict(0)])) == {0: 1}


def test_an_outcome_in_another_partition_counts_for_its_source() -> None:
    """Alone it is misplaced and nothing is missing; beside the right one it is a double as well."""
    moved = finished({0: message(0)}, [verdict(0, partition=ELSEWHERE)])
    copied = finished({0: message(0)}, [verdict(0), verdict(0, partition=ELSEWHERE)])

    for coverage in (moved, copied):
        assert "another partition" in coverage.misplaced[0].reason
        assert list(coverage.unmet()) == []
    assert (doubled(moved), doubled(copied)) == ({}, {0: 1})


def test_a_dead_letter_that_is_not_its_message_is_altered() -> None:
    """Key and value are kept byte for byte, so the two topics prove each other."""
    coverage = finished({0: message(0), 1: message(1)}, [letter(0, hash(0)), letter(1, hash("other"), at=7)])

    assert [(line.topic, line.offset) for line in coverage.altered] == [("t.dead-letters", 7)]


def test_a_verdict_for_another_tenant_is_altered() -> None:
    """It is the message's outcome, but it does not say what the message says."""
    coverage = finished({0: message(0)}, [verdict(0, tenant_id="bazaar")])

    assert [line.reason for line in coverage.altered] == ["tenant_id is not the message's"]
    assert list(coverage.unmet()) == []


def test_offsets_outside_the_range_are_nobodys_business() -> None:
    """Outcomes of earlier and later messages are read past."""
    coverage = Coverage(MESSAGES, HERE, 5, 7)
    for offset in (5, 6):
        coverage.message(offset, message(offset))
    for offset in (4, 5, 6, 7):
        coverage.outcome(verdict(offset))
    coverage.finish({})

    assert (list(coverage.unmet()), coverage.misplaced, doubled(coverage)) == ([], [], {})


def test_what_retention_took_still_needs_an_outcome() -> None:
    """Nothing is known of the record, so every outcome fits; without one it is unmet."""
    log: dict[int, Input | None] = {0: GONE, 1: GONE, 2: message(2)}
    coverage = finished(log, [verdict(0), verdict(2)])

    assert list(coverage.unmet()) == [1]


def test_runs_keep_offsets_by_their_borders() -> None:
    """Neighbours are one run, however many there are."""
    runs = Runs()
    for offset in (*range(1000), 2000, *range(3000, 3500)):
        runs.add(offset)

    assert [offset in runs for offset in (0, 999, 1000, 2000, 2001, 3499, 3500)] == [1, 1, 0, 1, 0, 1, 0]
    assert len(list(runs)) == 1501


def test_memory_follows_the_disorder_and_not_the_length() -> None:
    """With outcomes close behind, next to nothing is held, whatever the length; and a long gap is a pair of numbers."""
    coverage = Coverage(MESSAGES, HERE, 0, 200_000, max_open=100)
    most = 0
    for offset in range(200_000):
        coverage.message(offset, message(offset))
        if offset >= 50 and offset - 50 < 100_000:
            coverage.outcome(verdict(offset - 50))
        most = max(most, coverage.open + coverage.early)
    coverage.finish({})

    assert most <= 101
    assert len(list(coverage.unmet())) == 100_000
    assert len(coverage._aside._runs) == 1


Fault = tuple[str, int]


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[int, Input | None], list[Outcome], Counter[Fault], set[int]]:
    """Draw a log, its outcomes near their order with planted faults, and what must be found."""
    size = draw(st.integers(1, 40))
    log: dict[int, Input | None] = {}
    outcomes: list[tuple[int, Outcome]] = []
    wanted: Counter[Fault] = Counter()
    missing: set[int] = set()
    for offset in range(size):
        kind = draw(
            st.sampled_from(
                [
                    "fine",
                    "fine",
                    "fine",
                    "null",
                    "hole",
                    "missing",
                    "double",
                    "stranger",
                    "moved",
                    "copied",
                    "ghost",
                    "answered",
                ]
            )
        )
        rank = offset + draw(st.integers(0, DISORDER))
        late = offset + draw(st.integers(0, 3 * size))
        if kind not in {"hole", "ghost"}:
            log[offset] = None if kind in {"null", "answered"} else message(offset)
        if kind == "answered":
            wanted["doubled", offset] = 1
        if kind in {"fine", "double", "copied", "answered"}:
            outcomes.append((rank, verdict(offset)))
        if kind == "double":
            outcomes.append((late, verdict(offset)))
            wanted["doubled", offset] = 1
        if kind in {"moved", "copied"}:
            outcomes.append((late, verdict(offset, partition=ELSEWHERE)))
            wanted["misplaced", offset] = 1
        if kind == "copied":
            wanted["doubled", offset] = 1
        if kind in {"ghost", "stranger"}:
            outcomes.append((late, verdict(offset, timestamp=1)))
            wanted["misplaced", offset] = 1
        if kind in {"missing", "stranger"}:
            missing.add(offset)
    outcomes.sort(key=lambda pair: pair[0])
    return log, [outcome for _, outcome in outcomes], wanted, missing


@given(histories(), st.integers(1, 50), st.randoms(use_true_random=False))
def test_every_planted_fault_is_found_and_no_other(
    drawn: tuple[dict[int, Input | None], list[Outcome], Counter[Fault], set[int]],
    max_open: int,
    random: Random,
) -> None:
    """However the two logs are read in turns, and however little may be held."""
    log, outcomes, wanted, missing = drawn
    coverage = Coverage(MESSAGES, HERE, 0, 40, max_open=max_open)
    left, right = list(log.items()), list(outcomes)
    while left or right:
        if right and (not left or random.random() < 0.5):
            coverage.outcome(right.pop(0))
        else:
            coverage.message(*left.pop(0))
    coverage.finish({offset: log[offset] for offset in coverage.wanted() if offset in log})

    found = Counter(("misplaced", line.source.offset) for line in coverage.misplaced if line.source)
    found.update({("doubled", offset): count for offset, count in doubled(coverage).items()})
    assert found == wanted
    assert set(coverage.unmet()) == missing
    assert coverage.checked == len(log)
