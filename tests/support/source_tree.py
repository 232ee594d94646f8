"""The program's source as data: modules, their functions and their imports, read without importing anything."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """One module: its dotted name, its file and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Length of the file."""
        return len(self.path.read_text(encoding="utf-8").splitlines())


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the program."""
    return tuple(_read(path) for path in sorted((ROOT / "worker").rglob("*.py")))


def _read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8")))


def functions(module: Module) -> list[Function]:
    """Return every function and method, inner ones too."""
    return [node for node in ast.walk(module.tree) if isinstance(node, Function)]


def length(function: Function) -> int:
    """Return how many lines a function has, its signature and docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


@cache
def imports(module: Module) -> frozenset[str]:
    """Return the full name of everything that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return frozenset(found)


def own_imports(module: Module) -> set[str]:
    """Return the names of the program's modules that a module imports."""
    known = {other.name for other in modules()}
    packages = {name for name in known if any(other.startswith(f"{name}.") for other in known)}
    return {name for name in imports(module) if name in known - packages and name != module.name}


def foreign_imports(module: Module) -> set[str]:
    """Return the top names of everything else that a module imports."""
    return {name.split(".")[0] for name in imports(module)} - {"worker", ""}
