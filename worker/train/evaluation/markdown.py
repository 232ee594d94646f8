"""A report as Markdown, made from its record alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.compare import Comparison
from worker.train.evaluation.fairness import Gap, Rate
from worker.train.evaluation.following import Following
from worker.train.evaluation.quality import Quality, Table, Versus
from worker.train.evaluation.report import Facts, Report
from worker.train.evaluation.targets import ECE_ROWS, Target, targets
from worker.train.examples.fit import MAX_CHARS, PAPER_MAX_CHARS

Cells = Sequence[str]


def render(report: Report) -> str:
    """Return the whole report."""
    parts = [
        _head(report),
        *(_targets(f"What it is held to, score {method}", targets(report, method)) for method in report.quality),
        *(_quality(f"Own labels, score {method}", table) for method, table in report.quality.items()),
        *(_quality(f"In held-out words, score {method}", table) for method, table in report.wording.items()),
        _cost(report),
        *(_baseline(f"Against the linear baseline, score {key}", one) for key, one in report.baseline.items()),
        _format(report),
        *(_following(f"Policy following, score {method}", found) for method, found in report.following.items()),
        _swapped(report),
        _reasoning(report),
        *(_identity(f"Identity terms, score {method}", found) for method, found in report.identity.items()),
        *(_hard(f"Hard negatives, score {method}", found) for method, found in report.hard.items()),
        _papers(report.facts),
        _data(report.facts),
    ]
    return "\n".join(part for part in parts if part)


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def spread(value: Interval | None) -> str:
    """Write a number with its interval."""
    return "-" if value is None else str(value)


def grid(titles: Cells, rows: Iterable[Cells]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _section(title: str, *parts: str) -> str:
    return "\n".join((f"## {title}\n", *parts))


def _head(report: Report) -> str:
    facts = report.facts
    limit = f"at most {facts.rows_limit} rows of each set and category" if facts.rows_limit else "all rows"
    limit += f"; {facts.too_long} longer than {_most(facts)} characters are left out" if facts.too_long else ""
    earlier = f" and {facts.resumed} answers of earlier tries" if facts.resumed else ""
    better = f" Scores that rank better here: `{report.better_method}`." if report.better_method else ""
    return (
        f"# Evaluation of {facts.model}\n\n"
        f"Measured on {facts.date:%Y-%m-%d} on split `{facts.split}` ({limit}), seed {facts.seed}, "
        f"{facts.in_flight} messages at once, {facts.wall_s:.0f} s{earlier}, engine {facts.engine}. "
        f"Fingerprint `{facts.fingerprint}`; scores are {'calibrated' if facts.calibration else 'raw'}."
        f"{how_asked(facts.categories, takes_mean=facts.takes_mean)}\n\n"
        f"{report.questions} questions, {report.unparsed_as_served} unparsed as served.{better} "
        "Brackets hold 95 % intervals by bootstrap over groups of rows. A row that was not judged counts as decided "
        "wrongly.\n"
    )


def how_asked(categories: str, *, takes_mean: bool) -> str:
    """Say how categories were asked and verdicts with reasoning scored, where it is not the usual way."""
    apart = " Each category of a policy is asked in a prompt of its own." if categories == "apart" else ""
    mean = " With reasoning (`trace`) the score is the mean of before and after (`mean_k`)." if takes_mean else ""
    return apart + mean


def _targets(title: str, found: Iterable[Target]) -> str:
    rows = [(one.figure, one.asked, one.found, "yes" if one.met else "**no**") for one in found]
    return _section(title, grid(("figure", "asked", "found", "reached"), rows))


def _quality(title: str, table: Table) -> str:
    named = {"all": table.pooled, **table.by_set}
    sources = {f"source {name}": one for name, one in table.by_source.items() if len(table.by_source) > 1}
    categories = {f"category {name}": one for name, one in table.by_category.items()}
    titles = (
        "rows", "n", "unsafe", "accuracy", "precision", "recall", "F1 unsafe", "macro-F1", "always safe",
        "always unsafe", "FPR", "macro-F1 tuned", "average precision", "ECE", "Brier", "sure", "not judged",
    )  # fmt: skip
    rows = [
        row for name, one in (named | sources | categories).items() for row in (_quality_row(name, one), *_same(one))
    ]
    text = (
        "Verdicts at 0.5; `tuned`: at thresholds from other rows; `always`: saying the same of every row, as a row of "
        "its own and, of macro-F1, as a column; `by chance`: the ECE of scores which are right, by the number of rows "
        "alone; resamples err more than the rows that they are drawn from, so intervals of the ECE lean to higher "
        "values; `sure`: share of scores outside [0.01, 0.99].\n"
    )
    return _section(title, text, grid(titles, rows))


def _quality_row(name: str, one: Quality) -> Cells:
    served, curve = one.served, one.calibration
    return (
        name,
        str(one.rows),
        str(one.unsafe),
        number(served.accuracy),
        _either(one.precision, served.precision),
        _either(one.recall, served.recall),
        _either(one.f1, served.f1),
        spread(one.macro_f1),
        *(number(found.macro_f1) for found in one.always.values()),
        _either(one.fpr, served.fpr),
        spread(one.tuned_macro_f1),
        spread(one.average_precision),
        f"{_either(one.ece, curve.ece)}, by chance {curve.chance:.3f}" if curve else "-",
        number(curve.brier if curve else None),
        number(curve.sure if curve else None),
        str(one.rows - one.statuses.get("judged", 0)),
    )


def _same(one: Quality) -> Iterator[Cells]:
    """Return the rows of who says the same of every row; one score for all ranks none above another."""
    for name, found in one.always.items():
        yield (
            name,
            str(found.rows),
            str(found.unsafe),
            *(number(value) for value in (found.accuracy, found.precision, found.recall, found.f1, found.macro_f1)),
            "-",
            "-",
            number(found.fpr),
            "-",
            number(one.always_average_precision),
            *("-" * 4),
        )


def _either(value: Interval | None, plain: float) -> str:
    """Write a figure with its interval; reports of before have none."""
    return spread(value) if value else number(plain)


def _cost(report: Report) -> str:
    titles = ("score", "messages", "p50 ms", "p95 ms", "prompt", "cached", "reasoning", "output")
    rows = [
        (
            str(method),
            str(one.rows),
            f"{one.p50_ms:.0f}",
            f"{one.p95_ms:.0f}",
            *(f"{value:.1f}" for value in (one.prompt_tokens, one.cached_tokens, one.reasoning_tokens)),
            f"{one.output_tokens:.1f}",
        )
        for method, one in report.cost.items()
    ]
    text = "Time in the engine under this load, and tokens of each message.\n"
    return _section("Latency and tokens", text, grid(titles, rows)) if rows else ""


def _baseline(title: str, found: Mapping[str, Versus]) -> str:
    titles = ("rows", "n", "tuning n", "model macro-F1", "baseline macro-F1", "difference", "model AP", "baseline AP")
    rows = [
        (
            name,
            str(one.rows),
            str(one.tuning_rows),
            number(one.model.macro_f1),
            number(one.baseline.macro_f1),
            spread(one.difference),
            number(one.model_average_precision),
            number(one.baseline_average_precision),
        )
        for name, one in found.items()
    ]
    text = "TF-IDF and logistic regression on the same train rows; each side's threshold from the same tuning rows.\n"
    return _section(title, text, grid(titles, rows))


def _format(report: Report) -> str:
    lines = []
    if report.format:
        one = report.format
        statuses = ", ".join(f"{name} {count}" for name, count in one.statuses.items())
        lines.append(
            f"- Without grammar, {one.rows} rows: unparsed {one.unparsed:.4f} ({statuses}); same label as the "
            f"constrained verdict {one.agreement:.4f}, of the parsed ones {number(one.agreement_parsed, 4)}."
        )
    lines += [
        f"- A/A, score {method}, {one.rows} rows judged twice: labels that differ {one.flips:.4f}, "
        f"largest change of a score {one.max_score_change:.4f}."
        for method, one in report.repeated.items()
    ]
    return _section("Format and repetition", "\n".join(lines) + "\n") if lines else ""


def _following(title: str, found: Mapping[str, Following]) -> str:
    titles = (
        "kind", "pairs", "right before", "over those", "over all", "unsafe before", "safe before", "lower of both",
        "names alone", "over names alone", "of those: names alone", "over names alone",
    )  # fmt: skip
    rows = [
        (
            kind,
            str(one.pairs),
            str(one.before),
            spread(one.over_right),
            spread(one.over_all),
            number(one.unsafe_before),
            number(one.safe_before),
            spread(one.lower),
            number(one.listed),
            spread(one.over_listed),
            number(one.right_listed),
            spread(one.right_over_listed),
        )
        for kind, one in found.items()
    ]
    text = (
        "A pair counts only if every side is right; `right before`: under the full policy; "
        "`names alone` reads which categories are listed and no more. Definitions swapped: one name is listed, and its "
        "definition becomes that of another concept, so that the label flips; definitions exchanged: both names are "
        "listed, and the violated category flips, which has to be cited.\n"
    )
    return _section(title, text, grid(titles, rows))


def _swapped(report: Report) -> str:
    lines = [
        f"- score {method}: ECE {_either(report.swapped_ece.get(method), one.ece)}, by chance {one.chance:.3f}; "
        f"Brier {one.brier:.3f}, sure {one.sure:.3f}; {_pool(one.rows)}"
        for method, one in report.swapped_calibration.items()
    ]
    return _section("Calibration under swapped policies", "\n".join(lines) + "\n") if lines else ""


def _pool(rows: int) -> str:
    return f"{rows} scores pooled" + (f", fewer than the {ECE_ROWS} that are asked for" if rows < ECE_ROWS else "")


def _reasoning(report: Report) -> str:
    lines = [
        f"- Cited {what}, score {method}: right {spread(one.right)} of {one.true_positives} true positives "
        f"({_counts(one.by_source)}) under several known ones (any right one {one.any_right:.3f}); majority "
        f"{one.majority:.3f}, linear {one.linear:.3f}, over linear {spread(one.over_linear)}."
        for what, found in (("category", report.citation), ("part of a concept", report.citation_parts))
        for method, one in found.items()
    ]
    lines += [
        f"- {one.quotes} quotes in {one.reasonings} reasonings {how}; word for word: {number(one.verbatim, 4)}."
        for how, one in (("as served", report.quotes), ("written freely", report.quotes_free))
        if one
    ]
    if report.evidence:
        one = report.evidence
        lines.append(
            f"- Evidence against {one.rows} marked rows, character-F1: {spread(one.all)}, of true positives "
            f"{number(one.true_positives)}; whole text {one.whole_text:.3f}, linear word {one.linear:.3f}."
        )
    lines += [
        f"- Trace put in ({name}), {one.rows} rows: words that change {spread(one.changed)}, against the trace "
        f"{one.contradictory:.3f}."
        for name, one in report.forced.items()
    ]
    return _section("Reasoning", "\n".join(lines) + "\n") if lines else ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "sources not kept"


def _identity(title: str, found: Mapping[str, Gap]) -> str:
    titles = ("policy", "rows", "terms", "FPR", "highest minus lowest", "if treated alike", "highest", "lowest")
    rows = [
        (
            key,
            str(one.rows),
            str(one.terms),
            _either(one.fpr_spread, one.fpr),
            spread(one.gap_spread) if one.gap_spread else number(one.gap),
            f"{number(one.chance)}, up to {number(one.chance_high)}",
            _rates(one.highest),
            _rates(one.lowest),
        )
        for key, one in found.items()
    ]
    text = (
        "False-positive rates on benign templates; intervals draw the texts of each term anew, and the highest of many "
        "rates is high by chance, too: beside it what terms of one and the same rate would have.\n"
    )
    return _section(title, text, grid(titles, rows))


def _rates(pairs: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{term} {rate:.2f}" for term, rate in pairs)


def _hard(title: str, found: Mapping[str, Mapping[str, Rate]]) -> str:
    kinds = list(next(iter(found.values()), {}))
    rows = [
        (
            f"{kind} kinds" if kind == "all" else kind,
            *(_either(one[kind].spread, one[kind].fpr) for one in found.values()),
        )
        for kind in kinds
    ]
    text = "False-positive rates on benign texts written for this project, by kind of text and policy.\n"
    return _section(title, text, grid(("kind", *found), rows))


def _most(facts: Facts) -> str:
    return f"{MAX_CHARS} (the paper's sets: {PAPER_MAX_CHARS})" if facts.papers else str(MAX_CHARS)


def _papers(facts: Facts) -> str:
    titles = ("set", "title", "licence", "commercial use", "rows", "train rows", "left out")
    rows = [
        (
            one.name,
            one.title,
            one.licence,
            "allowed" if one.commercial else "**not allowed**",
            *(str(count) for count in (one.rows, one.train_rows, one.left_out)),
        )
        for one in facts.papers
    ]
    text = (
        "Measured beside the data folder's, for their verdict (`unsafe`) under the whole taxonomy and by category; "
        "`left out`: texts that stand in another split. Without train rows there is no baseline. What has rows of one "
        "label only is a line of its own and in no figure of several sets.\n"
    )
    return _section("Sets of the paper", text, grid(titles, rows)) if rows else ""


def _data(facts: Facts) -> str:
    rows = [(f"`{name}`", f"`{digest[:16]}`") for name, digest in facts.data_files.items()]
    return _section("Data", f"Rows `{facts.rows_digest[:16]}`.\n", grid(("file", "SHA-256"), rows))


def render_comparison(found: Comparison) -> str:
    """Return a comparison."""
    rows = [
        (name, str(one.rows), number(one.first), number(one.second), spread(one.difference))
        for name, one in found.figures.items()
    ]
    text = (
        f"# {found.second} against {found.first}\n\n{found.shared} questions shared, {found.only_first} only in the "
        f"first, {found.only_second} only in the second; differences are the second minus the first, paired, "
        f"seed {found.seed}.\n"
    )
    return text + "\n" + grid(("figure", "n", "first", "second", "difference"), rows)
