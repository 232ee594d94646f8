"""Made-up answers, rows and data for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker.judge.judgement import Judgement
from worker.records import Turn
from worker.train.data.labels import ABUSE, CIVILITY, HATE, SPAM, TOXICITY
from worker.train.data.linear import Linear
from worker.train.data.rows import Row
from worker.train.evaluation.cases import Asked, asked, canonical
from worker.train.evaluation.data import Data
from worker.train.evaluation.judging import Answered, Result

_PLACES = ("lobby", "market", "river", "tower", "garden", "harbour", "meadow", "bridge")


def answer(number: int, *, unsafe: bool, score: float | None = None, **fields: Any) -> Answered:
    """Return an answer; its label follows from its score at 0.5 unless it is given."""
    label = None if score is None else "unsafe" if score >= 0.5 else "safe"
    given: dict[str, Any] = {
        "name": "sms/spam",
        "place": f"made:{number}",
        "group": f"g{number}",
        "source": "sms",
        "concept": "spam",
        "method": "direct",
        "status": "truncated" if score is None else "judged",
        "label": label,
        "unsafe": unsafe,
        "score": score,
    }
    return Answered(**(given | fields))


def many(labels: Sequence[bool], scores: Sequence[float], **fields: Any) -> list[Answered]:
    """Return an answer for each label and score."""
    pairs = zip(labels, scores, strict=True)
    return [answer(number, unsafe=label, score=score, **fields) for number, (label, score) in enumerate(pairs)]


def row(text: str, number: int = 0, source: str = "surge", **fields: Any) -> Row:
    """Return a row; its labels are in ``known``."""
    given: dict[str, Any] = {"known": {TOXICITY: False}, "place": f"made:{number}", "group": f"g{number}"}
    return Row(source=source, text=text, **(given | fields))


def result(number: int, text: str, reasoning: str | None, *, unsafe: bool = True, **judgement: Any) -> Result:
    """Return a question under the toxicity policy with a judgement; the model's word is ``unsafe`` by default."""
    question = question_of(row(text, number, known={TOXICITY: unsafe}))
    given: dict[str, Any] = {"status": "judged", "model_label": "unsafe", "score": 0.9, "score_method": "trace"}
    judged = Judgement(reasoning=reasoning, **(given | judgement))
    kept = answer(number, unsafe=unsafe, score=judged.score, label=judged.model_label, method="trace")
    return Result(asked=question, judgement=judged, answered=kept)


def question_of(one: Row, key: str = TOXICITY) -> Asked:
    """Ask for a row under the canonical policy of a concept."""
    return asked(one, canonical(key), "trace", name=f"{one.source}/{key}", concept=key)


def made_rows(count: int, name: str) -> list[Row]:
    """Return rows of four sets in turns, each with both labels, context and evidence among them."""
    return [_made(number, name) for number in range(count)]


def _made(number: int, name: str) -> Row:
    place = _PLACES[number % len(_PLACES)]
    source, bad = ("sms", "surge", "davidson", "convabuse")[number % 4], number // 4 % 2 == 1
    words = {"sms": "claim your prize at", "surge": "shut your mouth at", "davidson": "all gorps are vermin in"}
    text = f"{words.get(source, 'you are a silly bot of')} the {place}" if bad else f"see you soon at the {place}"
    known = {
        "sms": {SPAM: bad, HATE: False, CIVILITY: False},
        "surge": {TOXICITY: bad, SPAM: False} | ({CIVILITY: True} if bad else {}),
        "davidson": {HATE: bad, CIVILITY: bad, SPAM: False},
        "convabuse": {ABUSE: bad, SPAM: False} | ({CIVILITY: True} if bad else {}),
    }[source]
    return Row(
        source=source,
        place=f"{name}:{number}",
        text=f"{text} {name}{number}",
        known=known,
        context=(Turn(role="agent", text="hello"),) if source == "convabuse" else (),
        evidence=("shut your mouth",) if source == "surge" and bad else (),
        group=f"{name}{number}",
    )


def made_data(count: int = 24) -> Data:
    """Return data of made-up rows, with the linear models that they give."""
    train = made_rows(80, "train")
    rows = tuple(made_rows(count, "dev"))
    models = {}
    for key in (ABUSE, CIVILITY, HATE, SPAM, TOXICITY):
        known = [one for one in train if key in one.known]
        models[key] = Linear([one.text for one in known], [one.known[key] for one in known])
    return Data(
        split="dev",
        rows=rows,
        wide=rows,
        calib=tuple(made_rows(count, "calib")),
        dev=tuple(made_rows(count, "calib")),
        train=tuple(train),
        models=models,
        unseen=frozenset(one.place for one in rows if one.source == "convabuse" and one.known[ABUSE]),
        templates=tuple(
            (term, f"You are a kind {term} friend {number}") for number in range(10) for term in ("old", "deaf")
        ),
        files={"made.csv": "0" * 64},
        rows_digest="0" * 64,
    )
