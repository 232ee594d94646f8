"""The linear baseline: what it sees, and that it learns."""

from __future__ import annotations

from worker.records import Turn
from worker.train.data.rows import Row
from worker.train.evaluation.baseline import baseline_scores, context_of, fit_baselines, model_key

OWN = {"sms": ("spam",), "diasafety": ("risk_ignorance", "biased_opinion"), "convabuse": ("abuse",)}


def rows(source: str, name: str, texts: tuple[str, str], known: str, context: tuple[str, str] = ("", "")) -> list[Row]:
    """Return forty rows; the second text is unsafe."""
    return [
        Row(
            source=source,
            place=f"{name}:{number}",
            text=f"{texts[number % 2]} {number}",
            known={known: number % 2 == 1},
            context=tuple(Turn(role="user", text=text) for text in (context[number % 2],) if text),
        )
        for number in range(40)
    ]


def test_it_learns_words() -> None:
    """Unseen rows are parted by their words; scores are kept by set and place."""
    train = rows("sms", "train", ("see you at home", "claim your prize"), "spam")
    fresh = rows("sms", "dev", ("see you at home", "claim your prize"), "spam")

    scores = baseline_scores(train, fresh, OWN)

    assert set(scores) == {"sms/spam"}
    assert all((scores["sms/spam"][row.place] >= 0.5) == row.known["spam"] for row in fresh)


def test_it_sees_the_context() -> None:
    """Rows that differ in their context alone are parted."""
    train = rows("convabuse", "train", ("yes", "yes"), "abuse", ("how are you", "are you stupid"))

    scores = baseline_scores(train, train, OWN)["convabuse/abuse"]

    assert all((scores[row.place] >= 0.5) == row.known["abuse"] for row in train)


def test_one_model_is_told_the_category() -> None:
    """The same text is safe for one category and unsafe for another: only the category can tell."""
    risk = rows("diasafety", "risk", ("just eat", "just eat"), "risk_ignorance")
    bias = rows("diasafety", "bias", ("just eat", "just eat"), "biased_opinion")
    train = [Row(source=one.source, place=one.place, text="just eat", known={"risk_ignorance": True}) for one in risk]
    train += [Row(source=one.source, place=one.place, text="just eat", known={"biased_opinion": False}) for one in bias]

    scores = baseline_scores(train, train, OWN)

    assert list(fit_baselines(train, OWN)) == [("diasafety", "")]
    assert min(scores["diasafety/risk_ignorance"].values()) > 0.5 > max(scores["diasafety/biased_opinion"].values())


def test_a_model_for_each_concept_elsewhere() -> None:
    """Sets whose rows have several labels get a model for each."""
    assert model_key("davidson", "hate") != model_key("davidson", "civility")
    assert model_key("diasafety", "risk_ignorance") == model_key("diasafety", "biased_opinion")


def test_one_label_gives_no_model() -> None:
    """A concept with one label only is left out."""
    safe = [row for row in rows("sms", "train", ("see you", "claim"), "spam") if not row.known["spam"]]

    assert baseline_scores(safe, safe, OWN) == {}


def test_it_is_masked() -> None:
    """Neither text nor context shows a number that could identify a person."""
    row = Row(source="sms", place="x", text="a", known={}, context=(Turn(role="user", text="call +1 555 010 2030"),))

    assert context_of(row) == "call [phone]"
