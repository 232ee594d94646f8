"""The model card and the attributions, rendered from what was counted and measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from worker.judge.calibration import Calibration, Method
from worker.judge.coverage import Coverage, Covered
from worker.records import ScoreMethod
from worker.train.evaluation.markdown import how_asked
from worker.train.release.given_back import NEEDED
from worker.train.release.notice import BASE_NOTICE, forbidding, used

_KINDS: Final = {"macro-F1": "macro_f1", "AP": "average_precision"}
_SCRATCH: Final = """\
# {name}

A small demonstration model for this worker: a decoder of Qwen2's shape with {parameters:,} parameters,
trained from scratch to read a policy, reason in one line and say safe or unsafe.
{fingerprint}
**It is a demonstration and not fit for moderating people.** It knows a few thousand words of English
chat, has never seen most of the categories that a platform needs, and is wrong often (figures below).
`rsafe run` warns when it serves with it. For production point `--model` at a checkpoint of a real size.
{not_commercial}
## What it was made from
Rows of {sets} public data sets; their texts are not part of this repository. Phone numbers, e-mail and
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
{nodes:,} tokens, {epochs} passes over the data begun, {spent:.0f} minutes of training on a CPU.{averaged} Its
prompt is `rsafe.toml` in this folder; the worker serves with the same file.{stages}
"""
_TUNED: Final = """\
# {name}

A model of {parameters:,} parameters that reads a policy, reasons and says safe or unsafe (arXiv 2506.07736), {origin}.
{fingerprint}{not_commercial}
## What it was made from
Rows of {sets} data sets; their texts are not part of this folder. {masked}

{sources}

The policy varies from row to row: a category stands in a row's policy only where the row's label for
it is known. Some labels follow from others, or from a reviewed list of negatives across sets.

## How it was trained
Written {date}.{stages}

Its prompt is `rsafe.toml` in this folder, or the worker's own template where the folder has none. {digits}
"""
_REST: Final = """
## What it was tested on
{coverage}

## Figures
{figures}

## What it is held to
{held_to}

## Calibration
{calibration}

## What it gives back
{extraction}
"""
_MASKED: Final = "Phone numbers, addresses, handles\nand long digits were masked before training."
_NO_FULL_TEST: Final = f"\n\n**This was no full test**: {NEEDED}, and this run was declared a trial (`--max-rows`)."
_LIMITS: Final = """
## Limits
- English only. Emoji, spelling tricks and irony are mostly lost on it.
- It leans on single words: identity words and swear words raise its score where they should not.
  Davidson's labels are known to be biased against African-American English.
- The rows that measure it come from the sets that trained it; other chats will look worse.
"""


def render(facts: Mapping[str, Any], coverage: Coverage | None = None, calibration: Calibration | None = None) -> str:
    """Return the model card as Markdown: that of an export, or of what a stage of training left.

    Args:
        facts: what ``metrics.json`` holds.
        coverage: that of the same folder.
        calibration: that of the same folder.

    """
    head = _scratch(facts) if "recipe" in facts else _tuned(facts)
    rest = _REST.format(
        coverage=_coverage(coverage) if coverage else "Nothing says what it was tested on.",
        figures=_figures(facts["measured"]) if facts["measured"] else "Not measured when it was made.",
        held_to=_held_to(facts["held_to"]) if "held_to" in facts else "Not measured.",
        calibration=_calibration(calibration) if calibration else "None: scores are raw.",
        extraction=_extraction(facts.get("extraction")),
    )
    return head + rest + ("" if facts.get("base") else _LIMITS)


def _scratch(facts: Mapping[str, Any]) -> str:
    progress, recipe = facts["progress"], facts["recipe"]
    return _SCRATCH.format(
        **_named(facts),
        minutes=recipe["max_minutes"],
        seed=recipe["seed"],
        threads=recipe["threads"],
        steps=progress["step"],
        nodes=progress["nodes"],
        epochs=progress["epoch"] + 1,
        spent=progress["elapsed_s"] / 60,
        averaged=_averaged(facts.get("averaged", ())),
    )


def _tuned(facts: Mapping[str, Any]) -> str:
    base = facts.get("base")
    origin = f"trained on from the checkpoint `{base}` of others" if base else "trained from scratch and then on"
    masked = _MASKED if facts.get("masked", True) else "They stood in the prompts as they are: nothing was masked."
    licence = f"\nThe licence of `{base}` holds for it as well (`{BASE_NOTICE}` and LICENSE, if it brought any).\n"
    named = _named(facts)
    named["not_commercial"] += licence if base else ""
    return _TUNED.format(**named, origin=origin, masked=masked, digits=_digits(facts))


def _named(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every card begins with."""
    found, key = used(facts), facts.get("fingerprint")
    return {
        "name": facts["name"],
        "parameters": facts["parameters"],
        "date": facts["date"],
        "fingerprint": f"Fingerprint of weights, tokenizer and template: `{key}`.\n" if key else "",
        "not_commercial": _not_commercial(facts),
        "sets": len(found),
        "sources": "\n".join(f"- {source.title} ({source.licence}): {source.origin}" for source in found),
        "stages": _stages(facts.get("stages", ())),
    }


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    """Say what followed the first training, one numbered line for each."""
    lines = [f"{number}. {_stage(one)}" for number, one in enumerate(stages, 1)]
    return "\n\nAfter its first training:\n\n" + "\n".join(lines) if lines else ""


def _stage(one: Mapping[str, Any]) -> str:
    told = one["recipe"]
    seen = f"{one['examples']:,} {{}} of {one['rows']:,} rows, seed {told['seed']}"
    rate = f"learning rate {told['learning_rate']:g}"
    if one["kind"] == "grpo":
        batch = f"{told['prompts_per_step']} prompts by {told['group']} answers"
        return (
            f"`rsafe train grpo --recipe {told['name']}` from `{one['start']}`: {one['updates']:,} updates of {batch}, "
            f"{rate}, KL weight {told['beta']:g}; {seen.format('prompts')}."
        )
    return (
        f"`rsafe train sft --traces` from `{one['start']}`: {one['updates']:,} updates of {told['batch']} traces, "
        f"{rate}, loss on the answers alone; {seen.format('traces')}. `{one['sampled_from']}` wrote them, and the "
        "reward accepted them."
    )


def _digits(facts: Mapping[str, Any]) -> str:
    count = facts.get("digit_tokens", 0)
    if not count:
        return "No token of its\ntokenizer holds two digits or more, so no number can stand whole in it."
    return f"**Tokens of its\ntokenizer with two digits or more: {count:,}**, so that numbers can stand whole in it."


def _averaged(steps: Sequence[int]) -> str:
    """Name the states whose mean the weights are, where there are several."""
    if len(steps) < 2:  # noqa: PLR2004 - a mean is of two or more
        return ""
    named = ", ".join(f"{step:,}" for step in steps)
    return f"\nIts weights are the mean of {len(steps)} states of that run, after {named} steps (arXiv 2203.05482)."


def _not_commercial(facts: Mapping[str, Any]) -> str:
    titles = ", ".join(source.title for source in forbidding(facts))
    if not titles:
        return ""
    return f"\n**Not for commercial use**: trained on rows of {titles}, whose licences or terms do not allow it.\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head)]
    cells += [["---"] * len(cells[0]), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _coverage(coverage: Coverage) -> str:
    head = ("category", "ids", "train rows", "unsafe", "test rows", "unsafe", "in verdicts")
    rows = [
        (
            item.names[0],
            ", ".join(item.ids),
            *(f"{count:,}" for count in (item.train_rows, item.train_unsafe, item.test_rows, item.test_unsafe)),
            _standing(item),
        )
        for item in coverage.categories
    ]
    text = (
        "A policy's category counts as tested if it has an id and a name of one line below. Any other stands in\n"
        "`unevaluated` of every verdict. Training rows may be labelled by what follows from another label."
    )
    return f"{text}\n\n{_table(head, rows)}"


def _standing(item: Covered) -> str:
    if not item.supported:
        return f"**unsupported**: {item.note}"
    return "tested" if item.tested else "unevaluated" + (f": {item.note}" if item.note else "")


def _figures(measured: Mapping[str, Any]) -> str:
    head = ("split", "set / category", "rows", "unsafe", "AP direct", "AP trace", "accuracy trace")
    rows = []
    for split, parts in measured.items():
        for name, one in parts["direct"].items():
            trace = parts["trace"][name]
            precision = [f"{found['average_precision']:.2f}" for found in (one, trace)]
            counted = [str(one["rows"]), str(one["unsafe"])]
            rows.append([split, name.replace("/", " / "), *counted, *precision, f"{trace['accuracy']:.2f}"])
    text = (
        "Made by code into `metrics.json`; this table is rendered from it. Rows whose group (conversation,\n"
        "context, text, pair) is in no training row; policy: the one category, in its canonical words. AP is\n"
        "average precision, of P(unsafe) before reasoning (direct) and after it (trace)."
    )
    return f"{text}\n\n{_table(head, rows)}"


def _held_to(found: Mapping[str, Any]) -> str:
    limit = f"at most {found['rows_limit']} rows of each set and category" if found["rows_limit"] else "all rows"
    scores = f"{'calibrated' if found['calibrated'] else 'raw'} scores"
    text = (
        f"By `rsafe eval` through the worker's engine on split `{found['split']}` ({found['date']}, {limit}, seed "
        f"{found['seed']},\n{found['engine']}, {scores}); brackets hold 95 % intervals."
        f"{how_asked(found.get('categories', ''), takes_mean=found.get('takes_mean', False))}"
    )
    parts = [f"Score `{method}`:\n\n{_targets(one)}" for method, one in found["targets"].items()]
    return "\n\n".join([text, *parts, _sets(found["sets"], list(found["targets"]))])


def _targets(found: Iterable[Mapping[str, Any]]) -> str:
    rows = [(one["figure"], one["asked"], one["found"], "yes" if one["met"] else "**no**") for one in found]
    return _table(("figure", "asked", "found", "reached"), rows)


def _sets(found: Mapping[str, Mapping[str, Any]], methods: Iterable[str]) -> str:
    kinds = {f"{title} {method}": (method, kind) for method in methods for title, kind in _KINDS.items()}
    rows = [
        (
            name,
            str(one["rows"]),
            str(one["unsafe"]),
            *(_interval(one.get(method, {}).get(kind)) for method, kind in kinds.values()),
        )
        for name, one in found.items()
    ]
    return _table(("set / category", "rows", "unsafe", *kinds), rows)


def _interval(found: Mapping[str, float] | None) -> str:
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})" if found else "-"


def _calibration(calibration: Calibration) -> str:
    text = (
        f"Fitted on rows of the split `{calibration.split}` ({calibration.date}, seed {calibration.seed}, "
        f"{calibration.engine}), kept in\n"
        "`calibration.json`, applied to every score before thresholds look at it. After: of held-out fifths."
    )
    return "\n\n".join([text, *(_method(_title(calibration, name), one) for name, one in calibration.methods.items())])


def _title(calibration: Calibration, name: ScoreMethod) -> str:
    where = calibration.used_for(name)
    return f"**{name}** ({where})" if where else f"**{name}**"


def _method(name: str, method: Method) -> str:
    if method.curve is None:
        return f"{name}: scores stay raw, since {method.reason}."
    text = (
        f"{name}: {method.rows:,} rows, {method.unscored} without a score; expected calibration error "
        f"{method.ece_before:.3f} before, {method.ece_after:.3f} after; Brier {method.brier_before:.3f} and "
        f"{method.brier_after:.3f}."
    )
    if method.band:
        band = method.band
        text += (
            f" Between {band.low:.2f} and {band.high:.2f} decisions at 0.5 are wrong in {band.error_inside:.0%} "
            f"({band.rows:.0%} of the rows), outside in {band.error_outside:.0%}: the recommended review band."
        )
    return f"{text}\n\n{_thresholds(method)}"


def _thresholds(method: Method) -> str:
    head = ("category", "recommended threshold", "95 % interval", "macro-F1 there", "rows", "unsafe")
    rows = [
        (
            f"{one.id} {one.name}",
            "too few rows" if one.threshold is None else f"{one.threshold:.2f}",
            "" if one.low is None or one.high is None else f"{one.low:.2f} to {one.high:.2f}",
            "" if one.macro_f1 is None else f"{one.macro_f1:.2f}",
            f"{one.rows}",
            f"{one.unsafe}",
        )
        for one in method.thresholds.values()
    ]
    return _table(head, rows)


def _extraction(report: Mapping[str, Any] | None) -> str:
    if not report:
        return "Not tested. The test is part of `rsafe train sft --export-only`, for models from scratch."
    tried = sum(report["tried"].values())
    kinds = ", ".join(f"{count} x {kind}" for kind, count in report["tried"].items())
    return (
        f"Of {tried} secrets ({kinds}), {sum(report['given_back'].values())} come back word for word after the words\n"
        f"before them: by greedy decoding, or with a chance of {report['chance']:.0%} in {report['draws']} samples. "
        f"The likeliest has\na probability of {report['likeliest']:.1e}. Canaries are made-up sentences that were "
        "planted in training; training\ntexts are cut in two and counted only where one row alone has the second half."
        + ("" if report.get("full", True) else _NO_FULL_TEST)
    )
