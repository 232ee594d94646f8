"""One reader per data set: from its files to rows. What a label means is written beside it."""

from __future__ import annotations

import ast
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from worker.records import Turn
from worker.train.data.clean import clean
from worker.train.data.labels import (
    ABUSE,
    AGREEMENT,
    BIAS,
    CIVILITY,
    EXPERTISE,
    HATE,
    OFFENDING,
    RISK,
    SEXISM,
    SPAM,
    TOXICITY,
)
from worker.train.data.parts import absent, convabuse_types, edos_labels, hatemoji_labels
from worker.train.data.rows import Row
from worker.train.data.splits import normalise

_DIASAFETY: Final = {
    "Offending User": OFFENDING,
    "Risk Ignorance": RISK,
    "Unauthorized Expertise": EXPERTISE,
    "Toxicity Agreement": AGREEMENT,
    "Biased Opinion": BIAS,
}
_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?\n]*\s*")
_MIN_SENTENCE: Final = 25
_MARKED_OFTEN: Final = 3
_MARKED_SHARE: Final = 0.4
_MAX_CONTEXT: Final = 400


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from enumerate(csv.DictReader(file))


def _text_key(text: str) -> str:
    return "text:" + normalise(text)


def read_convabuse(folder: Path) -> Iterator[Row]:
    """Read ConvAbuse: is the user's last message abuse of the bot, in context?

    The majority decides. Where only a minority saw abuse the row stays unknown in training; where
    nobody did, it is no abuse, of no type.
    """
    for name in ("train.csv", "valid.csv"):
        for number, row in _csv(folder / "convabuse" / name):
            votes, majority = int(row["x_n_abusive"]), row["x_abusive_majority"] == "1"
            if votes and not majority:
                continue
            turns = [("agent", row["prev_agent"]), ("user", row["prev_user"]), ("agent", row["agent"])]
            context = tuple(Turn(role=role, text=clean(text)) for role, text in turns if text.strip(" _"))  # type: ignore[arg-type]
            keys = (f"convabuse:{row['conv_id']}", _text_key(row["user"]))
            yield Row(
                source="convabuse",
                place=f"convabuse/{name}:{number}",
                text=clean(row["user"]),
                context=context,
                known=convabuse_types(row) if majority else absent(ABUSE),
                keys=keys,
            )


def read_davidson(folder: Path) -> Iterator[Row]:
    """Read Davidson: class 0 is hate (and uncivil), 1 offensive but not hate, 2 neither."""
    known = {"0": {HATE: True, CIVILITY: True}, "1": {HATE: False, CIVILITY: True}, "2": {HATE: False, CIVILITY: False}}
    name = "davidson_offensive/labeled_data.csv"
    for number, row in _csv(folder / name):
        text = clean(row["tweet"])
        yield Row(
            source="davidson", place=f"{name}:{number}", text=text, known=known[row["class"]], keys=(_text_key(text),)
        )


def read_diasafety(folder: Path) -> Iterator[Row]:
    """Read DiaSafety: is the agent's answer unsafe in the row's own category? Others stay unknown."""
    for name in ("train.jsonl", "val.jsonl"):
        lines = (folder / "diasafety" / name).read_bytes().splitlines()
        for number, line in enumerate(lines):
            row = orjson.loads(line)
            context, answer = clean(row["context"])[-_MAX_CONTEXT:].strip(), clean(row["response"])
            yield Row(
                source="diasafety",
                place=f"diasafety/{name}:{number}",
                text=answer,
                role="agent",
                context=(Turn(role="user", text=context),),
                known={_DIASAFETY[row["category"]]: row["label"] == "Unsafe"},
                keys=("context:" + normalise(row["context"]),),
            )


def read_edos(folder: Path) -> Iterator[Row]:
    """Read EDOS: sexist or not, and its category; attacks and dehumanising vectors are hate as well."""
    name = "edos_sexism/edos_train_dev.csv"
    for number, row in _csv(folder / name):
        text, sexist = clean(row["text"]), row["label_sexist"] == "sexist"
        known = edos_labels(row["label_category"], row["label_vector"]) if sexist else absent(SEXISM)
        yield Row(source="edos", place=f"{name}:{number}", text=text, known=known, keys=(_text_key(text),))


def read_hatemoji(folder: Path) -> Iterator[Row]:
    """Read HatemojiBuild: hateful or not, its type and targets; a pair and its words are one group."""
    for name in ("hatemojibuild_train.csv", "hatemojibuild_validation.csv"):
        for number, row in _csv(folder / "hatemoji" / name):
            keys = [_text_key(row["text"]), f"hatemoji:{row['entry_id']}"]
            if row["matched_text"]:
                keys += [_text_key(row["matched_text"]), f"hatemoji:{row['matched_id']}"]
            yield Row(
                source="hatemoji",
                place=f"hatemoji/{name}:{number}",
                text=clean(row["text"]),
                known=hatemoji_labels(row["type"], row["target"]) if row["label_gold"] == "1" else absent(HATE),
                keys=tuple(keys),
            )


def read_sms(folder: Path) -> Iterator[Row]:
    """Read SMS: spam or ham."""
    name = "sms_spam/sms_dev.csv"
    for number, row in _csv(folder / name):
        text = clean(row["text"])
        yield Row(
            source="sms",
            place=f"{name}:{number}",
            text=text,
            known={SPAM: row["label"] == "spam"},
            keys=(_text_key(text),),
        )


def read_surge(folder: Path) -> Iterator[Row]:
    """Read Surge: a comment that its annotators found toxic, or not."""
    name = "surge_toxicity/toxicity_en.csv"
    for number, row in _csv(folder / name):
        text = clean(row["text"])
        yield Row(
            source="surge",
            place=f"{name}:{number}",
            text=text,
            known={TOXICITY: row["is_toxic"] == "Toxic"},
            keys=(_text_key(text),),
        )


def read_toxic_spans(folder: Path) -> Iterator[Row]:
    """Read Toxic Spans, cut into sentences: those with a marked span are toxic, with it as evidence.

    The posts have no clean negatives. A sentence without any mark, in a post that has marks
    elsewhere, is taken as not toxic if it has no word that is mostly marked where it occurs
    (annotators often mark an insult once per post). Of 45 such sentences read, 4 were still
    insulting; without the word test it was 9 of 45. Posts without marks are left out.
    """
    names = ("tsd_train.csv", "tsd_trial.csv")
    posts = [
        (f"toxic_spans/{name}:{number}", row) for name in names for number, row in _csv(folder / "toxic_spans" / name)
    ]
    marked = [(place, row["text"], set(ast.literal_eval(row["spans"]))) for place, row in posts]
    insults = _insults([(post, offsets) for _, post, offsets in marked])
    for place, post, offsets in marked:
        if offsets:
            yield from _sentences(place, post, offsets, insults)


def _insults(posts: list[tuple[str, set[int]]]) -> set[str]:
    """Return the words that are marked about as often as they occur."""
    used = Counter(word for post, _ in posts for word in _words(post))
    marked = Counter(
        word for post, offsets in posts for quote in _runs(post, sorted(offsets)) for word in _words(quote)
    )
    return {word for word, count in marked.items() if count >= _MARKED_OFTEN and count >= _MARKED_SHARE * used[word]}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _sentences(place: str, post: str, marked: set[int], insults: set[str]) -> Iterator[Row]:
    for part, found in enumerate(_SENTENCE.finditer(post)):
        text = clean(found.group())
        quotes = _runs(post, sorted(marked & set(range(found.start(), found.end()))))
        if len(text) < _MIN_SENTENCE or (not quotes and insults.intersection(_words(text))):
            continue
        yield Row(
            source="toxic_spans",
            place=f"{place}#{part}",
            text=text,
            known={TOXICITY: bool(quotes)},
            evidence=tuple(quote for quote in map(clean, quotes) if quote and quote in text),
            keys=(_text_key(text), "post:" + normalise(post)),
        )


def _runs(text: str, offsets: list[int]) -> list[str]:
    """Turn character offsets into the quotes that they mark."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and runs[-1][-1] == offset - 1:
            runs[-1].append(offset)
        else:
            runs.append([offset])
    return [quote for run in runs if (quote := text[run[0] : run[-1] + 1].strip(" .,!?\"'\n"))]


READERS: Final[tuple[Callable[[Path], Iterator[Row]], ...]] = (
    read_convabuse,
    read_davidson,
    read_diasafety,
    read_edos,
    read_hatemoji,
    read_sms,
    read_surge,
    read_toxic_spans,
)
