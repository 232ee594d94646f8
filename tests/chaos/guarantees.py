"""What must hold whatever went wrong, each guarantee an object that looks at the topics and processes only. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from tests.chaos import traffic

Place = tuple[int, int]


class Outcome(Struct, frozen=True, kw_only=True):
    """One record of ``verdicts`` or ``dead-letters``.

    Attributes:
        topic: its topic's short name.
        partition: where it stands.
        place: partition and offset of the message that it is about.
        writer: the worker that wrote it; empty for a dead letter, which does not say.
        verdict: its JSON; none for a dead letter.
        value: a dead letter's bytes; none for a verdict.

    """

    topic: str
    partition: int
    place: Place
    writer: str = ""
    verdict: dict[str, Any] | None = None
    value: bytes | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything that was seen from outside.

    Attributes:
        engine: ``scripted`` or ``real``.
        inputs: the value of each record of ``messages`` by its place, as read back.
        outcomes: in the order of each log.
        traces: the ids of all traces.
        policies: offsets of the policies that may judge.
        stalled: workers that were out of reach for longer than their session, and the kind of fault that did it.
        audit: what ``audit verify --json`` printed.
        trouble: ends of workers that nobody asked for, or that went wrong.
        late: faults that were not recovered from in time.
        orphans: processes that outlived the run.

    """

    engine: str
    inputs: dict[Place, bytes | None]
    outcomes: list[Outcome]
    traces: set[str]
    policies: set[int]
    stalled: dict[str, str]
    audit: dict[str, Any]
    trouble: list[str]
    late: list[str]
    orphans: list[str]

    @property
    def verdicts(self) -> list[Outcome]:
        """The outcomes that are verdicts."""
        return [outcome for outcome in self.outcomes if outcome.verdict is not None]


class Guarantee(Struct, frozen=True):
    """A promise, and how it is checked: ``broken`` yields one line for each place where it does not hold."""

    name: str
    promise: str
    broken: Callable[[Evidence], Iterator[str]]


def doubled(evidence: Evidence) -> dict[Place, list[Outcome]]:
    """Return the messages that have more than one outcome record, counted raw."""
    by_place: dict[Place, list[Outcome]] = {}
    for outcome in evidence.outcomes:
        by_place.setdefault(outcome.place, []).append(outcome)
    return {place: found for place, found in by_place.items() if len(found) > 1}


def after_stalls(evidence: Evidence) -> dict[Place, str]:
    """Return the doubles that a worker had a part in that was out of reach for too long, and the kind of fault."""
    return {
        place: evidence.stalled[outcome.writer]
        for place, found in doubled(evidence).items()
        for outcome in found
        if outcome.writer in evidence.stalled
    }


def _lost(evidence: Evidence) -> Iterator[str]:
    have = {outcome.place for outcome in evidence.outcomes if outcome.partition == outcome.place[0]}
    for place, value in evidence.inputs.items():
        if value is not None and place not in have:
            yield f"{_at(place)} has no outcome"


def _doubled(evidence: Evidence) -> Iterator[str]:
    excused = after_stalls(evidence)
    for place, found in doubled(evidence).items():
        if place not in excused:
            yield f"{_at(place)} has {len(found)} outcomes, by {', '.join(one.writer or one.topic for one in found)}"


def _invented(evidence: Evidence) -> Iterator[str]:
    for outcome in evidence.outcomes:
        if evidence.inputs.get(outcome.place) is None:
            yield f"{outcome.topic}: an outcome of {_at(outcome.place)}, where no message stands"


def _called_safe(evidence: Evidence) -> Iterator[str]:
    for outcome in evidence.verdicts:
        verdict = outcome.verdict or {}
        if verdict["status"] != "judged" and (
            verdict["label"] is not None or verdict["action"] not in {"review", "hold", "block"}
        ):
            yield f"{_at(outcome.place)}: {verdict['status']}, yet {verdict['label']} and {verdict['action']}"


def _misjudged(evidence: Evidence) -> Iterator[str]:
    """Compare with what the scripted engine must say; a real one may say what it likes of a message."""
    for outcome in evidence.outcomes:
        value = evidence.inputs.get(outcome.place)
        wanted = None if value is None else traffic.expected(value)
        if (wanted is None) != (outcome.verdict is None):
            yield f"{_at(outcome.place)} is in the wrong topic"
        elif outcome.verdict is None and outcome.value != value:
            yield f"{_at(outcome.place)} is not byte for byte in its dead letter"
        elif wanted and outcome.verdict and evidence.engine == "scripted":
            said = {name: outcome.verdict[name] for name in wanted}
            if said != wanted:
                yield f"{_at(outcome.place)} must be {wanted} and is {said}"


def _untraced(evidence: Evidence) -> Iterator[str]:
    for outcome in evidence.verdicts:
        if (outcome.verdict or {})["trace_id"] not in evidence.traces:
            yield f"the verdict of {_at(outcome.place)} has no trace"


def _refused_policies(evidence: Evidence) -> Iterator[str]:
    offsets = Counter(
        part["offset"] for outcome in evidence.verdicts for part in (outcome.verdict or {})["policy"]["parts"]
    )
    for offset in offsets.keys() - evidence.policies:
        yield f"{offsets[offset]} verdicts under the policy at offset {offset}, which must not judge"


def _audit(evidence: Evidence) -> Iterator[str]:
    for name in ("missing", "misplaced", "altered"):
        if evidence.audit[name]:
            yield f"audit verify lists {len(evidence.audit[name])} as {name}, first {evidence.audit[name][0]}"
    named = {(line["partition"], line["offset"]) for line in evidence.audit["doubled"]}
    if named != doubled(evidence).keys():
        yield f"audit verify names {len(named)} doubles, there are {len(doubled(evidence))}"


GUARANTEES: Final = (
    Guarantee("lost", "each message has an outcome", _lost),
    Guarantee("doubled", "no message has two, but for stalls longer than the session", _doubled),
    Guarantee("invented", "no outcome without a message", _invented),
    Guarantee("called safe", "no verdict without a judged status is called safe or let through", _called_safe),
    Guarantee("misjudged", "every outcome is the one that the message must have", _misjudged),
    Guarantee("untraced", "each verdict has its trace", _untraced),
    Guarantee("policies", "a policy that was refused judges nothing", _refused_policies),
    Guarantee("audit", "audit verify is clean, and names exactly the doubles that there are", _audit),
    Guarantee("ends", "no worker ends unasked, each ends well and leaves no engine", lambda seen: iter(seen.trouble)),
    Guarantee("recovery", "every fault is recovered from in time", lambda seen: iter(seen.late)),
    Guarantee("orphans", "no process is left behind", lambda seen: iter(seen.orphans)),
)


def check(evidence: Evidence) -> dict[str, list[str]]:
    """Return what does not hold, by the guarantee's name: nothing if all do."""
    found = {guarantee.name: list(guarantee.broken(evidence)) for guarantee in GUARANTEES}
    return {name: lines for name, lines in found.items() if lines}


def _at(place: Place) -> str:
    return f"messages/{place[0]}/{place[1]}"
