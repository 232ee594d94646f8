"""Prose policies come in with their codes and go out byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tests.conftest import SHARED_DATA
from tests.support.policies import category, clause, policy
from worker.errors import PolicyInvalid, UsageError
from worker.policy.history import read_policy
from worker.policy.lint import lint
from worker.policy.pack import export_prose, import_prose, outline, write_prose
from worker.policy.pack_labels import golden_cases
from worker.policy.scope import Scope
from worker.records import Policy, encode

PACKS: Final = Path(__file__).parent / "packs"
SWAPS: Final = PACKS / "swaps.policy.md"
QUEUE: Final = PACKS / "queue.policy.txt"
#: Prose, labels, and what must be found: codes that become categories, rows, and unsafe rows.
REAL: Final = (
    ("gpt_oss_spam_golden/policy.txt", "golden_dataset.jsonl", ("SP2", "SP3", "SP4"), 40, 22),
    (
        "roost_teen_policy_pack/age-restricted-goods-and-services.policy.md",
        "age-restricted-goods-and-services.jsonl",
        ("ARS1", "ARS2"),
        62,
        30,
    ),
    (
        "roost_teen_policy_pack/dangerous-content.policy.md",
        "dangerous-content.jsonl",
        ("DC1", "DC2", "DC3"),
        82,
        47,
    ),
)


def taken(path: Path) -> Policy:
    """Import a file."""
    return import_prose(path.read_bytes(), path.name)


def test_markdown_with_headings() -> None:
    """Names and definitions come from the headings, clauses from the numbered rules, 0 is no category."""
    found = taken(SWAPS)

    assert (found.title, found.version) == ("Plant Swap Manners Policy", 1)
    assert [(one.id, one.name, one.definition) for one in found.categories] == [
        ("SW1", "Selling Instead of Swapping", "Notes that ask for money or name a price."),
        ("SW2", "Hoarding", "Notes that claim more than the house rule allows."),
    ]
    assert found.categories[0].violates == (clause("a", "Price"), clause("b", "Auction"))
    assert found.categories[0].severity is UNSET
    assert "SHA-256" in str(found.reason)


def test_text_with_pictures_and_dashes() -> None:
    """Headings without Markdown; a code in the middle of a rule declares nothing."""
    found = taken(QUEUE)

    assert [(one.id, one.name, one.definition) for one in found.categories] == [
        ("QU1", "Pushing In", "Getting ahead of those who came first."),
        ("QU2", "Blocking", "Keeping everybody from moving on."),
    ]
    assert [one.id for one in found.categories[0].violates or ()] == ["a", "b"]


def test_codes_of_a_list_alone() -> None:
    """Where no heading declares a code, the list of labels does."""
    found = outline("# Loud Places\n\n- `LP0`: quiet talk\n- `LP1`: shouting\n- `LP1`: again\n")

    assert [(one.code, one.name, one.allowed) for one in found.codes] == [
        ("LP0", "quiet talk", True),
        ("LP1", "shouting", False),
    ]


def test_prose_without_codes_is_prose_alone() -> None:
    """The judge reads it all the same."""
    found = import_prose(b"Be kind to beginners.", "kind.txt")

    assert (found.title, found.categories, found.text) == ("Be kind to beginners.", (), "Be kind to beginners.")


@pytest.mark.parametrize("line", ["# Title", "- AB1.a Rule", "AB1", "## Name"])
def test_long_lines_are_read_at_once(line: str) -> None:
    """Ninety thousand spaces in a line do not keep the patterns busy."""
    found = outline(f"{line}{' ' * 90_000}x (AB1\n## Name (AB2)\n")

    assert [one.code for one in found.codes] == ["AB2"]


def test_ten_is_not_zero() -> None:
    """Only the number 0 means allowed."""
    codes = outline("## Ten (AB10)\n## None (AB0)\n## Many (AB00)\n").codes

    assert [(one.code, one.allowed) for one in codes] == [("AB10", False), ("AB0", True), ("AB00", True)]


@pytest.mark.parametrize("raw", [b"", b" \n", b"\xff\xfe", b"word " * 30_000], ids=["empty", "blank", "latin", "long"])
def test_what_is_no_prose(raw: bytes) -> None:
    """The error names the field."""
    with pytest.raises(PolicyInvalid, match="text"):
        import_prose(raw, "x.txt")


@pytest.mark.parametrize("path", [SWAPS, QUEUE], ids=lambda path: path.name)
@pytest.mark.parametrize("change", ["as it is", "CRLF", "BOM", "no last line end"])
def test_the_prose_comes_back_byte_for_byte(path: Path, change: str) -> None:
    """Through the record's bytes, whatever ends the lines."""
    raw = path.read_bytes()
    changed = {
        "as it is": raw,
        "CRLF": raw.replace(b"\n", b"\r\n"),
        "BOM": b"\xef\xbb\xbf" + raw,
        "no last line end": raw.rstrip(),
    }[change]
    found = import_prose(changed, path.name)

    assert export_prose(read_policy(encode(found))) == changed
    assert len(found.categories) == 2


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400))
def test_any_prose_comes_back(text: str) -> None:
    """Every text that is not blank goes in and out unchanged."""
    raw = f"x{text}".encode()

    assert export_prose(read_policy(encode(import_prose(raw, "x.txt")))) == raw


def test_categories_written_out_are_read_again() -> None:
    """A policy without prose becomes prose in the shape of a pack."""
    own = policy(
        category(
            "AB1", "Alpha", definition="Sells watches.", violates=(clause("v", "Offers."),), allowed=(clause("w"),)
        ),
        title="Own",
    )
    found = import_prose(write_prose(own).encode(), "own.md")

    assert [(one.id, one.name, one.definition) for one in found.categories] == [("AB1", "Alpha", "Sells watches.")]
    assert found.categories[0].violates == (clause("v", "Offers."),)
    assert export_prose(own) == write_prose(own).encode()


def test_rows_of_prompt_and_answer() -> None:
    """An answer is a case of its own with the prompt before it; rows of another policy are left out."""
    cases = golden_cases((PACKS / "swaps.jsonl").read_bytes(), outline(SWAPS.read_text(encoding="utf-8")), "swaps")

    assert [(case.role, case.label, case.categories) for case in cases] == [
        ("user", "safe", ()),
        ("agent", "unsafe", ("SW1",)),
        ("user", "unsafe", ("SW2",)),
    ]
    assert cases[1].context[0].text == cases[0].text


def test_rows_of_a_table() -> None:
    """CSV with a head line; INVALID names no category."""
    cases = golden_cases((PACKS / "queue.csv").read_bytes(), outline(QUEUE.read_text(encoding="utf-8")), "queue")

    assert [(case.label, case.categories) for case in cases] == [("safe", ()), ("unsafe", ("QU1",)), ("unsafe", ())]


@pytest.mark.parametrize(
    "raw,words",
    [
        (b'{"text": "private words", "label": "QU7"}', "'label' in row 1"),
        (b'{"text": "private words"}', "row 1"),
        (b'{"text": 1, "label": "QU1"}', "row 1"),
        (b"{nonsense", "line 1"),
        (b"text,label\n\xff,QU1", "UTF-8"),
    ],
)
def test_rows_that_cannot_be_used(raw: bytes, words: str) -> None:
    """The error names the row and never quotes it."""
    with pytest.raises(UsageError, match=words) as caught:
        golden_cases(raw, outline(QUEUE.read_text(encoding="utf-8")), "queue")
    assert "private" not in str(caught.value)


@pytest.mark.data
@pytest.mark.parametrize("prose,labels,ids,rows,unsafe", REAL, ids=lambda value: str(value).rpartition("/")[2][:20])
def test_the_real_packs(prose: str, labels: str, ids: tuple[str, ...], rows: int, unsafe: int) -> None:
    """Codes, rows and bytes of the packs for gpt-oss-safeguard; lint finds nothing that would be refused."""
    path = SHARED_DATA / prose
    raw = path.read_bytes()
    seen = outline(raw.decode())
    cases = golden_cases(path.with_name(labels).read_bytes(), seen, path.name.removesuffix(".policy.md"))
    found = import_prose(raw, path.name, cases)

    assert tuple(one.id for one in found.categories) == ids
    assert all(one.definition and one.violates for one in found.categories)
    assert (len(cases), sum(case.label == "unsafe" for case in cases)) == (rows, unsafe)
    assert export_prose(read_policy(encode(found))) == raw
    assert [one for one in lint(encode(found), Scope("acme")) if one.level == "error"] == []
