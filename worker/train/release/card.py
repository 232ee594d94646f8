"""The model card and the attributions, rendered from what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from worker.train.data.rows import ATTRIBUTION

_CARD: Final = """\
# {name}

A small demonstration model for this worker: a decoder of Qwen2's shape with {parameters:,} parameters,
trained from scratch to read a policy, reason in one line and say safe or unsafe.

**It is a demonstration and not fit for moderating people.** It knows a few thousand words of English
chat, has never seen most of the categories that a platform needs, and is wrong often (figures below).
`rsafe run` warns when it serves with it. For production point `--model` at a checkpoint of a real size.

## What it was made from
Rows of eight public data sets; their texts are not part of this repository. Phone numbers, e-mail and
web addresses, handles and long digits were masked before tokenizer and training.

{sources}

The policy varies from row to row: a category stands in a row's policy only where the row's label for
it is known, so the same text is unsafe under one policy and safe under another. Some labels are not the
sets' own: what follows from one label for another category, a reviewed list of negatives across sets
(a text message that a linear model finds far from hate counts as no hate), and sentences without a mark
in posts of Toxic Spans, which count as not toxic (4 of 45 read were toxic all the same). The figures
below use the sets' own labels, but for those sentences. The reasoning is made
from labels and evidence (marked spans of Toxic Spans; elsewhere the word that weighs most in a linear
model of the training split), not written by people or by another model.

## How it was trained
`rsafe train sft --max-minutes {minutes:g} --seed {seed} --threads {threads}`, exported {date}: {steps:,} steps,
{nodes:,} tokens, {epochs} passes over the data begun, {spent:.0f} minutes of training on a CPU. Its
prompt is `rsafe.toml` in this folder; the worker serves with the same file.

## Figures
Made by code into `metrics.json`; this table is rendered from it. Rows whose group (conversation,
context, text, pair) is in no training row; policy: the one category, in its canonical words. AP is
average precision, of P(unsafe) before reasoning (direct) and after it (trace).

{figures}

## Limits
- English only. Emoji, spelling tricks and irony are mostly lost on it.
- It leans on single words: identity words and swear words raise its score where they should not.
  Davidson's labels are known to be biased against African-American English.
- Categories other than those below it has never seen: {concepts}.
- P(unsafe) after a reasoning is close to 0 or 1, whatever its doubt; it is not calibrated.
- The rows that measure it come from the sets that trained it; other chats will look worse.
"""


def render(facts: Mapping[str, Any]) -> str:
    """Return the model card as Markdown."""
    progress, recipe = facts["progress"], facts["recipe"]
    return _CARD.format(
        name=facts["name"],
        parameters=facts["parameters"],
        date=facts["date"],
        minutes=recipe["max_minutes"],
        seed=recipe["seed"],
        threads=recipe["threads"],
        steps=progress["step"],
        nodes=progress["nodes"],
        epochs=progress["epoch"] + 1,
        spent=progress["elapsed_s"] / 60,
        sources="\n".join(_source(*entry) for entry in ATTRIBUTION.values()),
        figures=_figures(facts["measured"]),
        concepts=", ".join(
            sorted({name.split("/")[1].replace("_", " ") for name in facts["measured"]["test"]["direct"]})
        ),
    )


def _concepts(names: Iterable[str]) -> list[str]:
    return sorted({name.split("/")[1].replace("_", " ") for name in names})


def _source(title: str, licence: str, origin: str) -> str:
    return f"- {title} ({licence}): {origin}"


def _figures(measured: Mapping[str, Any]) -> str:
    lines = ["| split | set / category | rows | unsafe | AP direct | AP trace | accuracy trace |", "|---" * 7 + "|"]
    for split, parts in measured.items():
        for name, one in parts["direct"].items():
            trace = parts["trace"][name]
            lines.append(
                f"| {split} | {name.replace('/', ' / ')} | {one['rows']} | {one['unsafe']} "
                f"| {one['average_precision']:.2f} | {trace['average_precision']:.2f} | {trace['accuracy']:.2f} |"
            )
    return "\n".join(lines)


def notice(name: str) -> str:
    """Return the attributions of every data set."""
    lines = [f"{name} was trained on rows of the following data sets, masked and relabelled for training.", ""]
    lines += [f"{title}\n  Licence: {licence}\n  Origin: {origin}\n" for title, licence, origin in ATTRIBUTION.values()]
    return "\n".join(lines)
