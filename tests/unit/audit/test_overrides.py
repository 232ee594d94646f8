"""Decisions of people: what fits together, what may be written, and what many of them say."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec
import pytest
from msgspec import UNSET, structs

from tests.support.verdicts import policy_part, some_verdict
from worker.audit.intervals import interval
from worker.audit.overrides.overrides import Judged, Precision, Ruling, final_label, is_copied, override_of, summarize
from worker.errors import RecordError, UsageError
from worker.override_records import Override
from worker.records import CategoryVerdict, Verdict, decode, encode

NOW: Final = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
PARTS: Final = (policy_part("platform", 2), policy_part("t", 5))
UNSAFE: Final = structs.replace(some_verdict(*PARTS), verdict_id="a" * 32)
SAFE: Final = structs.replace(UNSAFE, verdict_id="b" * 32, label="safe", categories=(), action="allow")
FAILED: Final = structs.replace(SAFE, status="timeout", label=None)


def said(verdict: Verdict, decision: str, message: str | None = None, **fields: Any) -> Override:
    """Return a decision of one reviewer."""
    return override_of(verdict, Ruling(decision=decision, reviewer="r", **fields), NOW, message)  # type: ignore[arg-type]


def judged(verdict: Verdict) -> Judged:
    """Return a verdict as decisions are joined to it."""
    return msgspec.json.decode(encode(verdict), type=Judged)


def test_a_decision_is_a_record() -> None:
    """It names verdict, tenant and source, and can be read back."""
    made = said(UNSAFE, "overturn", reason="A quotation.", text="A case of our own.")

    assert (made.verdict_id, made.tenant_id, made.source) == (UNSAFE.verdict_id, "t", UNSAFE.source)
    assert (made.label, made.decided_at, made.text) == ("safe", NOW, "A case of our own.")
    assert decode(encode(made), Override, RecordError) == made
    assert said(UNSAFE, "uphold").text is UNSET
    assert said(SAFE, "overturn", categories=("U7",)).label == "unsafe"
    assert said(FAILED, "overturn", label="unsafe").label == "unsafe"


@pytest.mark.parametrize(
    "verdict, decision, fields, expected",
    [
        (UNSAFE, "uphold", {"label": "safe"}, "uphold changes nothing"),
        (UNSAFE, "uphold", {"categories": ()}, "uphold changes nothing"),
        (UNSAFE, "modify", {}, "modify needs"),
        (UNSAFE, "overturn", {"label": "unsafe"}, "unsafe already"),
        (FAILED, "overturn", {}, "has no label"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    verdict: Verdict, decision: str, fields: dict[str, Any], expected: str
) -> None:
    """The error says what to do instead."""
    with pytest.raises(UsageError, match=expected):
        said(verdict, decision, **fields)


MESSAGE: Final = "I know where you park your bicycle, and I will be there at nine."


@pytest.mark.parametrize(
    "text, copied",
    [
        (MESSAGE, True),
        (MESSAGE.upper().replace(",", " ;"), True),
        ("He said: I know where you park, did he not", True),
        ("The sender says that they will wait at somebody's front door.", False),
        ("where you park", False),
        ("", False),
    ],
)
def test_the_messages_own_words_are_known(text: str, *, copied: bool) -> None:
    """More than four words in a row are a copy; case and punctuation hide nothing."""
    assert is_copied(text, MESSAGE) is copied


def test_short_messages_are_copied_too() -> None:
    """Where there are not five words, all of them count."""
    assert is_copied("Get LOST!", "get lost")
    assert is_copied("!!!", "!!!")
    assert not is_copied("go away", "get lost")


def test_the_messages_own_words_are_refused() -> None:
    """The error does not repeat them."""
    with pytest.raises(UsageError, match="other words") as caught:
        said(UNSAFE, "overturn", message=MESSAGE, text=MESSAGE)

    assert "bicycle" not in str(caught.value)
    with pytest.raises(UsageError, match="--reason"):
        said(UNSAFE, "overturn", message=MESSAGE, reason=f"They wrote: {MESSAGE}")


@pytest.mark.parametrize("fields", [{"categories": ("not an id",)}, {"reviewer": ""}])
def test_what_no_reader_would_take_is_not_written(fields: dict[str, Any]) -> None:
    """The record is read back before it is sent."""
    ruling = structs.replace(Ruling(decision="overturn", reviewer="r"), **fields)

    with pytest.raises(UsageError, match=r"override\.schema\.json"):
        override_of(UNSAFE, ruling, NOW, None)


def test_precision_is_by_version_and_category() -> None:
    """Of 10 unsafe verdicts 6 stand, 3 are overturned, and 1 has another category."""
    decisions = [said(UNSAFE, "uphold")] * 6 + [said(UNSAFE, "overturn")] * 3
    decisions.append(said(UNSAFE, "modify", categories=("U9",)))
    pairs = [(one, judged(UNSAFE)) for one in decisions]

    report = summarize(pairs, decisions=decisions, revised=0, unreadable=0)

    assert report.precision == (
        Precision(scope="platform", version=2, category=None, reviewed=10, upheld=7, precision=interval(7, 10)),
        Precision(scope="platform", version=2, category="U7", reviewed=10, upheld=6, precision=interval(6, 10)),
    )
    assert report.precision[1].precision.low == pytest.approx(0.3127, abs=1e-4)  # Wilson, by hand
    assert report.precision[1].precision.high == pytest.approx(0.8318, abs=1e-4)
    assert report.decisions == {"uphold": 6, "overturn": 3, "modify": 1}


def test_an_unsafe_verdict_without_a_hit_counts_for_all_parts() -> None:
    """Nobody else can answer for it."""
    bare = structs.replace(UNSAFE, categories=())
    one = said(bare, "uphold")

    report = summarize([(one, judged(bare))], decisions=[one], revised=0, unreadable=0)

    assert [(found.scope, found.version, found.category) for found in report.precision] == [
        ("platform", 2, None),
        ("t", 5, None),
    ]


def test_what_was_missed_is_counted_and_proposed() -> None:
    """A safe verdict that people find unsafe is no matter of precision."""
    one = said(SAFE, "overturn", categories=("U7",))

    report = summarize([(one, judged(SAFE))], decisions=[one, said(UNSAFE, "uphold")], revised=2, unreadable=1)

    assert (report.missed, report.joined, report.gone, report.revised, report.unreadable) == (1, 1, 1, 2, 1)
    assert report.precision == ()
    (case,) = report.proposals
    assert (case.scope, case.label, case.categories, case.text) == ("t", "unsafe", ("U7",), None)
    assert (case.source, case.verdict_id, case.role) == (SAFE.source, SAFE.verdict_id, "user")


def test_overturned_cases_are_proposed_and_upheld_ones_are_not() -> None:
    """With the person's own text where there is one, for the scope whose category was hit."""
    decisions = [said(UNSAFE, "uphold"), said(UNSAFE, "overturn", text="Ours."), said(UNSAFE, "modify", action="hold")]

    report = summarize([(one, judged(UNSAFE)) for one in decisions], decisions=decisions, revised=0, unreadable=0)

    (case,) = report.proposals
    assert (case.scope, case.label, case.categories, case.text) == ("platform", "safe", (), "Ours.")
    assert (report.precision[0].reviewed, report.precision[0].upheld) == (3, 2)


def test_other_categories_are_a_case_too() -> None:
    """A relabelled verdict is one that the policy should get right; the same categories change nothing."""
    other, same = said(UNSAFE, "modify", categories=("U9",)), said(UNSAFE, "modify", categories=("U7",))

    report = summarize(
        [(one, judged(UNSAFE)) for one in (other, same)], decisions=[other, same], revised=0, unreadable=0
    )

    assert [case.categories for case in report.proposals] == [("U9",)]


def test_the_label_after_a_decision() -> None:
    """A record of another program may leave out what overturn means."""
    bare = structs.replace(said(UNSAFE, "overturn"), label=None)
    hit = CategoryVerdict(scope="t", id="U8", severity="low", hit=True)

    assert final_label(judged(UNSAFE), bare) == "safe"
    assert final_label(judged(UNSAFE), said(UNSAFE, "uphold")) == "unsafe"
    assert final_label(judged(SAFE), said(SAFE, "modify", label="unsafe")) == "unsafe"
    assert judged(structs.replace(UNSAFE, categories=(hit,))).categories[0].id == "U8"
