"""House rules that a linter does not know: sizes, the direction of imports, one seam per library, clean files."""

from __future__ import annotations

import ast
import itertools
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.support.source_tree import ROOT, Module, foreign_imports, functions, imports, length, modules, own_imports

MAX_FUNCTION_LINES: Final = 70
MAX_MODULE_LINES: Final = 400
MAX_MEDIAN_LINES: Final = 10

#: What each part of the program may import besides itself. Modules at the top of ``worker/`` that are not
#: named here are leaves: they know nothing but each other.
LAYERS: Final[dict[str, frozenset[str]]] = {
    "leaf": frozenset(),
    "erasure": frozenset({"leaf"}),
    "policy": frozenset({"leaf"}),
    "exceptions": frozenset({"leaf", "policy"}),
    "judge": frozenset({"leaf", "policy", "exceptions"}),
    "stream": frozenset({"leaf", "erasure", "policy", "exceptions", "judge"}),
    "audit": frozenset({"leaf", "erasure", "policy", "exceptions", "judge", "stream"}),
    "train": frozenset({"leaf", "policy", "judge"}),
    "dlq": frozenset({"leaf", "erasure"}),
    # Its traffic is the demonstration's messages and policies, and it measures the audit, too.
    "bench": frozenset({"leaf", "policy", "judge", "stream", "audit", "demo"}),
    "demo": frozenset({"leaf", "policy", "judge", "stream"}),
    # Its carriers are judged under the demonstration's policies, and its rates have the audit's intervals.
    "attacks": frozenset({"leaf", "policy", "judge", "audit", "demo"}),
    "schemas": frozenset({"leaf", "erasure", "policy", "exceptions", "judge", "stream"}),
    "commands": frozenset(
        {"leaf", "erasure", "policy", "exceptions", "judge", "stream", "audit", "dlq", "train", "bench", "demo"}
    ),
    "cli": frozenset({"leaf", "policy", "judge", "stream", "audit", "dlq", "train", "bench", "demo", "commands"}),
    "docs": frozenset({"leaf", "schemas", "cli"}),
    # What it is made of: reads locks and metadata, and nothing of the program but its jars.
    "supply": frozenset({"leaf"}),
    "__main__": frozenset({"cli"}),
}
#: Libraries that one place alone may import, so that they can be changed there.
SEAMS: Final[dict[str, frozenset[str]]] = {
    "vllm": frozenset({"worker.judge.vllm_engine", "worker.judge.vllm_copied"}),
    "cryptography": frozenset({"worker.sealing"}),
    "faust": frozenset({"worker.stream.app"}),
    "jgo": frozenset({"worker.jars"}),
    "sklearn": frozenset(
        {
            "worker.train.data.linear",
            "worker.train.evaluate",
            "worker.train.evaluation",
            "worker.train.examples.teacher",
            "worker.train.model.start",
            "worker.train.release.calibrate",
        }
    ),
    "trl": frozenset({"worker.train.rl.grpo", "worker.train.sft_traces"}),
    "typer": frozenset({"worker.cli", "worker.docs", "worker.commands"}),
    "yaml": frozenset({"worker.schemas.asyncapi"}),
    "cyclonedx": frozenset({"worker.supply.sbom"}),
    "license_expression": frozenset({"worker.supply.licences"}),
    "pyarrow": frozenset({"worker.audit.export.parquet", "worker.train.data.hub"}),
}
#: Who may make a Kafka client, and why it is not ``worker.kafka`` that does.
CLIENT_MAKERS: Final = {
    "worker.kafka": "the factories",
    "worker.broker": "its probe must fail in two seconds, before there are settings",
}
CLIENTS: Final = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient"}
#: Started from outside; nobody imports them.
ENTRIES: Final = {
    "worker.__main__",
    "worker.attacks.__main__",
    "worker.docs",
    "worker.schemas.__main__",
    "worker.supply.__main__",
    "worker.bench.soak",
}
#: Libraries that take seconds to import, or start threads and processes of their own when imported.
HEAVY: Final = {"vllm", "faust", "mode", "torch", "transformers", "sklearn", "matplotlib"}


def layer(name: str) -> str:
    """Return the part of the program that a module belongs to."""
    part = name.split(".")[1] if "." in name else "leaf"
    return part if part in LAYERS else "leaf"


def ids(module: Module) -> str:
    """Name a test after its module."""
    return module.name


@pytest.mark.parametrize("module", modules(), ids=ids)
def test_functions_are_short(module: Module) -> None:
    """No function is longer than a screen."""
    long = {function.name: length(function) for function in functions(module) if length(function) > MAX_FUNCTION_LINES}

    assert long == {}


@pytest.mark.parametrize("module", modules(), ids=ids)
def test_modules_are_small(module: Module) -> None:
    """No module is longer than can be kept in mind."""
    assert module.lines <= MAX_MODULE_LINES


def test_most_functions_are_very_short(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of all functions have about ten lines at most; the figures are printed."""
    lengths = sorted(length(function) for module in modules() for function in functions(module))
    median, tenth = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    with capsys.disabled():
        print(f"\n{len(lengths)} functions in {len(modules())} modules: median {median:g} lines, p90 {tenth}")

    assert median <= MAX_MEDIAN_LINES


@pytest.mark.parametrize("module", modules(), ids=ids)
def test_imports_point_one_way(module: Module) -> None:
    """A part of the program knows only the parts below it."""
    own = layer(module.name)
    wrong = {name for name in own_imports(module) if layer(name) not in LAYERS[own] | {own}}

    assert wrong == set()


def test_no_modules_import_each_other() -> None:
    """Imports form no circle."""
    waiting = {module.name: own_imports(module) for module in modules()}
    while free := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in free:
            del waiting[name]

    assert waiting == {}


@pytest.mark.parametrize("library, places", SEAMS.items(), ids=list(SEAMS))
def test_one_seam_for_each_library(library: str, places: frozenset[str]) -> None:
    """A library stays behind its seam (a package stands for its modules)."""
    users = {module.name for module in modules() if library in foreign_imports(module)}

    assert {name for name in users if not {name, name.rpartition(".")[0]} & places} == set()


def test_one_place_makes_kafka_clients() -> None:
    """Clients come from the factories, which know deadlines and sizes; each exception has its reason."""
    makers = {
        module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLIENTS
    }

    assert makers == set(CLIENT_MAKERS)


def test_no_module_is_dead() -> None:
    """Every module is imported by another one or is an entry."""
    used = set().union(*(own_imports(module) for module in modules()))
    packages = {module.name for module in modules() if module.path.name == "__init__.py"}

    assert {module.name for module in modules()} - used - packages - ENTRIES == set()


def _light_modules() -> list[str]:
    needs = {module.name: own_imports(module) for module in modules()}
    heavy = {module.name for module in modules() if foreign_imports(module) & HEAVY}
    while more := {name for name, own in needs.items() if own & heavy} - heavy:
        heavy |= more
    return sorted(set(needs) - heavy - {"worker.__main__", "worker.schemas.__main__"})


#: Refuses what nobody should do just because a module is imported.
WATCHED_IMPORT: Final = """
import importlib, sys, threading

REFUSED = {"socket.bind", "socket.connect", "subprocess.Popen", "os.fork", "os.system", "os.mkdir", "os.remove"}

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event in REFUSED or writes:
        raise RuntimeError(f"{event} {arguments}")

importlib.import_module("prometheus_client")
before = threading.active_count()
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert threading.active_count() == before, name
"""


def test_importing_does_nothing() -> None:
    """Importing a module opens no socket, starts no thread and no process, and writes no file."""
    command = [sys.executable, "-B", "-c", WATCHED_IMPORT, *_light_modules()]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", modules(), ids=ids)
def test_nothing_but_definitions_at_the_top(module: Module) -> None:
    """The top of a module defines and imports; it has no loops, no calls for effect, no tries."""
    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    others = [node for node in module.tree.body if not isinstance(node, allowed) and not _is_docstring(node)]

    assert [ast.unparse(node) for node in others if not _is_guard(node) and not _adds_commands(node)] == []


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _adds_commands(node: ast.stmt) -> bool:
    """Tell whether a statement adds commands to the command line, which typer does by a call."""
    return ast.unparse(node).startswith(("app.add_typer(", "app.command("))


def _is_guard(node: ast.stmt) -> bool:
    """Tell whether a statement runs only in a program of its own, or only for the type checker."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"__name__ == '__main__'", "TYPE_CHECKING"}


@pytest.mark.parametrize("module", modules(), ids=ids)
def test_every_public_name_is_explained(module: Module) -> None:
    """Modules, public classes, and public functions and methods of those have a docstring."""
    assert ast.get_docstring(module.tree)

    assert [name for name, node in _public(module.tree) if not ast.get_docstring(node)] == []


def _public(tree: ast.Module | ast.ClassDef) -> list[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    here = [(node.name, node) for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    inner = [_public(node) for _, node in here if isinstance(node, ast.ClassDef)]
    return [*here, *itertools.chain.from_iterable(inner)]


def _text_files() -> list[Path]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    return [path for path in paths if b"\0" not in path.read_bytes()[:8000]]


#: Written in pieces, so that this file does not find itself.
FORBIDDEN: Final = {
    "a path of some machine": r"(?<![\w.])/(?:work|root|home|Users)" + r"(?:/|\b(?![-\w]))",
    "a package registry's host": r"\b(?:"
    + r"|".join(("py" + "pi", "python" + "hosted", "repo1" + r"\.maven"))
    + r")\.org",
    "a note to oneself": r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    """No text file of the repository holds such a thing."""
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in _text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").glob("*.lock")), ids=lambda path: path.name)
def test_locks_carry_no_addresses(path: Path) -> None:
    """A lock names versions and hashes; where to fetch from is the machine's affair."""
    text = path.read_text(encoding="utf-8")

    assert "://" not in text
    assert not re.search(r"^\s*--(?:extra-)?index|^\s*--find-links|^-e\s|^-i\s", text, re.MULTILINE)
    names = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert [line for line in names if "==" not in line] == []
    assert text.count("--hash=sha256:") >= len(names)


def test_the_linter_still_looks_for_dead_code() -> None:
    """Commented-out code, notes to oneself and missing docstrings stay errors, without exceptions."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    ignored = [*settings["ignore"], *itertools.chain.from_iterable(settings["per-file-ignores"].values())]

    assert settings["select"] == ["ALL"]
    assert {"ERA", "ERA001", "FIX", "FIX001", "D", "D100", "D101", "D102", "D103", "ANN001", "ANN201"} & set(
        ignored
    ) == set()
    assert not [path for path in (ROOT / "worker").rglob("*.py") if "noqa: ERA" in path.read_text(encoding="utf-8")]


def test_every_exception_of_the_linter_has_its_reason() -> None:
    """Beside each rule that is switched off stands why."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:ignore|\"tests/\*\*\") = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)

    assert len(lists) == 2
    assert [line for block in lists for line in block.splitlines() if not re.search(r'^\s+"\w+",\s+# \w', line)] == []


def test_imports_are_read_whole() -> None:
    """The tree behind these tests sees imports inside functions too, and knows packages from modules."""
    by_name = {module.name: module for module in modules()}

    assert "worker.decoding" in own_imports(by_name["worker.records"])
    assert any(name.startswith("worker.commands.run") for name in imports(by_name["worker.cli"]))
    assert layer("worker.records") == "leaf"
    assert layer("worker.judge.verdict") == "judge"
