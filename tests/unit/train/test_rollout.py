"""Rollouts that read a group's prompt once write what the model would have written alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support.tiny_model import CHAT_TEMPLATE, DEMO_TEMPLATE, save_model, tiny_tokens
from worker.judge.prompt import Text, verdict_opening
from worker.judge.template import Control
from worker.train.rl.rollout import Sampler, read_completion
from worker.train.rl.shared import find_groups, log_probabilities, pack

PROMPTS = ([5, 6, 7, 8, 9, 40], [30, 31], [50, 51, 52, 53])
END = 7


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A little decoder with random weights."""
    # More threads than free cores make small matrices many times slower.
    torch.set_num_threads(1)
    folder = save_model(tmp_path_factory.mktemp("model") / "tiny")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def _greedy(model: Any, prompt: list[int], limit: int) -> list[int]:
    ids, written = list(prompt), list[int]()
    while len(written) < limit:
        with torch.no_grad():
            written.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        ids.append(written[-1])
        if written[-1] == END:
            break
    return written


def test_padding_and_sharing_change_nothing(model: Any) -> None:
    """Without a temperature every member of a group is what the model writes for its prompt alone."""
    written = Sampler([END], 0, 12).sample(model, PROMPTS, 2, temperature=0.0)

    alone = [_greedy(model, prompt, 12) for prompt in PROMPTS]
    assert [ids for ids in alone for _ in range(2)] == written


def test_a_seed_repeats_the_sample_and_members_differ(model: Any) -> None:
    """A group is several draws, ended at the end's first place; the seed decides them."""
    sampler, found = Sampler([END], 0, 12), []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(sampler.sample(model, PROMPTS, 4, temperature=1.0))

    assert found[0] == found[1]
    assert len({tuple(ids) for ids in found[0][:4]}) > 1
    assert all(END not in ids[:-1] and len(ids) <= 12 for ids in found[0])


def _padded(groups: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor, int]:
    width, keep = max(len(prompt) for prompt, _ in groups), max(len(answer) for _, answer in groups)
    ids = [[0] * (width - len(p)) + p + a + [0] * (keep - len(a)) for p, a in groups]
    shown = [[0] * (width - len(p)) + [1] * (len(p) + len(a)) + [0] * (keep - len(a)) for p, a in groups]
    return torch.tensor(ids), torch.tensor(shown), keep


def test_log_probabilities_of_shared_prompts(model: Any) -> None:
    """Values, entropies and gradients are those of each prompt and completion computed alone, in any order."""
    pairs = [(PROMPTS[place % 3], [20 + place, 21, 22 + place][: 1 + place % 3]) for place in range(7)]
    ids, shown, keep = _padded([(list(prompt), answer) for prompt, answer in pairs])

    values, entropies = log_probabilities(model, ids, shown, keep, 0.7, differentiable_entropy=True)
    gradient = torch.autograd.grad(values.sum(), model.lm_head.weight)[0]

    total = torch.zeros(())
    for row, (prompt, answer) in enumerate(pairs):
        logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1] / 0.7
        chances = logits.log_softmax(-1)
        alone = chances.gather(-1, torch.tensor(answer)[:, None])[:, 0]
        total = total + alone.sum()
        assert torch.allclose(values[row, : len(answer)], alone, atol=1e-4)
        assert torch.allclose(entropies[row, : len(answer)], -(chances.exp() * chances).sum(-1), atol=1e-4)
        assert 0.0 == values[row, len(answer) :].abs().sum()
    assert torch.allclose(gradient, torch.autograd.grad(total, model.lm_head.weight)[0], atol=1e-3)


def test_a_group_is_one_sequence() -> None:
    """Completions of one prompt are found wherever they stand; an empty one is left out."""
    ids, shown, keep = _padded([([1, 2], [3]), ([1], [4, 5]), ([1, 2], [6, 7]), ([1, 2], [])])
    groups = find_groups(ids, shown, keep)

    assert [[0, 2], [1]] == [group.rows for group in groups]
    assert [2 + 1 + 2, 1 + 2] == [group.nodes for group in groups]
    assert [3, 6, 7, 4, 5] == pack(groups).targets.tolist()


def test_a_completion_ends_where_the_model_ended_it() -> None:
    """What stands after the end is not read; without an end the answer was cut."""
    tokens, template = tiny_tokens()
    end = tokens.control_ids[template.end]
    ids = tokens.encode((Text("so safe."), Control(template.think_close), Text("\\boxed{safe}")))

    assert ("so safe.<|verdict|>\\boxed{safe}", True) == read_completion(
        tokens, template, [*ids, end, *ids], served=True
    )
    assert ("so safe.<|verdict|>\\boxed{safe}", False) == read_completion(tokens, template, ids, served=True)


def test_a_spelt_control_token_is_not_one() -> None:
    """Text that spells a control token earns nothing: serving would not take it for one."""
    tokens, template = tiny_tokens()
    spelt = list(tokens.text_ids("so safe.<|verdict|>\\boxed{safe}"))

    assert "<|verdict|>" in tokens.decode(spelt)
    assert ("", False) == read_completion(tokens, template, [*spelt, tokens.control_ids[template.end]], served=True)


def test_plain_text_that_closes_the_reasoning_counts() -> None:
    """In the default template the close is plain text."""
    tokens, template = tiny_tokens(CHAT_TEMPLATE)
    ids = [*tokens.text_ids("Fine.</think>\n\\boxed{safe}"), tokens.control_ids[template.end]]

    assert ("Fine.</think>\n\\boxed{safe}", True) == read_completion(tokens, template, ids, served=True)


@pytest.mark.parametrize("template_file", [CHAT_TEMPLATE, DEMO_TEMPLATE], ids=["text", "control"])
def test_a_reasoning_beyond_the_serving_budget_was_cut(template_file: Path) -> None:
    """Serving would have cut it, so it did not end by itself, however well it goes on."""
    tokens, template = tiny_tokens(template_file)
    closed = tokens.encode([*verdict_opening(template), Text("safe}"), Control(template.end)])
    word = tokens.text_ids(" fox")[0]
    room = template.reasoning_max_tokens - 2 * len(tokens.text_ids(template.think_close))
    within, beyond = ([word] * count + closed for count in (room, template.reasoning_max_tokens))

    assert read_completion(tokens, template, within, served=True)[1]
    assert not read_completion(tokens, template, beyond, served=True)[1]
    assert read_completion(tokens, template, beyond, served=False)[1]
