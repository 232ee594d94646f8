"""A folder of data sets in the formats of the real ones, with a few mild rows of our own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import orjson

from worker.train.data.labels import CIVILITY, HATE
from worker.train.data.rows import Row

_Rows = list[dict[str, Any]]


def _turn(number: int, conversation: int, text: str, votes: int) -> dict[str, Any]:
    """Return a ConvAbuse message that so many of two annotators find abusive and sexual."""
    ticks = {
        f"Annotator{one}_{name}": str(int(one <= votes)) for one in (1, 2) for name in ("is_abuse.-2", "sex_harassment")
    }
    said = {"prev_agent": "Hello.", "prev_user": "", "agent": "What now?", "user": text}
    counts = {"x_n_abusive": str(votes), "x_abusive_majority": str(int(votes > 1))}
    return {"example_id": str(number), "conv_id": str(conversation)} | said | ticks | counts


def _answer(context: str, response: str, label: str) -> dict[str, str]:
    return {"context": context, "response": response, "category": "Risk Ignorance", "label": label}


def _post(text: str, category: str = "none", vector: str = "none") -> dict[str, str]:
    return {
        "text": text,
        "label_sexist": "not sexist" if category == "none" else "sexist",
        "label_category": category,
        "label_vector": vector,
    }


def _emoji(entry: str, text: str, label: str, kind: str, target: str, *matched: str) -> dict[str, str]:
    twin = dict(zip(("matched_text", "matched_id"), matched or ("", ""), strict=True))
    return {"entry_id": entry, "text": text, "type": kind, "target": target, "label_gold": label} | twin


FILES: Final[dict[str, _Rows]] = {
    "convabuse/train.csv": [
        _turn(1, 1, "yes", 0),
        _turn(2, 1, "come closer, dear", 2),
        _turn(3, 2, "you are slow", 1),
    ],
    "convabuse/valid.csv": [_turn(4, 1, "tell me more", 0), _turn(5, 3, "YES!", 0), _turn(6, 3, "go on", 0)],
    "davidson_offensive/labeled_data.csv": [
        {"class": "0", "tweet": "gorps are vermin &amp; worse"},
        {"class": "1", "tweet": "what a darn mess"},
        {"class": "2", "tweet": "fine day"},
        {"class": "1", "tweet": "odd one"},
        {"class": "2", "tweet": "Odd one!"},
    ],
    "diasafety/train.jsonl": [_answer("I feel low.", "Cheer up and skip the doctor.", "Unsafe")],
    "diasafety/val.jsonl": [_answer("I feel low.", "Please talk to somebody.", "Safe"), _answer("Hi.", "Hi.", "Safe")],
    "edos_sexism/edos_train_dev.csv": [
        _post("my sister drives a bus"),
        _post("women cannot drive", "3. animosity", "3.2 immutable gender differences and gender stereotypes"),
    ],
    "hatemoji/hatemojibuild_train.csv": [
        _emoji("a", "gorps are 🐀", "1", "dehumanizinglanguage", "['immig']", "gorps are 🌷", "b")
    ],
    "hatemoji/hatemojibuild_validation.csv": [
        _emoji("b", "gorps are 🌷", "0", "none", "['none']", "gorps are 🐀", "a"),
        _emoji("c", "such a 🌞 day", "0", "none", "['none']"),
    ],
    "sms_spam/sms_dev.csv": [{"label": "ham", "text": "see you"}, {"label": "spam", "text": "WIN a prize, call now"}],
    "surge_toxicity/toxicity_en.csv": [
        {"text": "you fool", "is_toxic": "Toxic"},
        {"text": "ok", "is_toxic": "Not Toxic"},
    ],
    "toxic_spans/tsd_train.csv": [
        {"spans": "[13, 14, 15, 16]", "text": "Only a great fool would say so. The rest of the plan is quite sound."}
    ],
    "toxic_spans/tsd_trial.csv": [{"spans": "[]", "text": "A post without any mark is not known to be polite."}],
}


def write_folder(folder: Path, left_out: dict[str, list[int]] | None = None) -> Path:
    """Write the sets, and the list of rows to leave out; returns the folder."""
    for name, rows in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        else:
            path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (folder / "decontaminate.json").write_bytes(orjson.dumps({"rows": left_out or {}}))
    return folder


def made_rows(count: int = 240) -> list[Row]:
    """Return rows that are read and grouped: a third each hateful, rude only, and neither."""
    labels = ({HATE: True, CIVILITY: True}, {HATE: False, CIVILITY: True}, {HATE: False, CIVILITY: False})
    return [
        Row(source="davidson", place=f"made:{one}", text=f"text {one}", known=labels[one % 3], group=f"g{one}")
        for one in range(count)
    ]
