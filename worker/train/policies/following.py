"""Does a model follow the policy? Pairs of policies for one row, by what was changed. Pure, given a generator.

In a flip the label changes with the policy; in a hold it stays. A pair counts only if every side is
right. All words are held-out ones. The three ``_kept`` kinds are the controls of definition edits: the
definition changes just as in the flip, and the label stays, so that "it changed, so flip" is no answer.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from worker.records import Label
from worker.train.data.labels import PARTS, Sense, is_part, one
from worker.train.data.rows import Row
from worker.train.policies.heldout import WORDS
from worker.train.policies.vocabulary import sentence
from worker.train.policies.wording import NEVER, Entry, Wording, assemble, by_clauses, category

FLIPS: Final = ("removed", "returned", "narrowed", "widened", "definitions_swapped", "violates_allowed_swapped")
HOLDS: Final = ("unrelated_removed", "renamed", "opaque", "reordered")
#: Controls of the definition edits: the same edit, but the row's label stays.
CONTROLS: Final = ("narrowed_kept", "widened_kept", "definitions_swapped_kept")
KINDS: Final = (*FLIPS, *CONTROLS, *HOLDS)
REORDERS: Final = 5
_RETURNED: Final = "returned"
_MAX_PARTS: Final = 2
#: A label of a source is asked only if both values are there and each has such a share of the rows.
_MIN_SHARE: Final = 0.02
_OTHERS: Final = 2


class Pair(Struct, frozen=True, kw_only=True):
    """One row under a policy and under what it was changed to.

    Attributes:
        kind: one of ``KINDS``.
        flip: whether the label changes.
        row: the row; its labels tell every category of all the policies.
        before: the policy as it was.
        afters: the changed policy; several where the worst of them counts.
        full: the policy under which it shows whether a model knows the row; None where that is ``before``.

    """

    kind: str
    flip: bool
    row: Row
    before: Wording
    afters: tuple[Wording, ...]
    full: Wording | None = None


class _Case(Struct, frozen=True, kw_only=True):
    """A row, the concept that is edited, and what the edit brings in: another concept, or parts."""

    row: Row
    key: str
    others: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        return self.row.known[self.key]


def pairs(rows: Sequence[Row], rng: random.Random, limit: int) -> list[Pair]:
    """Return up to ``limit`` pairs of each kind, in the order of ``KINDS``.

    Where a kind has both labels before the change, there are as many of each; sources take turns, and
    within a source its concepts. Kinds that the rows' labels do not allow are left out.
    """
    live = _live(rows)
    made = []
    for kind, (find, build) in _makers().items():
        cases = [case for row in rows for case in find(row, live, rng)]
        made += [_pair(kind, case, build(_Draft(rng, kind), case)) for case in _balanced(cases, rng, limit)]
    return made


def _pair(kind: str, case: _Case, policies: Sequence[Wording]) -> Pair:
    before, *afters = policies
    full = afters.pop() if kind == _RETURNED else None
    return Pair(kind=kind, flip=kind in FLIPS, row=case.row, before=before, afters=tuple(afters), full=full)


def listed_baseline(pair: Pair) -> tuple[Label, ...]:
    """Answer as one who reads names alone: unsafe if a listed name stands for something the row is.

    Returns:
        One label for ``before`` and for each of ``afters``. For definition edits and swaps they are all
        the same, so of these it gets no flip and every control right. Opaque names tell it nothing.

    """
    return tuple(_by_name(wording, pair.row.known) for wording in (pair.before, *pair.afters))


def _by_name(wording: Wording, known: Mapping[str, bool]) -> Label:
    keys = [WORDS.key_of_name.get(category.name, "") for category in wording.panel.categories]
    return "unsafe" if any(known.get(key) for key in keys) else "safe"


Live = frozenset[tuple[str, str]]


def _live(rows: Sequence[Row]) -> Live:
    """Return the (source, concept) pairs whose rows have both labels."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        for key, value in row.known.items():
            if not is_part(key):
                counts[row.source, key][value] += 1
    return frozenset(pair for pair, both in counts.items() if min(both) >= max(1, _MIN_SHARE * sum(both)))


def _asked(row: Row, live: Live) -> list[str]:
    return sorted(key for key in row.known if (row.source, key) in live)


Finder = Callable[[Row, Live, random.Random], Iterator[_Case]]


def _any_label(row: Row, live: Live, rng: random.Random) -> Iterator[_Case]:
    """Find the concepts that a row's source was labelled for, with others that the row is certainly not."""
    for key in _asked(row, live):
        safe = sorted(other for other, value in row.known.items() if not value and not is_part(other) and other != key)
        yield _Case(row=row, key=key, others=tuple(rng.sample(safe, min(_OTHERS, len(safe)))))


def _violating(row: Row, live: Live, rng: random.Random) -> Iterator[_Case]:
    return (case for case in _any_label(row, live, rng) if case.met)


def _parts(*, met: bool, has: bool) -> Finder:
    """Find rows whose label of a concept is ``met``, and parts of it of which the row has one, or none."""

    def find(row: Row, live: Live, rng: random.Random) -> Iterator[_Case]:
        for key in _asked(row, live):
            known = [part for part in PARTS.get(key, ()) if part in row.known]
            sizes = range(1, min(_MAX_PARTS, len(known)) + 1)
            sets = [parts for size in sizes for parts in itertools.combinations(known, size)]
            fitting = [parts for parts in sets if any(row.known[part] for part in parts) is has]
            if row.known[key] is met and fitting:
                yield _Case(row=row, key=key, others=rng.choice(fitting))

    return find


def _two(wanted: Callable[[bool, bool], bool]) -> Finder:
    """Find rows that know two concepts, at least one of which their source was labelled for.

    ``wanted`` gets the values of the one that is listed and of the one that comes in.
    """

    def find(row: Row, live: Live, rng: random.Random) -> Iterator[_Case]:
        asked, known = set(_asked(row, live)), row.known
        concepts = sorted(key for key in known if not is_part(key))
        two = itertools.permutations(concepts, 2)
        found = [keys for keys in two if asked & set(keys) and wanted(known[keys[0]], known[keys[1]])]
        if found:
            key, other = rng.choice(found)
            yield _Case(row=row, key=key, others=(other,))

    return find


def _either(*finders: Finder) -> Finder:
    def find(row: Row, live: Live, rng: random.Random) -> Iterator[_Case]:
        return itertools.chain.from_iterable(finder(row, live, rng) for finder in finders)

    return find


def _balanced(cases: Sequence[_Case], rng: random.Random, limit: int) -> list[_Case]:
    """Choose as many of each label as there are of both, and let sources and concepts take turns."""
    sides = [side for value in (True, False) if (side := [case for case in cases if case.met is value])]
    share = min([limit // len(sides), *map(len, sides)]) if sides else 0
    return [case for side in sides for case in _in_turns(side, rng)[:share]]


def _in_turns(cases: Sequence[_Case], rng: random.Random) -> list[_Case]:
    """Order cases so that sources take turns, and within a source its concepts."""
    lines: dict[str, dict[str, list[_Case]]] = defaultdict(lambda: defaultdict(list))
    for case in rng.sample(list(cases), len(cases)):
        lines[case.row.source][case.key].append(case)
    return _alternate([_alternate([mine[key] for key in sorted(mine)]) for _, mine in sorted(lines.items())])


def _alternate(lines: Sequence[Sequence[_Case]]) -> list[_Case]:
    return [case for turn in itertools.zip_longest(*lines) for case in turn if case is not None]


class _Draft:
    """Builds the policies of one pair from held-out words."""

    def __init__(self, rng: random.Random, kind: str) -> None:
        self.rng = rng
        self.kind = kind
        self.taken: set[str] = set()

    def policy(self, entries: Sequence[Entry]) -> Wording:
        return assemble(entries, self.kind)

    def entry(self, key: str) -> Entry:
        """Return a category of a concept: id, name and definition."""
        words = WORDS.words[key]
        return self.defined(self.free(self.rng.choice(words.ids)), self.rng.choice(words.names), one(key))

    def defined(self, category_id: str, name: str, sense: Sense) -> Entry:
        only = self.rng.choice(WORDS.only) if is_part(sense.any_of[0]) else ""
        definition = f"{only} {WORDS.definition(self.rng, sense)}".strip()
        return Entry(category=category(category_id, name, definition), sense=sense)

    def free(self, wanted: str = "") -> str:
        """Return the id, or an opaque one if none is wanted or the policy has it already."""
        while not wanted or wanted in self.taken:
            wanted = WORDS.opaque_id(self.rng)
        self.taken.add(wanted)
        return wanted

    def unmet(self, case: _Case, least: int) -> list[Entry]:
        """Build categories that the row is certainly not in: other concepts, and topics to make up the number."""
        topics = self.rng.sample(WORDS.topics, max(0, least - len(case.others)))
        return [
            *(self.entry(key) for key in case.others),
            *(
                Entry(category=category(self.free(topic.id), topic.name, topic.definition), sense=NEVER)
                for topic in topics
            ),
        ]

    def among(self, entry: Entry, others: Sequence[Entry]) -> list[Entry]:
        """Put a category at any place among others."""
        place = self.rng.randint(0, len(others))
        return [*others[:place], entry, *others[place:]]

    def edit(self, case: _Case, first: Sense, second: Sense) -> list[Wording]:
        """Build one category twice: its id and name stay, and its definition asks for one sense, then another."""
        made = self.entry(case.key).category
        return [self.policy([self.defined(made.id, made.name, sense)]) for sense in (first, second)]


def _removed(draft: _Draft, case: _Case) -> list[Wording]:
    others = draft.unmet(case, 1)
    return [draft.policy(draft.among(draft.entry(case.key), others)), draft.policy(others)]


def _returned(draft: _Draft, case: _Case) -> list[Wording]:
    """Bring a category back into a policy that had lost it, with an opaque id; the full policy comes last."""
    others = draft.unmet(case, 1)
    full = draft.policy(draft.among(draft.entry(case.key), others))
    back = _changed(draft.entry(case.key), id=draft.free())
    return [draft.policy(others), draft.policy(draft.among(back, others)), full]


def _changed(entry: Entry, **fields: str) -> Entry:
    return msgspec.structs.replace(entry, category=msgspec.structs.replace(entry.category, **fields))


def _narrowed(draft: _Draft, case: _Case) -> list[Wording]:
    return draft.edit(case, one(case.key), Sense(case.others))


def _widened(draft: _Draft, case: _Case) -> list[Wording]:
    """Widen parts to the whole, or a concept by another one."""
    if is_part(case.others[0]):
        return draft.edit(case, Sense(case.others), one(case.key))
    return draft.edit(case, one(case.key), Sense((case.key, *case.others)))


def _definitions_swapped(draft: _Draft, case: _Case) -> list[Wording]:
    return draft.edit(case, one(case.key), one(case.others[0]))


def _clauses_swapped(draft: _Draft, case: _Case) -> list[Wording]:
    """Let what violates and what is allowed change places; nothing else says what the category asks."""
    rng, sense = draft.rng, one(case.key)
    inside = (sentence(WORDS.definition(rng, sense)), sense)
    outside = (rng.choice(WORDS.words[case.key].opposites), Sense(sense.any_of, negated=True))
    made, pointer = draft.entry(case.key).category, rng.choice(WORDS.pointers)
    return [
        draft.policy([by_clauses(rng, made.id, made.name, pointer, violates=[barred], allowed=[free])])
        for barred, free in ((inside, outside), (outside, inside))
    ]


def _unrelated_removed(draft: _Draft, case: _Case) -> list[Wording]:
    others = draft.unmet(case, 1)
    full = draft.among(draft.entry(case.key), others)
    gone = draft.rng.choice(others)
    return [draft.policy(full), draft.policy([entry for entry in full if entry is not gone])]


def _renamed(draft: _Draft, case: _Case) -> list[Wording]:
    made = draft.entry(case.key)
    names = [name for name in WORDS.words[case.key].names if name != made.category.name]
    full = draft.among(made, draft.unmet(case, 0))
    renamed = _changed(made, name=draft.rng.choice(names))
    return [draft.policy(full), draft.policy([renamed if entry is made else entry for entry in full])]


def _opaque(draft: _Draft, case: _Case) -> list[Wording]:
    full = draft.among(draft.entry(case.key), draft.unmet(case, 0))
    ids = [draft.free() for _ in full]
    hidden = [
        _changed(entry, id=opaque_id, name=WORDS.opaque_name(draft.rng, opaque_id))
        for entry, opaque_id in zip(full, ids, strict=True)
    ]
    return [draft.policy(full), draft.policy(hidden)]


def _reordered(draft: _Draft, case: _Case) -> list[Wording]:
    full = draft.among(draft.entry(case.key), draft.unmet(case, _OTHERS))
    orders = list(itertools.permutations(full))[1:]
    return [draft.policy(full), *map(draft.policy, draft.rng.sample(orders, REORDERS))]


def _makers() -> dict[str, tuple[Finder, Callable[[_Draft, _Case], list[Wording]]]]:
    """Return for each kind which rows it takes, and how the policies are built."""
    return {
        "removed": (_violating, _removed),
        "returned": (_violating, _returned),
        "narrowed": (_parts(met=True, has=False), _narrowed),
        "widened": (
            _either(_parts(met=True, has=False), _two(lambda listed, other: other and not listed)),
            _widened,
        ),
        "definitions_swapped": (_two(lambda listed, other: listed != other), _definitions_swapped),
        "violates_allowed_swapped": (_any_label, _clauses_swapped),
        "narrowed_kept": (_parts(met=True, has=True), _narrowed),
        "widened_kept": (
            _either(_parts(met=False, has=False), _two(lambda listed, other: not listed and not other)),
            _widened,
        ),
        "definitions_swapped_kept": (_two(lambda listed, other: listed == other), _definitions_swapped),
        "unrelated_removed": (_any_label, _unrelated_removed),
        "renamed": (_any_label, _renamed),
        "opaque": (_any_label, _opaque),
        "reordered": (_any_label, _reordered),
    }
