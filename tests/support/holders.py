"""Which attributes of the program's objects hold a number of things that can grow, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tests.support.source_tree import Module, modules

#: What runs as long as a worker does.
LIVING: Final = ("worker.stream", "worker.judge", "worker.policy", "worker.erasure", "worker.logs")
_MAKERS: Final = frozenset(
    {"dict", "list", "set", "deque", "OrderedDict", "defaultdict", "Counter", "Queue", "lru_cache"}
)


def holders() -> set[str]:
    """Return ``module.Class.attribute`` of each attribute that starts as a container in ``__init__``."""
    return {name for module in modules() if module.name.startswith(LIVING) for name in _of(module)}


def _of(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            for function in node.body:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    yield from (f"{module.name.removeprefix('worker.')}.{node.name}.{one}" for one in _held(function))


def _held(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign | ast.Assign) and _grows(node.value):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            yield from (one.attr for one in targets if isinstance(one, ast.Attribute))


def _grows(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Dict | ast.List | ast.Set):
        return not (value.keys if isinstance(value, ast.Dict) else value.elts)
    called = value
    while isinstance(called, ast.Call):
        called = called.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return isinstance(value, ast.Call) and name in _MAKERS
