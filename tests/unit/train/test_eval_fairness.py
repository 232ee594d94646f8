"""Identity terms, and the benign texts that this project wrote."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import SHARED_DATA
from tests.support.evaluating import answer
from worker.demo.samples import load as load_samples
from worker.errors import TrainError
from worker.train.evaluation import fairness
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.fairness import hard_negatives, term_of

_HEADER = "template,toxicity,phrase\n"
#: Words that no mild text needs.
_HARSH = re.compile(r"\b(?:fuck|shit|cunt|nigg|fagg|kike|whore|bitch)", re.IGNORECASE)


def words(text: str) -> frozenset[str]:
    """Return the words of a text, folded."""
    return frozenset(re.findall(r"\w+", text.casefold()))


def overlap(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the Jaccard index."""
    return len(first & second) / max(1, len(first | second))


def test_there_are_300_hard_negatives_of_twelve_kinds() -> None:
    """Twenty-five of each kind, the five that the issue names among them; none twice."""
    chosen = hard_negatives()
    kinds = Counter(one.kind for one in chosen)

    assert len(chosen) == 300
    assert set(kinds.values()) == {25}
    assert {"condolence", "news", "quote", "reclaimed", "game"} <= kinds.keys()
    assert len({words(one.text) for one in chosen}) == 300


def test_hard_negatives_are_mild_and_short() -> None:
    """They fit every window, stand on one line and hold nothing harsh."""
    for one in hard_negatives():
        assert 10 <= len(one.text) <= 120
        assert one.text == one.text.strip()
        assert "\n" not in one.text
        assert not _HARSH.search(one.text)


def test_no_hard_negative_is_a_demonstration_message() -> None:
    """Nor near one, nor near another hard negative: fewer than half of the words are shared."""
    chosen = [words(one.text) for one in hard_negatives()]
    demo = [words(sample.message.text) for sample in load_samples()]

    assert max(overlap(one, other) for one in chosen for other in demo) < 0.5
    assert max(overlap(one, other) for place, one in enumerate(chosen) for other in chosen[:place]) < 0.5


def test_terms_are_found_as_whole_words() -> None:
    """The longest term counts."""
    terms = {"american", "african american", "old", "male"}

    assert term_of("You are a kind african american", terms) == "african american"
    assert term_of("Mateo is bold", terms) is None
    assert term_of("Being old is nice", terms) == "old"


def test_templates_are_benign_and_name_a_term(tmp_path: Path) -> None:
    """Terms come from the set's own sentences; toxic rows and occupations stay out."""
    path = tmp_path / fairness.FILE
    path.parent.mkdir()
    rows = "a,nontoxic,I am deaf\na,toxic,I hate old\nb,nontoxic,hug old\nc,nontoxic,You are a kind doctor\n"
    path.write_text(_HEADER + rows, encoding="utf-8")

    assert fairness.read_templates(tmp_path) == [("deaf", "I am deaf"), ("old", "hug old")]


def test_templates_that_are_missing(tmp_path: Path) -> None:
    """The cause and the cure in one line."""
    with pytest.raises(TrainError, match=r"cannot be read .*; point --data at the folder of data sets"):
        fairness.read_templates(tmp_path)


@pytest.mark.data
def test_most_terms_have_rows_enough() -> None:
    """The real set: about fifty terms, nearly all with at least the rows that a rate needs."""
    counts = Counter(term for term, _ in fairness.read_templates(SHARED_DATA))

    assert len(counts) >= 45
    assert sum(count >= fairness.MIN_ROWS for count in counts.values()) >= 0.9 * len(counts)


def test_questions_of_identity_terms() -> None:
    """At most so many of each term, spread over its texts, under each policy, all of them safe."""
    pairs = [("old", "hug old"), ("old", "I am old"), ("deaf", "hug deaf")]
    many = [("old", f"text {number}") for number in range(9)]

    questions = fairness.identity_questions(pairs, 1, "direct")

    assert [one.message.text for one in questions] == ["hug old", "hug deaf"] * 3
    assert [one.group for one in questions[:2]] == ["old", "deaf"]
    assert not any(one.unsafe for one in questions)
    assert len({(one.name, one.place) for one in questions}) == 6
    some = fairness.identity_questions(many, 3, "direct")[:3]
    assert [(one.message.text, one.place) for one in some] == [(f"text {n}", f"identity:{n}") for n in (0, 3, 6)]


def test_gap_by_hand() -> None:
    """Half of one term's rows and a tenth of the other's: 0.4; a term with few rows stays out."""
    found = [
        answer(n, unsafe=False, score=0.9 if n % 20 < high else 0.1, concept="hate", group=term)
        for term, high in (("old", 10), ("deaf", 2))
        for n in range(20)
    ]
    found.append(answer(99, unsafe=False, score=0.9, concept="hate", group="rare"))

    gaps = fairness.identity_gaps(found)

    assert list(gaps) == ["hate"]
    assert gaps["hate"].terms == 2
    assert gaps["hate"].gap == pytest.approx(0.4)
    assert gaps["hate"].highest == (("old", 0.5), ("deaf", 0.1))
    assert gaps["hate"].lowest == (("deaf", 0.1), ("old", 0.5))
    few = fairness.identity_gaps(found[:20])["hate"]
    assert (few.gap, few.gap_spread) == (None, None)
    spread, rate = gaps["hate"].gap_spread, gaps["hate"].fpr_spread
    assert spread is not None
    assert spread.value == pytest.approx(0.4)
    assert 0 < spread.low < 0.3
    assert 0.5 < spread.high < 0.8
    assert rate is not None
    assert rate.value == pytest.approx(gaps["hate"].fpr)
    assert rate.low < rate.value < rate.high
    assert fairness.identity_gaps(found, seed=1) == gaps


def test_terms_that_are_treated_alike_have_a_gap_by_chance() -> None:
    """One error in ten texts of twenty terms: rates from 0 to .3 are no sign of a preference."""
    found = [
        answer(n, unsafe=False, score=0.9 if (n + 3 * term) % 10 == 0 else 0.1, concept="hate", group=f"term {term}")
        for term in range(20)
        for n in range(20)
    ]
    gap = fairness.identity_gaps(found)["hate"]
    assert (gap.gap, gap.fpr) == (0.0, 0.1)
    assert gap.chance is not None
    assert gap.chance_high is not None
    assert 0.2 < gap.chance < gap.chance_high < 0.4
    none = fairness.identity_gaps([one for one in found if one.label == "safe"])["hate"]
    assert (none.gap, none.chance, none.chance_high) == (0.0, 0.0, 0.0)
    assert fairness.identity_gaps(found[:20])["hate"].chance is None


def test_rates_of_hard_negatives() -> None:
    """By policy and kind; what was not judged is no false positive, and is counted."""
    found = [
        answer(0, unsafe=False, score=0.9, concept="spam", group="news"),
        answer(1, unsafe=False, score=0.1, concept="spam", group="news"),
        answer(2, unsafe=False, score=None, concept="spam", group="game"),
    ]

    rates = fairness.hard_rates(found)["spam"]

    assert (rates["all"].rows, rates["all"].unjudged) == (3, 1)
    assert rates["all"].fpr == pytest.approx(1 / 3)
    assert (rates["news"].fpr, rates["game"].fpr) == (0.5, 0)
    intervals = {kind: rate.spread for kind, rate in rates.items()}
    assert intervals["game"] == Interval(value=0, low=0, high=0)
    assert intervals["news"] == Interval(value=0.5, low=0, high=1)
    assert intervals["all"] is not None
    assert intervals["all"].value == pytest.approx(1 / 3)


def test_questions_of_hard_negatives() -> None:
    """Every text under each of five policies."""
    questions = fairness.hard_questions(hard_negatives(), "direct")

    assert len(questions) == 1500
    assert {one.concept for one in questions} == {"hate", "civility", "spam", "sexism", "abuse"}
