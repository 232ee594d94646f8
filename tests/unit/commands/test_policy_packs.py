"""``rsafe policy import|export|starter|crosswalk|cost`` as somebody types them; none of them needs Kafka."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from worker.commands.policy import app as policy_app
from worker.commands.policy_packs import app
from worker.config import Settings
from worker.errors import PolicyInvalid, UsageError
from worker.judge.folder import find_model
from worker.records import decode_policy

PACKS: Final = Path(__file__).parents[1] / "policy" / "packs"
SWAPS: Final = PACKS / "swaps.policy.md"


def typed(*arguments: str | Path) -> Result:
    """Run a command that ends well."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def read(*arguments: str | Path) -> Any:
    """Run a command and return the JSON that it prints."""
    return json.loads(typed(*arguments).stdout)


def test_in_and_out(tmp_path: Path) -> None:
    """Prose becomes a file, the file prose again, byte for byte."""
    file, prose = tmp_path / "swaps.json", tmp_path / "swaps.md"
    golden = PACKS / "swaps.jsonl"
    said = typed("import", SWAPS, "--golden", golden, "--min-pass", "0.5", "--scope", "garden", "--out", file).stderr
    typed("export", file, "--out", prose)
    record = decode_policy(file.read_bytes())

    assert prose.read_bytes() == SWAPS.read_bytes()
    assert typed("export", file).stdout_bytes == SWAPS.read_bytes()
    assert (len(record.golden or ()), record.min_pass) == (3, 0.5)
    assert "categories SW1 SW2; 3 golden cases; 0 warnings" in said
    assert "rsafe policy put garden" in said
    assert typed("export", file, "--format", "json").stdout_bytes == file.read_bytes()


def test_a_folder_of_packs(tmp_path: Path) -> None:
    """One file each, with the labels of the same name."""
    typed("import", PACKS, "--golden", PACKS, "--out", tmp_path / "out")
    found = {path.name: decode_policy(path.read_bytes()) for path in (tmp_path / "out").iterdir()}

    assert {name: len(one.golden or ()) for name, one in found.items()} == {"queue.json": 3, "swaps.json": 3}
    with pytest.raises(UsageError, match="--out DIR"):
        typed("import", PACKS)


def test_what_cannot_be_imported(tmp_path: Path) -> None:
    """A policy file, no file, an empty folder, no labels, bytes that are no text; each says what to do."""
    record, binary = tmp_path / "a.json", tmp_path / "b.md"
    record.write_text("{}", encoding="utf-8")
    binary.write_bytes(b"\xff\xfe")
    for arguments, words in (
        (("import", record), "policy put"),
        (("import", tmp_path / "gone.md"), "give a file"),
        (("import", tmp_path), "name the file"),
        (("import", SWAPS, "--golden", tmp_path), "leave --golden out"),
    ):
        with pytest.raises(UsageError, match=words):
            typed(*arguments)
    with pytest.raises(PolicyInvalid, match="UTF-8"):
        typed("import", binary)


def test_no_policy_is_written_over_another(tmp_path: Path) -> None:
    """Two sources of one name would be one file; both are named, and nothing is written."""
    folder, out = tmp_path / "packs", tmp_path / "out"
    folder.mkdir()
    for ending in ("md", "txt"):
        (folder / f"spam.policy.{ending}").write_bytes(SWAPS.read_bytes())

    with pytest.raises(
        UsageError, match=r"spam\.policy\.md and spam\.policy\.txt would both be spam\.json; rename one"
    ):
        typed("import", folder, "--out", out)

    assert not out.exists()


@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, place: str) -> None:
    """A file stands in its way."""
    (tmp_path / "taken").write_text("mine", encoding="utf-8")

    with pytest.raises(UsageError, match=r"no folder .*; name another one with --out"):
        typed("import", PACKS, "--out", tmp_path / place)

    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "labels",
    [
        "",
        "\n",
        "text,label\n",
        '{"text": "a", "label": "safe", "policy": "else"}\n',
        "text,label,policy\na,safe,else\n",
    ],
)
def test_labels_without_a_case_are_refused(tmp_path: Path, labels: str) -> None:
    """Who gives labels wants a gate; a policy without cases has none."""
    golden, out = tmp_path / "swaps.jsonl", tmp_path / "swaps.json"
    golden.write_text(labels, encoding="utf-8")

    with pytest.raises(UsageError, match=r"swaps\.jsonl has no case for swaps; .* leave --golden out"):
        typed("import", SWAPS, "--golden", golden, "--out", out)

    assert not out.exists()


def test_codes_that_are_the_floors(tmp_path: Path) -> None:
    """An imported category under an id of the floor would be refused, and nothing is written."""
    floor, out = tmp_path / "platform.json", tmp_path / "own.json"
    floor.write_text(
        json.dumps({"title": "F", "version": 1, "categories": [{"id": "SW1", "name": "Swaps"}]}), encoding="utf-8"
    )
    result = CliRunner().invoke(app, ["import", str(SWAPS), "--floor", str(floor), "--out", str(out)])

    assert result.exit_code == 1
    assert "error: categories[0]" in result.stderr
    assert not out.exists()


def test_starters(tmp_path: Path) -> None:
    """A list with tokens and notes, or one policy that lint and the store take."""
    rows = read("starter", "--json")
    file = tmp_path / "game.json"
    typed("starter", "game-chat", "--out", file)

    assert [row["name"] for row in rows][:2] == ["platform", "rsafe-18"]
    assert all(row["tokens"] > 0 and row["golden"] > 0 for row in rows)
    assert decode_policy(file.read_bytes()).title == "Starter: game chat"
    assert "U6: " in typed("starter").stdout
    with pytest.raises(UsageError, match="game-chat"):
        typed("starter", "chess")


def test_the_crosswalk() -> None:
    """As text with reasons, and as data."""
    assert len(read("crosswalk", "--json")["categories"]) == 18
    assert "none" in typed("crosswalk").stdout


def test_costs(tmp_path: Path) -> None:
    """Counted with the shipped model's tokenizer and as it is asked: a call for each category, of floor and set."""
    floor, own = tmp_path / "platform.json", tmp_path / "game.json"
    typed("starter", "platform", "--out", floor)
    typed("starter", "game-chat", "--out", own)
    both, alone = read("cost", own, "--floor", floor, "--json"), read("cost", own, "--json")

    assert (both["calls"], alone["calls"]) == (len(both["parts"]), len(alone["parts"])) == (11, 4)
    assert both["tokens"] > alone["tokens"] > sum(part["tokens"] for part in alone["parts"]) / 2
    assert both["tokens_per_1000_messages"] == both["tokens"] * 1000
    assert "before each message in 11 calls" in typed("cost", own, "--floor", floor).stdout


def test_lint_counts_with_a_models_own_tokenizer(tmp_path: Path) -> None:
    """What it says of a thousand messages is what ``cost`` counts; a broken record is refused as ever."""
    floor, own, broken = (tmp_path / name for name in ("platform.json", "game.json", "broken.json"))
    typed("starter", "platform", "--out", floor)
    typed("starter", "game-chat", "--out", own)
    broken.write_text('{"title": 1}')
    counted = read("cost", own, "--floor", floor, "--json")
    lint = ("lint", str(own), "--floor", str(floor))
    with_model = CliRunner().invoke(policy_app, [*lint, "--model", str(find_model(Settings()))])
    without = CliRunner().invoke(policy_app, lint)
    refused = CliRunner().invoke(policy_app, ["lint", str(broken), "--model", str(find_model(Settings()))])

    assert f"{counted['tokens']} tokens before each message in 11 calls" in with_model.stdout
    assert f"{counted['tokens_per_1000_messages']} for 1000 messages (counted" in with_model.stdout
    assert "(an estimate" in without.stdout
    assert (with_model.exit_code, without.exit_code, refused.exit_code) == (0, 0, 1)
    assert "error" in refused.stdout


def test_a_format_that_there_is_not() -> None:
    """The two that there are stand in the error."""
    with pytest.raises(UsageError, match="text or json"):
        typed("export", SWAPS, "--format", "pdf")
