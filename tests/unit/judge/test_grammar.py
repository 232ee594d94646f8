"""The grammar of the answer; that it agrees with the reader is in tests/property."""

from __future__ import annotations

import pytest

from worker.judge.grammar import answer_grammar, ids_grammar, longest_answer_bytes


def test_the_rules_of_two_categories() -> None:
    """Each id may be left out but the last that is begun, and the order is the policy's."""
    assert answer_grammar(("U7", "U15"), "}") == (
        'root ::= "safe}" | "unsafe}" " " ids0\nids0 ::= "U7" (", " ids1)? | ids1\nids1 ::= "U15"'
    )


def test_without_categories_there_is_only_the_label() -> None:
    """A panel of prose alone has nothing to cite."""
    assert answer_grammar((), "}") == 'root ::= "safe}" | "unsafe}"'
    with pytest.raises(ValueError, match="no ids"):
        ids_grammar(())


def test_what_ends_the_label_is_escaped() -> None:
    """Quotes, backslashes and line ends of a template cannot break out of the grammar."""
    assert answer_grammar((), '"\\\n') == 'root ::= "safe\\"\\\\\\n" | "unsafe\\"\\\\\\n"'


def test_the_ids_alone() -> None:
    """Asked after ``unsafe`` and its close, the ids begin with the same space."""
    assert ids_grammar(("U7",)) == 'root ::= " " ids0\nids0 ::= "U7"'


def test_the_longest_answer_names_everything() -> None:
    """The bound is the text with every id, in bytes."""
    assert longest_answer_bytes(("U7", "U15"), "}") == len("unsafe} U7, U15")
    assert longest_answer_bytes((), "»") == len("unsafe") + 2
