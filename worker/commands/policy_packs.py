"""``rsafe policy import|export|starter|crosswalk|cost``: policies as prose, to start from, and what they cost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from msgspec import UNSET, Struct

from worker.commands import options
from worker.commands.common import tell
from worker.commands.options import settings_from
from worker.commands.policy import FileArg, FloorFile, ForScope, Json, app
from worker.commands.policy_files import effective, policy_in, read_file
from worker.config import Settings
from worker.errors import UsageError
from worker.policy import lifecycle, lint_cost
from worker.policy.crosswalk import TAXONOMIES, Counterpart, crosswalk
from worker.policy.document import as_json
from worker.policy.finding import Finding
from worker.policy.history import read_policy
from worker.policy.lint import lint
from worker.policy.pack import export_prose, import_prose, outline
from worker.policy.pack_labels import golden_cases
from worker.policy.pack_starter import Starter, names, starter
from worker.policy.scope import Scope, parse_argument
from worker.records import PLATFORM, GoldenCase, Policy, encode
from worker.show import visible

__all__ = ["app"]

#: What a file of prose policy is called, and what stands for its name where that says nothing.
_PROSE: Final = ("*policy*.md", "*policy*.txt")
_MARK: Final = ".policy"
_LABELS: Final = (".jsonl", ".csv")
_FORMATS: Final = ("text", "json")
_LINE_CELLS: Final = 200
_INDENT: Final = 2

OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write there; standard output else.")]


class Imported(Struct, frozen=True, kw_only=True):
    """One prose policy as a record, and what lint says of it."""

    name: str
    source: str
    policy: Policy
    findings: list[Finding]

    @property
    def refused(self) -> list[Finding]:
        """What would be refused."""
        return [finding for finding in self.findings if finding.level == "error"]


@app.command("import", epilog="Example: rsafe policy import spam.policy.md --golden spam.jsonl --out spam.json")
def import_command(
    source: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="Prose policies: Markdown or text, UTF-8.")],
    golden: Annotated[
        Path | None, typer.Option(metavar="FILE|DIR", help="Labelled rows, JSON Lines or CSV; DIR: of the same name.")
    ] = None,
    scope: ForScope = None,
    floor: FloorFile = None,
    min_pass: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of golden cases that must pass; all by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE|DIR", help="Where to write; a folder for a folder.")
    ] = None,
    as_json_output: Annotated[bool, typer.Option("--json", help="Write JSON on one line.")] = False,  # noqa: FBT002
) -> None:
    """Turn prose policies into policy files: prose word for word, categories from its codes; publishes nothing."""
    base = policy_in(floor) if floor else None
    who = parse_argument(scope) if scope else Scope("tenant")
    found = [_imported(path, golden, who, base, min_pass) for path in _sources(source)]
    for one in found:
        print("\n".join(_import_lines(one, who, scope)), file=sys.stderr)
    if any(one.refused for one in found):
        raise typer.Exit(1)
    if source.is_dir() and (out is not None or len(found) > 1):
        _write_all(found, out, compact=as_json_output)
    else:
        _write(_document(found[0].policy, compact=as_json_output), out)


@app.command("export", epilog="Example: rsafe policy export spam.json --format text > spam.policy.md")
def export_command(
    what: Annotated[str, typer.Argument(metavar="SCOPE|FILE", help="A policy file, or a scope whose policy is live.")],
    form: Annotated[str, typer.Option("--format", metavar="text|json", help="The prose alone, or all.")] = "text",
    out: OutFile = None,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Give a policy's prose back byte for byte; one without prose is written out from its categories."""
    if form not in _FORMATS:
        text = f"--format is not {' or '.join(_FORMATS)}"
        raise UsageError(text)
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    raw = as_json(read_file(what)) if Path(what).is_file() else _live(settings, what)
    policy = read_policy(raw)
    _write(export_prose(policy) if form == "text" else raw, out)


@app.command("starter", epilog="Example: rsafe policy starter game-chat --out game-chat.json")
def starter_command(
    name: Annotated[str | None, typer.Argument(help="Which one; without it all are listed.")] = None,
    out: OutFile = None,
    as_json_output: Json = False,  # noqa: FBT002
) -> None:
    """List the policies to start from, or print one; change its words to yours before you publish it."""
    if name is not None:
        _write(_document(starter(name).policy, compact=as_json_output), out)
        return
    rows = [_starter_row(starter(each)) for each in names()]
    lines = [
        f"{row['name']:<21} {row['scope']:<9} {row['categories']:>2} categories"
        f"  ~{row['tokens']:>4} tokens  {row['about']}"
        for row in rows
    ]
    notes = {key: note for row in rows for key, note in row["notes"].items()}
    tell(rows, [*lines, *(f"{key}: {note}" for key, note in notes.items())], as_json=as_json_output)


@app.command("crosswalk", epilog="Example: rsafe policy crosswalk --json")
def crosswalk_command(as_json_output: Json = False) -> None:  # noqa: FBT002
    """Show RSafe's categories in the words of OpenAI, MLCommons and the DSA, with reasons; 'none' is an answer."""
    table = crosswalk()
    lines = [table.about]
    for row in table.categories:
        lines.append(f"{row.id} {row.name}")
        lines += [f"  {name:<10} {_counterpart(getattr(row, name))}" for name in TAXONOMIES]
    sources = [f"{one.name}, {one.version}: {' '.join(one.sources)}" for one in table.taxonomies.values()]
    tell(table, [*lines, *sources], as_json=as_json_output)


@app.command("cost", epilog="Example: rsafe policy cost game-chat.json --floor platform.json --model /models/rsafe-7b")
def cost_command(
    file: FileArg,
    floor: FloorFile = None,
    scope: ForScope = None,
    model: options.Model = None,
    as_json_output: Json = False,  # noqa: FBT002
    config: options.Config = None,
    extra: options.Set = None,
) -> None:
    """Count the tokens that stand before each message, by category, with the model's own tokenizer."""
    # Here and not above: the tokenizer is a heavy library.
    from worker.judge.cost import Counter  # noqa: PLC0415
    from worker.judge.folder import find_model, model_name  # noqa: PLC0415

    folder = find_model(settings_from(config, extra, model=model))
    counter = Counter(folder)
    who = parse_argument(scope) if scope else Scope(PLATFORM if floor is None else "tenant")
    policy = effective(policy_in(file), who, floor)
    cost, weights = counter.cost(policy), counter.weights(policy)
    lines = [f"{weight.tokens:>6}  {weight.scope}  {weight.id or 'text'}" for weight in weights]
    lines.append(f"{cost.tokens:>6}  before each message in {cost.calls} calls, the template in each included")
    lines.append(
        f"{cost.per_thousand:>6}  for 1000 messages ({model_name(folder)}); the prefix cache keeps what recurs"
    )
    data = {
        "model": model_name(folder),
        "tokens": cost.tokens,
        "calls": cost.calls,
        "tokens_per_1000_messages": cost.per_thousand,
        "parts": weights,
    }
    tell(data, lines, as_json=as_json_output)


def _sources(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    found = sorted({path for pattern in _PROSE for path in source.glob(pattern) if path.is_file()})
    if not found:
        text = f"{source} holds no {' and no '.join(_PROSE)}; name the file itself"
        raise UsageError(text)
    _check_names(found)
    return found


def _check_names(sources: list[Path]) -> None:
    taken: dict[str, Path] = {}
    for path in sources:
        first = taken.setdefault(_stem(path), path)
        if first != path:
            text = f"{first.name} and {path.name} would both be {_stem(path)}.json; rename one"
            raise UsageError(text)


def _imported(path: Path, golden: Path | None, who: Scope, floor: Policy | None, min_pass: float | None) -> Imported:
    raw = read_file(path)
    if raw.lstrip().startswith(b"{"):
        text = f"{path.name} is a policy file already; 'rsafe policy put' publishes it"
        raise UsageError(text)
    name = _stem(path)
    policy = import_prose(raw, path.name, _cases(raw, golden, name))
    if min_pass is not None:
        policy = msgspec.structs.replace(policy, min_pass=min_pass)
    return Imported(name=name, source=path.name, policy=policy, findings=lint(encode(policy), who, floor))


def _stem(path: Path) -> str:
    """Return a policy's name: of ``spam.policy.md`` it is ``spam``, of ``spam/policy.md`` too."""
    stem = path.stem.removesuffix(_MARK)
    return path.resolve().parent.name if stem == _MARK.strip(".") else stem


def _cases(raw: bytes, golden: Path | None, name: str) -> tuple[GoldenCase, ...]:
    if golden is None:
        return ()
    files = [golden / f"{name}{ending}" for ending in _LABELS] if golden.is_dir() else [golden]
    labels = next((path for path in files if path.is_file()), None)
    if labels is None:
        text = f"there is no {' and no '.join(map(str, files))}; give the file of labels, or leave --golden out"
        raise UsageError(text)
    cases = golden_cases(read_file(labels), outline(raw.decode(errors="replace")), name)
    if not cases:
        text = f"{labels} has no case for {name}; look at its rows and their column 'policy', or leave --golden out"
        raise UsageError(text)
    return cases


def _import_lines(one: Imported, who: Scope, said: str | None) -> Iterator[str]:
    ids = " ".join(category.id for category in one.policy.categories) or "none"
    cases = () if one.policy.golden is UNSET else one.policy.golden
    warnings = sum(finding.level == "warning" for finding in one.findings)
    yield f"{one.source}: categories {ids}; {len(cases)} golden cases; {warnings} warnings of 'rsafe policy lint'"
    yield from (visible(f"error: {one.field or 'record'}: {one.message}", _LINE_CELLS) for one in one.refused)
    if said and not one.refused:
        yield f"publish it with: rsafe policy put {who.key} FILE"


def _write_all(found: list[Imported], out: Path | None, *, compact: bool) -> None:
    if out is None:
        text = f"{len(found)} policies do not go into one file; give a folder with --out DIR"
        raise UsageError(text)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"{out} can be no folder ({error.strerror}); name another one with --out"
        raise UsageError(text) from None
    for one in found:
        _write(_document(one.policy, compact=compact), out / f"{one.name}.json")


def _live(settings: Settings, scope: str) -> bytes:
    return asyncio.run(lifecycle.get(settings, scope)).encode()


def _starter_row(one: Starter) -> dict[str, Any]:
    return {
        "name": one.name,
        "scope": one.kind,
        "about": one.about,
        "categories": len(one.policy.categories),
        "golden": 0 if one.policy.golden is UNSET else len(one.policy.golden),
        "tokens": lint_cost.estimate(one.policy).tokens,
        "notes": one.notes,
    }


def _counterpart(one: Counterpart) -> str:
    return f"{one.match:<5} {', '.join(one.ids)}{': ' if one.ids else ''}{one.why}"


def _document(policy: Policy, *, compact: bool) -> bytes:
    raw = encode(policy)
    return (raw if compact else msgspec.json.format(raw, indent=_INDENT)) + b"\n"


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        text = f"{out} cannot be written ({error.strerror}); name another file with --out"
        raise UsageError(text) from None
