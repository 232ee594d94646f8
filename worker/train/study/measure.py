"""What a trained arm answers, without the engine that serves: greedy and free, read by the parser that serves."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from msgspec import Struct

from worker.judge.parse import parse_free
from worker.train.examples.format import Formatter
from worker.train.model import checkpoint, network
from worker.train.model.scoring import log_odds, opened
from worker.train.rl.rollout import Sampler
from worker.train.study.made_by import code_digest
from worker.train.study.plan import SETTINGS, Arm, Study, Way
from worker.train.study.results import Columns, Result
from worker.train.study.rows import Question

_GROUP_DIGITS: Final = 8
_ODDS_DIGITS: Final = 4
_VERDICT_TOKENS: Final = 24
_SAID: Final = {"unsafe": 1, "safe": 0, None: -1}


class Asked(Struct, frozen=True, kw_only=True):
    """A trained model and how it is asked."""

    model: Any
    steps: int
    formatter: Formatter
    tokenizer: Any
    way: Way


def open_trained(folder: Path, formatter: Formatter, tokenizer: Any, way: Way) -> Asked:
    """Load the network of a run's folder.

    Raises:
        TrainError: it has no checkpoint.

    """
    state = checkpoint.load(folder)
    model = network.build(seed=0, **state["shape"])
    model.load_state_dict(state["model"])
    steps = int(state["progress"]["step"])
    return Asked(model=model.eval(), steps=steps, formatter=formatter, tokenizer=tokenizer, way=way)


def measure(asked: Asked, questions: Sequence[Question], arm: Arm, seed: int, study: Study) -> Result:
    """Ask every question and put the answers into columns."""
    written = _write(asked, questions)
    said = [_said(asked, one, ids) for one, ids in zip(questions, written, strict=True)]
    odds = _log_odds(asked, questions, written)
    names = sorted({one.name for one in questions})
    columns = Columns(
        setting=tuple(SETTINGS.index(one.setting) for one in questions),
        name=tuple(names.index(one.name) for one in questions),
        group=tuple(_short(one.row.group or one.row.place) for one in questions),
        unsafe=tuple(int(one.unsafe) for one in questions),
        log_odds=tuple(round(one, _ODDS_DIGITS) for one in odds),
        said=tuple(said),
    )
    return Result(
        arm=arm,
        seed=seed,
        study=study.digest,
        code=code_digest(),
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        parameters=network.parameters(asked.model),
        steps=asked.steps,
        settings=SETTINGS,
        names=tuple(names),
        columns=columns,
    )


def _short(group: str) -> str:
    """Shorten a group's name, which may hold a text, so that results hold none."""
    return hashlib.sha256(group.encode()).hexdigest()[:_GROUP_DIGITS]


def _prompts(asked: Asked, questions: Sequence[Question]) -> list[list[int]]:
    return [asked.formatter.prompt_ids(one.wording, one.row, reasoning=asked.way.reasoning) for one in questions]


def _write(asked: Asked, questions: Sequence[Question]) -> list[list[int]]:
    """Let the model write greedily: reasoning and verdict, or the verdict alone."""
    budget = asked.formatter.template.reasoning_max_tokens if asked.way.reasoning else 0
    config = asked.model.config
    sampler = Sampler([config.eos_token_id], config.pad_token_id, budget + _VERDICT_TOKENS)
    return sampler.sample(asked.model, _prompts(asked, questions), 1, temperature=0.0)


def _said(asked: Asked, question: Question, ids: Sequence[int]) -> int:
    """Return the word that serving would publish, as in ``Columns.said``."""
    template = asked.formatter.template
    end = asked.tokenizer.token_to_id(template.end)
    close = asked.tokenizer.token_to_id(template.think_close)
    text = asked.tokenizer.decode([one for one in ids if one != end], skip_special_tokens=False)
    if asked.way.reasoning:
        cut = close not in ids[: template.reasoning_max_tokens + 1]
        reading = parse_free("" if cut else text, question.wording.panel, template, truncated=cut)
    else:
        whole = template.think_close + template.verdict_open + text
        reading = parse_free(whole, question.wording.panel, template, truncated=end not in ids)
    return _SAID[reading.model_label if reading.status == "judged" else None]


def _log_odds(asked: Asked, questions: Sequence[Question], written: Sequence[Sequence[int]]) -> list[float]:
    """Return the log odds of unsafe at once, or after what was written up to the reasoning's close."""
    prompts = _prompts(asked, questions)
    if not asked.way.reasoning:
        return log_odds(asked.model, asked.formatter, prompts)
    template = asked.formatter.template
    close, limit = asked.tokenizer.token_to_id(template.think_close), template.reasoning_max_tokens
    thoughts = [list(ids[: ids.index(close)] if close in ids else ids)[:limit] for ids in written]
    reasoned = [prompt + thought for prompt, thought in zip(prompts, thoughts, strict=True)]
    return log_odds(asked.model, asked.formatter, opened(asked.formatter, reasoned))


def set_threads(threads: int) -> None:
    """Use so many CPU threads."""
    torch.set_num_threads(threads)
