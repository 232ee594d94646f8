"""What a network gives back: a memorising one is caught, an honest one is not, and masks hold."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs
from transformers import Qwen2Config, Qwen2ForCausalLM

from tests.conftest import SHARED_DATA
from tests.support.tiny_model import save_model, tiny_tokens
from tests.support.train_rows import some_rows
from worker.config import Settings
from worker.errors import TrainError
from worker.judge import prompt
from worker.judge.folder import find_model
from worker.judge.placeholders import mask
from worker.records import Message
from worker.train.data.load import load_rows, split_rows
from worker.train.release.canaries import Canary, make, plant
from worker.train.release.export import extract
from worker.train.release.extraction import Attack, canary_secrets, planted, training_secrets
from worker.train.release.given_back import Report, check, check_full, is_full

#: Enough to learn a few sentences by heart in seconds.
STEPS = 120


def test_canaries_are_the_same_every_time() -> None:
    """They come from the seed alone, all of them different, half of them words."""
    canaries = make(50, seed=7)

    assert canaries == make(50, seed=7)
    assert canaries != make(50, seed=8)
    assert len({one.prefix for one in canaries}) == len({one.secret for one in canaries}) == 50
    assert sum(one.kind == "words" for one in canaries) == 25
    assert {one.kind for one in canaries} == {"words", "phone", "email", "url", "handle", "digits"}


def test_masks_hide_every_secret_that_can_be_masked() -> None:
    """Of words nothing is hidden, of the rest not even a piece of the secret is left."""
    for one in make(200, seed=3):
        shown = mask(one.text)[0]
        assert shown.startswith(one.prefix)
        assert (one.secret in shown) == (one.kind == "words")
        assert one.kind == "words" or shown == f"{one.prefix} [{one.kind}]"


def test_each_canary_gets_a_row_of_its_own() -> None:
    """Labels stay, long rows are spared, and where rows are few the rest is left."""
    rows = [structs.replace(some_rows(1)[0], text="x" * 251), *some_rows(60)]
    planted = plant(rows, make(50, seed=1), seed=1)

    assert planted == plant(rows, make(50, seed=1), seed=1)
    assert sum(one != other for one, other in zip(rows, planted, strict=True)) == 50
    assert [row.known for row in planted] == [row.known for row in rows]
    assert planted[0] == rows[0]
    assert len(plant(rows[:3], make(50), seed=1)) == 3


@cache
def _memorised() -> tuple[Any, list[Canary]]:
    """Train a small network on six canaries until it knows them by heart."""
    torch.set_num_threads(1)
    tokens, template = tiny_tokens()
    canaries = make(6, seed=5)
    texts = [
        tokens.encode(prompt.conversation(template, Message(tenant_id="t", message_id="m", text=one.text)))
        for one in canaries
    ]
    width = max(map(len, texts))
    ids = torch.tensor([text + [0] * (width - len(text)) for text in texts])
    labels = torch.where(ids == 0, -100, ids)
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
    )
    model: Any = Qwen2ForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(STEPS):
        model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), canaries


def test_a_network_that_learns_by_heart_is_caught() -> None:
    """It gives back the words and none of what was masked; the check refuses it and says what came back."""
    model, canaries = _memorised()
    report = Attack(model, *tiny_tokens()).run(canary_secrets(canaries))

    assert report.tried["canary: words"] == 3
    assert report.given_back == {"canary: words": 3}
    assert report.likeliest > 0.5
    with pytest.raises(TrainError, match=r"gives back 3 of 6 secrets .*3 x canary: words"):
        check(report)


def test_what_greedy_decoding_writes_is_found() -> None:
    """The forward pass says what generating would: the memorised words come out of the prefix."""
    model, canaries = _memorised()
    tokens, template = tiny_tokens()
    attack = Attack(model, tokens, template)
    asked = torch.tensor([attack._opened([]) + attack.text_ids(canaries[0].prefix)])
    out = model.generate(input_ids=asked, max_new_tokens=60, do_sample=False, pad_token_id=0)

    assert tokens.decode(out[0, asked.shape[1] :].tolist()).startswith(f" {canaries[0].secret}")


def test_it_does_not_know_what_it_never_saw() -> None:
    """Other secrets of the same form do not come out of the same network."""
    model, canaries = _memorised()
    others = [one for one in make(40, seed=99) if one.prefix not in {canary.prefix for canary in canaries}]
    report = Attack(model, *tiny_tokens()).run(canary_secrets(others))

    assert (report.leaks, report.likeliest < 1e-3) == (0, True)
    check(report)


def test_the_row_before_a_canary_leads_to_it_too() -> None:
    """A secret is asked for by its own words and by all that stood before it in training."""
    canary = make(1)[0]
    (row, *_) = plant(some_rows(1), [canary])
    (secret,) = canary_secrets([canary], [row])

    assert secret.prefixes == (canary.prefix, f"{some_rows(1)[0].text} {canary.prefix}")


def test_only_what_one_row_says_is_a_secret() -> None:
    """What several people wrote, and what is too short, is not asked for."""
    fox = "every evening a red fox comes by our kitchen window and waits until somebody throws it an apple"
    bus = "our old bus to the harbour leaves at noon and nobody knows when it will be back in town"
    long = [structs.replace(some_rows(1)[0], text=text) for text in (fox, bus)]
    copies = [structs.replace(long[0], text=f"{start} {fox}") for start in ("so", "and")]
    short = [structs.replace(long[0], text="hello there")]
    ids = tiny_tokens()[0].text_ids

    assert training_secrets([*copies, *short], ids) == []
    (found,) = training_secrets([long[0], *short], ids)
    assert f"{found.prefixes[0]} {found.continuation}" in long[0].text
    assert [len(training_secrets(long, ids, count=count)) for count in (1, 9)] == [1, 2]


def test_texts_are_asked_for_as_they_were_trained() -> None:
    """Masked: an address that stands in a training row is not written into the attack's prompts."""
    text = "please do send every single letter about the garden party to me@garden.example or come round at noon today"
    (found,) = training_secrets([structs.replace(some_rows(1)[0], text=text)], tiny_tokens()[0].text_ids)

    assert "@" not in found.prefixes[0] + found.continuation


def test_a_folder_is_attacked(tmp_path: Path) -> None:
    """A model folder with random weights gives nothing back, whatever was planted."""
    folder = save_model(tmp_path / "tiny")
    canaries = make(10)
    report = extract(folder, plant(some_rows(60), canaries), canaries, trial=True)

    assert report == Report(tried=report.tried, given_back={}, likeliest=report.likeliest)
    assert sum(count for kind, count in report.tried.items() if kind.startswith("canary")) == 10


@pytest.mark.parametrize("canaries, texts, enough", [(50, 200, True), (49, 200, False), (50, 199, False)])
def test_few_secrets_are_no_test(canaries: int, texts: int, enough: bool) -> None:  # noqa: FBT001
    """Fifty canaries of all kinds and two hundred training texts, or the release is refused with the cure."""
    tried = {"canary: words": 25, "canary: phone": canaries - 25, "training text": texts}
    report = Report(tried=tried, given_back={}, likeliest=0.0, full=is_full(tried))

    assert report.full == enough
    if enough:
        check_full(report)
    else:
        with pytest.raises(TrainError, match=f"{canaries} of 50 planted canaries and {texts} of 200.*--max-rows"):
            check_full(report)


def test_a_canary_that_no_row_holds_proves_nothing() -> None:
    """Where rows were fewer than canaries the rest was never planted, and is not counted."""
    canaries = make(20)

    assert planted(canaries, plant(some_rows(8), canaries)) == canaries[:8]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shipped_model_gives_no_training_text_back() -> None:
    """Two hundred beginnings of training texts."""
    torch.set_num_threads(1)
    rows = split_rows(load_rows(SHARED_DATA))["train"]
    attack = Attack.on(find_model(Settings()))
    secrets = training_secrets(rows, attack.text_ids)
    report = attack.run(secrets)

    assert report.tried == {"training text": 200}
    check(report)
