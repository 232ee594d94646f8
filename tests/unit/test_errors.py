"""The error tree: what is drawn is what is there, and every class says what to do with it."""

from __future__ import annotations

import inspect
import re
from typing import Final, get_args

import pytest

from worker import errors
from worker.errors import Disposition, EngineError, RecordError, WorkerError
from worker.records import Status

CLASSES: Final[dict[str, type[WorkerError]]] = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, WorkerError)
}
#: A line of the drawing: branches, class, disposition and a few words; the base of others has a name alone.
LINE: Final = re.compile(
    r"^ {4}(?P<branch>[ │├└─]*)(?P<name>[A-Z]\w+)(?: {2,}(?P<todo>[a-z ]+?) {2,}(?P<words>\S.*))?$"
)


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Read the drawing: class to (base, disposition)."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = LINE.match(line)
        if found:
            depth = len(found["branch"]) // 4
            tree[found["name"]] = (above[depth - 1] if depth else None, found["todo"])
            above[depth:] = [found["name"]]
    return tree


def test_the_drawing_is_the_tree() -> None:
    """Every class is drawn under its base, in the order of the module."""
    real = {name: getattr(kind.__base__, "__name__", None) for name, kind in CLASSES.items()} | {"WorkerError": None}

    assert {name: base for name, (base, _) in drawn().items()} == real
    assert list(drawn()) == list(real)


@pytest.mark.parametrize("name", [name for name, (_, todo) in drawn().items() if todo])
def test_the_drawn_disposition_is_the_real_one(name: str) -> None:
    """The column beside a class is its disposition."""
    assert Disposition(str(drawn()[name][1]).replace(" ", "_")) is CLASSES[name].disposition


@pytest.mark.parametrize("name", CLASSES)
def test_every_leaf_has_a_disposition_in_the_drawing(name: str) -> None:
    """Only a class that others are made from may be drawn without a disposition."""
    has_children = any(base == name for base, _ in drawn().values())

    assert has_children or drawn()[name][1]


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_says_what_happened(name: str) -> None:
    """Every class has a docstring of its own that ends as a sentence."""
    first = (CLASSES[name].__doc__ or "").split("\n")[0]

    assert first.endswith(".")
    assert CLASSES[name].__doc__ != getattr(CLASSES[name].__base__, "__doc__", None)


@pytest.mark.parametrize("name", [name for name, kind in CLASSES.items() if issubclass(kind, EngineError)])
def test_engine_errors_have_a_status_of_verdicts(name: str) -> None:
    """What becomes a verdict carries a status that a verdict may have."""
    kind = CLASSES[name]

    assert issubclass(kind, EngineError)
    assert kind.status in get_args(Status)


def test_a_record_error_names_field_and_type() -> None:
    """Its text is made of field and expectation alone, for one field and for the whole record."""
    assert str(RecordError("context[0].role", "'user' or 'agent'")) == "context[0].role: expected 'user' or 'agent'"
    assert str(RecordError("", "a JSON object in UTF-8")) == "record: expected a JSON object in UTF-8"


@pytest.mark.parametrize("name", [name for name, kind in CLASSES.items() if issubclass(kind, RecordError)])
def test_record_errors_take_no_value(name: str) -> None:
    """A record error is made from field and expectation; there is no place for a value."""
    assert list(inspect.signature(CLASSES[name].__init__).parameters) == ["self", "field", "expected"]
