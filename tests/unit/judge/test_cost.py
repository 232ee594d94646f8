"""The tokens of a policy, counted as the engine is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from tests.support.policies import accepted, category, clause, policy
from tests.support.tiny_model import DEMO_TEMPLATE, save_tokenizer
from worker.config import Settings
from worker.judge import prompt
from worker.judge.cost import Counter
from worker.judge.folder import find_model
from worker.judge.template import load_template
from worker.judge.tokens import Tokens
from worker.policy.combine import combine
from worker.policy.lint_cost import estimate, finding
from worker.policy.model import EffectivePolicy, Panel
from worker.policy.pack_starter import names, starter
from worker.records import PLATFORM, Policy

FLOOR = policy(category("U7", "Hate", definition="Slurs.", violates=(clause("v", "A slur."),)))
OWN = policy(category("SPAM", "Spam", definition="Lures."), text="Prose of the tenant.")


def effective(floor: Policy | None, own: Policy | None) -> EffectivePolicy:
    """Combine two records."""
    parts = accepted(PLATFORM, floor) if floor else None, accepted("acme", own) if own else None
    found = combine(*parts, None)
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a tokenizer and a template."""
    save_tokenizer(tmp_path, DEMO_TEMPLATE)
    return tmp_path


def test_the_prefixes_of_all_calls(folder: Path) -> None:
    """Floor and tenant are asked apart, so both prefixes count."""
    both = effective(FLOOR, OWN)
    template = load_template(folder)
    tokens = Tokens(folder, template)
    wanted = sum(len(tokens.encode(prompt.prefix(template, panel, "user"))) for panel in both.panels)
    cost = Counter(folder).cost(both)

    assert (cost.tokens, cost.calls, cost.exact) == (wanted, 2, True)
    assert cost.per_thousand == wanted * 1000
    assert "2 calls" in finding(cost).message
    assert "tokenizer" in finding(cost).message


def test_a_model_that_is_asked_for_each_category(tmp_path: Path) -> None:
    """Every category has a prompt of its own, the template's part in each; a tenant's with prose are asked together."""
    template = save_tokenizer(tmp_path, apart=True)
    tokens = Tokens(tmp_path, template)
    two = structs.replace(FLOOR, categories=(*FLOOR.categories, structs.replace(FLOOR.categories[0], id="U8")))
    both = effective(two, OWN)
    floor, own = both.panels
    panels = [*(Panel(categories=(one,)) for one in floor.categories), own]
    cost = Counter(tmp_path).cost(both)

    assert cost.calls == len(panels) == 3
    assert cost.tokens == sum(len(tokens.encode(prompt.prefix(template, panel, "user"))) for panel in panels)


def test_what_each_part_weighs(folder: Path) -> None:
    """Categories and prose, in the order of the policy."""
    weights = Counter(folder).weights(effective(FLOOR, OWN))

    assert [(one.scope, one.id) for one in weights] == [(PLATFORM, "U7"), ("acme", "SPAM"), ("acme", None)]
    assert all(one.tokens > 0 for one in weights)


def test_an_estimate_is_near_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    """Within a third of what the shipped model's tokenizer makes of each starter; the figures are printed."""
    counter = Counter(find_model(Settings()))
    rows = []
    for name in names():
        record = starter(name).policy
        floor = None if starter(name).kind == "platform" else starter(PLATFORM).policy
        weights = counter.weights(effective(floor, record) if floor else effective(record, None))
        own = sum(one.tokens for one in weights if floor is None or one.scope != PLATFORM)
        rows.append((name, estimate(record).tokens, own))
    with capsys.disabled():
        print(
            "\n" + "\n".join(f"{name:<21} estimated {guess:>5}, counted {own:>5} tokens" for name, guess, own in rows)
        )

    assert [name for name, guess, own in rows if abs(guess - own) > own / 3] == []
