"""Supervised training from scratch, on a budget of minutes.

The learning rate follows the clock, not the step, so that a run on a busy machine still ends as
planned: a warm-up, a plateau, and a decay at the end (Hu et al. 2024, MiniCPM). A checkpoint every few
minutes can be resumed or exported. The one from before the decay is kept beside it, so that a run can go
on from its plateau in another session as if it had never ended.
"""

from __future__ import annotations

import contextlib
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import torch
from tokenizers import Tokenizer

from worker.errors import TrainError
from worker.judge.placeholders import mask
from worker.judge.prompt import Text
from worker.train import curve
from worker.train.data import card
from worker.train.evaluate import cases, direct_scores, table
from worker.train.examples import reading
from worker.train.examples.batches import Batch, batches
from worker.train.examples.corpus import corpus
from worker.train.examples.format import OWN, Formatter, families
from worker.train.examples.tokenizer import PAD, train_tokenizer
from worker.train.model import checkpoint, circuits, network, start
from worker.train.model.checkpoint import Progress
from worker.train.model.heads import Heads, told_loss
from worker.train.recipe import RECIPE_FILE, Ready, Recipe, make_ready, with_teacher
from worker.train.release import history
from worker.train.release.history import History, learnt

TOKENIZER_FILE: Final = "tokenizer.raw.json"
LOG_FILE: Final = "progress.jsonl"
PLATEAU_FILE: Final = "plateau.pt"
_WARM_UP_STEPS: Final = 100
_END_RATE: Final = 0.04
_CLIP: Final = 1.0
_LOG_EVERY: Final = 10
_POLICIES_EVERY: Final = 10
_MINUTE: Final = 60.0

Say = Callable[[str], None]


class Run:
    """One training run."""

    def __init__(self, recipe: Recipe, ready: Ready, tokenizer: Any, say: Say) -> None:
        """Build network and optimiser; nothing is trained yet."""
        self.recipe = recipe
        self.ready = ready
        self.say = say
        self.formatter = Formatter(ready.template, tokenizer)
        self.shape = {
            "vocab_size": tokenizer.get_vocab_size(),
            "end_id": tokenizer.token_to_id(ready.template.end),
            "pad_id": tokenizer.token_to_id(PAD),
            "layers": recipe.layers,
            "hidden": recipe.hidden,
            "rope_theta": recipe.rope_theta,
        }
        self.device = device_of(recipe.device)
        self.model = network.build(seed=recipe.seed, **self.shape).to(self.device)
        self.heads = Heads(recipe.layers, recipe.hidden).to(self.device) if recipe.teaching.hints else None
        groups = _decay_groups(self.model)
        if self.heads:
            groups.append({"params": list(self.heads.parameters()), "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), fused=True)
        self.progress = Progress()
        self.losses: list[float] = []

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            TrainError: it is of another network, or of a stage that came after this one.

        """
        try:
            self.model.load_state_dict(state["model"])
            if self.heads:
                self.heads.load_state_dict(state["heads"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            text = (
                f"{self.recipe.out} is not a state that `train sft` can go on from ({type(error).__name__}); "
                "what another stage left goes on with that stage's own --resume"
            )
            raise TrainError(text) from None
        self.progress = Progress(**state["progress"])
        if "random" in state:
            torch.set_rng_state(state["random"])

    @property
    def share(self) -> float:
        """How much of the budget is used, 0 to 1."""
        by_time = self.progress.elapsed_s / (self.recipe.max_minutes * _MINUTE)
        return min(1.0, max(by_time, self.progress.step / self.recipe.max_steps))

    @property
    def decaying(self) -> bool:
        """Whether the last part of the budget has begun."""
        return self.share > 1 - self.recipe.decay_share

    def rate(self) -> float:
        """Return the learning rate: warm-up by steps, a plateau, and a straight fall over the budget's last part."""
        warm = min(1.0, (self.progress.step + 1) / min(_WARM_UP_STEPS, 1 + self.recipe.max_steps // 5))
        left = min(1.0, (1 - self.share) / self.recipe.decay_share) if self.recipe.decay_share else 1.0
        return self.recipe.peak_rate * warm * (_END_RATE + (1 - _END_RATE) * left)

    def train(self) -> None:
        """Train until the budget is used up, then save."""
        self.model.train()
        last = last_save = last_check = time.monotonic()
        for batch in self._stream():
            if self.decaying and not self.progress.decayed:
                self._keep_plateau()
            self.losses.append(self.step(batch))
            now = time.monotonic()
            self.progress.elapsed_s += now - last
            last = now
            if self.progress.step % _LOG_EVERY == 0:
                self._report()
            if now - last_save > self.recipe.checkpoint_minutes * _MINUTE:
                self.save()
                last_save = time.monotonic()
            if now - last_check > self.recipe.eval_minutes * _MINUTE:
                self.check()
                last_check = time.monotonic()
            if self.share >= 1.0:
                break
        self.check()
        self.save()

    def step(self, batch: Batch) -> float:
        """Take one step and return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with torch.autocast(self.device, dtype=torch.bfloat16):
            loss = self._loss(batch.to(self.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.nodes += batch.nodes
        self.progress.examples += batch.examples
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Any:
        if self.heads:
            return told_loss(self.model, self.heads, batch, self.recipe.dropout, self.recipe.teaching.hints)
        return network.loss(self.model, batch, self.recipe.dropout)

    def check(self) -> None:
        """Measure on dev rows, without reasoning, and log it."""
        self.model.eval()
        chosen = cases(self.ready.dev, self.recipe.eval_rows)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            found = table(chosen, direct_scores(self.model, self.formatter, chosen))
        self.model.train()
        mean = sum(one["average_precision"] for one in found.values()) / max(1, len(found))
        self._log({"step": self.progress.step, "mean_average_precision": round(mean, 4), "dev": found})
        each = " ".join(f"{name}={one['average_precision']:.2f}" for name, one in found.items())
        self.say(f"dev step {self.progress.step} mean AP {mean:.3f} {each}")

    def save(self) -> None:
        """Write checkpoint and curve."""
        checkpoint.save(self.recipe.out, self.model, self.optimizer, self.progress, self.shape, self.heads)
        with contextlib.suppress(FileNotFoundError):
            curve.draw(self.recipe.out / LOG_FILE, self.recipe.out / "curve.png")

    def _keep_plateau(self) -> None:
        """Keep the last state before the decay; a run that goes on later starts there."""
        self.save()
        shutil.copyfile(self.recipe.out / checkpoint.FILE_NAME, self.recipe.out / PLATEAU_FILE)
        self.progress.decayed = True

    def _stream(self) -> Iterator[Batch]:
        while self._reads and self.share < self.recipe.policy_share:
            yield self._policies()
        skip = self.progress.batch
        while True:
            rng = random.Random(f"{self.recipe.seed}/{self.progress.epoch}")
            source = families(
                self.ready.train, self.formatter, self.ready.sets, rng, self._lm_weight, self.recipe.teaching
            )
            for number, batch in enumerate(batches(source, self.recipe.step_tokens, network.MAX_POSITIONS)):
                if number < skip:
                    continue
                if self._reads and not self.progress.step % _POLICIES_EVERY:
                    yield self._policies()
                self.progress.batch = number + 1
                yield batch
            skip, self.progress.batch = 0, 0
            self.progress.epoch += 1

    @property
    def _reads(self) -> bool:
        return self.heads is not None and self.recipe.policy_share > 0

    def _policies(self) -> Batch:
        """Draw policies alone: all that is learnt in the run's first part, and now and then later."""
        recipe = self.recipe
        rng = random.Random(f"{recipe.seed}/policies/{self.progress.step}")
        return reading.batch_of(
            rng, self.formatter, recipe.step_tokens, lm_weight=recipe.lm_weight, frayed=recipe.teaching.frayed
        )

    def _lm_weight(self, rng: random.Random) -> float:
        chosen = rng.random() < self.recipe.lm_rows
        return self.recipe.lm_weight if chosen and self.share < self.recipe.lm_share else 0.0

    def _report(self) -> None:
        done, recent = self.progress, self.losses[-_LOG_EVERY:]
        speed = done.nodes / max(done.elapsed_s, 1e-9)
        left = (1 / self.share - 1) * done.elapsed_s / _MINUTE if self.share else math.inf
        loss = sum(recent) / len(recent)
        entry = {"step": done.step, "epoch": done.epoch, "loss": round(loss, 4), "nodes_per_s": round(speed)}
        self._log(entry | {"elapsed_s": round(done.elapsed_s, 1), "rate": self.rate()})
        self.say(f"step {done.step} epoch {done.epoch} loss {loss:.3f} {speed:.0f} tokens/s, {left:.0f} min left")

    def _log(self, entry: dict[str, Any]) -> None:
        with (self.recipe.out / LOG_FILE).open("ab") as file:
            file.write(orjson.dumps(entry) + b"\n")


def _decay_groups(model: Any) -> list[dict[str, Any]]:
    """Weight decay for matrices only."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


def tokenizer_for(recipe: Recipe, ready: Ready) -> Any:
    """Read the run's tokenizer, or train and keep it."""
    path = recipe.out / TOKENIZER_FILE
    if path.is_file():
        return Tokenizer.from_file(str(path))
    rng = random.Random(recipe.seed)
    texts = corpus(ready.train, ready.template, ready.sets, rng)
    made = train_tokenizer(texts, ready.template, recipe.vocab_size)
    made.save(str(path))
    return made


def device_of(name: str) -> str:
    """Return where to train: ``auto`` takes an accelerator if there is one.

    Raises:
        TrainError: an accelerator is asked for, and there is none.

    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        text = "no CUDA accelerator is visible; take --device cpu, or auto"
        raise TrainError(text)
    return "cuda" if found and name != "cpu" else "cpu"


def start_network(run: Run) -> None:
    """Start embeddings from counts and some attention as ``circuits``, as far as the recipe wants it."""
    if run.recipe.embedding_scale:
        start_embeddings(run)
    if run.recipe.match:
        circuits.start(run.model, match=run.recipe.match, seed=run.recipe.seed)


def start_embeddings(run: Run) -> None:
    """Start the embeddings from counts and linear models of the training rows' tokens."""
    samples = run.ready.train
    texts = [run.formatter.ids([Text(mask(sample.row.text)[0])]) for sample in samples]
    labels: dict[str, dict[int, bool]] = {}
    for place, sample in enumerate(samples):
        for key in OWN[sample.row.source]:
            if key in sample.row.known:
                labels.setdefault(f"{sample.row.source}/{key}", {})[place] = sample.row.known[key]
    # A set of the paper may have one verdict only, such as prompts that all look unsafe and are not.
    labels = {name: found for name, found in labels.items() if len(set(found.values())) > 1}
    weight = run.model.get_input_embeddings().weight
    vocab, width = weight.shape
    table = start.embeddings(texts, dict(sorted(labels.items())), vocab, width, run.recipe.seed)
    with torch.no_grad():
        weight.copy_(torch.from_numpy(table * run.recipe.embedding_scale))


def train(recipe: Recipe, *, resume: bool, say: Say) -> Run:
    """Train from scratch, or go on from a checkpoint in ``recipe.out``.

    Going on takes what ``gone_on`` returned, and adds its ``max_minutes`` to what the run has used. It goes on
    from the plateau if the run has decayed, unless ``decay_share`` is 1: then the decay begins at once.

    Raises:
        TrainError: no data, no checkpoint to go on from, one that does not fit, or a tokenizer without whole labels.

    """
    torch.set_num_threads(recipe.threads)
    state = latest(recipe.out) if resume else None
    if state:
        recipe = going_on(recipe, state)
    recipe.out.mkdir(parents=True, exist_ok=True)
    if not resume:
        _forget(recipe.out)
    say("reading the data sets")
    ready = make_ready(recipe)
    if recipe.teaching.gold < 1:
        say("fitting the linear teachers")
        ready = with_teacher(ready)
    say(f"{len(ready.train)} rows, {len(ready.sets)} sets of categories; training the tokenizer")
    run = Run(recipe, ready, tokenizer_for(recipe, ready), say)
    if state:
        run.resume(state)
    else:
        start_network(run)
    _note(recipe, ready)
    say(f"{network.parameters(run.model)} parameters on {run.device}; step {run.progress.step}")
    run.train()
    return run


def _note(recipe: Recipe, ready: Ready) -> None:
    """Write what the run is told and reads: once it can begin, so that one which cannot keeps its own notes."""
    (recipe.out / RECIPE_FILE).write_bytes(orjson.dumps(_plain(recipe), option=orjson.OPT_INDENT_2))
    history.write(recipe.out, History(learnt=learnt([sample.row for sample in ready.train])))
    if ready.loaded:
        card.write(recipe.out, ready.loaded)


def latest(folder: Path) -> dict[str, Any]:
    """Return the state that a run goes on from: its last one, or if its rate had begun to fall the one before that.

    Raises:
        TrainError: there is no checkpoint.

    """
    state = checkpoint.load(folder)
    plateau = folder / PLATEAU_FILE
    return checkpoint.load(plateau) if state["progress"]["decayed"] and plateau.is_file() else state


def going_on(recipe: Recipe, state: dict[str, Any]) -> Recipe:
    """Add the run's minutes so far to the budget; the decay is a share of the new minutes."""
    used = state["progress"]["elapsed_s"] / _MINUTE
    whole = used + recipe.max_minutes
    share = recipe.decay_share * recipe.max_minutes / whole
    return msgspec.structs.replace(recipe, max_minutes=whole, decay_share=share)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain data, without the machine's paths."""
    plain: dict[str, Any] = msgspec.to_builtins(recipe, enc_hook=str)
    return {name: value for name, value in plain.items() if name not in {"data", "out"}}


def _forget(folder: Path) -> None:
    for name in (TOKENIZER_FILE, LOG_FILE, checkpoint.FILE_NAME, PLATEAU_FILE):
        (folder / name).unlink(missing_ok=True)
