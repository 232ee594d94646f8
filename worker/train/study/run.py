"""One arm and seed after the other, each a folder with its state; what is done is never done again.

``OUT/rows.json`` and ``OUT/tokenizer.raw.json`` serve all; ``OUT/warmup-<seed>`` the arms of a seed;
``OUT/<arm>-<seed>`` is one model. It is done when its result is written. ``OUT`` belongs to the code that began it.
"""

from __future__ import annotations

import random
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs
from tokenizers import Tokenizer

from worker.errors import TrainError
from worker.policy.model import Panel
from worker.train.data.load import load_rows
from worker.train.examples.format import Formatter
from worker.train.examples.tokenizer import train_tokenizer
from worker.train.recipe import Ready, load_demo_template
from worker.train.rl.problems import Rows
from worker.train.sft import TOKENIZER_FILE, Say
from worker.train.study import measure, results, rows
from worker.train.study.align import Reinforced, steps_of
from worker.train.study.examples import Writer, by_source, policy_tokens, texts
from worker.train.study.files import write_whole
from worker.train.study.made_by import code_digest
from worker.train.study.plan import ARMS, RESULTS_DIR, WAYS, Arm, Study, load_study
from worker.train.study.rows import Accepts, Prepared
from worker.train.study.supervise import EARLY_DIR, Stage, StageRun, Stop

_WARM: Final = "warmup"


class Place(Struct, frozen=True, kw_only=True):
    """Where a study's files are.

    Attributes:
        out: runs; large, never committed.
        results: one small JSON file for each model.
        data: the folder of data sets; read once.
        threads: CPU threads.

    """

    out: Path
    data: Path
    results: Path = RESULTS_DIR
    threads: int = 1


class Runner:
    """Trains and measures a study's models."""

    def __init__(self, place: Place, say: Say, stop: Stop = lambda: False, study: Study | None = None) -> None:
        """Read nothing yet; ``stop`` tells when the time is up."""
        self.place = place
        self.say = say
        self.stop = stop
        self.study = study or load_study()
        self.code = code_digest()

    def folder(self, name: Arm | str, seed: int) -> Path:
        """Return the folder of one model, or of a seed's warm-up."""
        return self.place.out / f"{name}-{seed}"

    def status(self, arm: Arm, seed: int) -> str:
        """Say how far one model is, or why its result is none: ``done``, ``trained``, ``begun`` or ``not begun``."""
        try:
            if self._result(arm, seed):
                return "done"
        except TrainError as error:
            return str(error)
        folder = self.folder(arm, seed)
        if (folder / "trained").is_file():
            return "trained"
        return "begun" if folder.is_dir() else "not begun"

    def run(self, arms: tuple[Arm, ...] = ARMS, seeds: tuple[int, ...] = ()) -> bool:
        """Run what is not done, seed by seed; return whether everything asked for is done now.

        Raises:
            TrainError: the data is not there, or the folder or a result is of another study or other code.

        """
        chosen = [(arm, seed) for seed in seeds or self.study.seeds for arm in arms]
        # Every result is looked at before hours go into the first model.
        left = [one for one in chosen if not self.done(*one)]
        return all(self.one(arm, seed) for arm, seed in left)

    def done(self, arm: Arm, seed: int) -> bool:
        """Whether a model has its result.

        Raises:
            TrainError: the file that stands there is not a result of this study by this code.

        """
        found = self._result(arm, seed)
        if found and found.code != self.code:
            name = results.file_of(self.place.results, arm, seed).name
            text = (
                f"{name} was run by other code than this; name another folder with --results, "
                "or check out the commit that it was run by"
            )
            raise TrainError(text)
        return found is not None

    def _result(self, arm: Arm, seed: int) -> results.Result | None:
        path = results.file_of(self.place.results, arm, seed)
        return results.read(path, self.study) if path.is_file() else None

    def one(self, arm: Arm, seed: int) -> bool:
        """Train and measure one model; return False where the time was up before that."""
        trained = self.folder(arm, seed) / "trained"
        if not trained.is_file():
            if not self._train(arm, seed):
                self.say(f"{arm}, seed {seed}: stopped; the same command goes on")
                return False
            trained.touch()
        if self.stop():
            return False
        self.say(f"{arm}, seed {seed}: measuring")
        measure.set_threads(self.place.threads)
        found = measure.measure(
            self._trained(arm, seed), rows.questions(self.prepared.test, self.study), arm, seed, self.study
        )
        results.write(self.place.results, found)
        self.say(f"{arm}, seed {seed}: done")
        return True

    def _trained(self, arm: Arm, seed: int) -> measure.Asked:
        """Open a trained model; its steps are those since the warm-up."""
        way = WAYS[arm]
        model = measure.open_trained(self.folder(arm, seed), self.formatter, self.tokenizer, way)
        before = steps_of(self.folder(way.parent, seed) / EARLY_DIR) if way.parent and not way.reinforced else 0
        return structs.replace(model, steps=model.steps + before)

    def _train(self, arm: Arm, seed: int) -> bool:
        way = WAYS[arm]
        if not self._warm_up(seed) or not (way.parent is None or self._early(way.parent, seed)):
            return False
        if way.reinforced:
            return self._reinforced(arm, seed).go(self.stop, self.say)
        return self._stage(arm, seed).go(self.accepts, self.stop)

    def _warm_up(self, seed: int) -> bool:
        """Warm the seed's decoder up, once for all arms."""
        folder = self.folder(_WARM, seed)
        if (folder / "trained").is_file():
            return True
        stage = Stage(
            folder=folder,
            parent=None,
            seed=seed,
            epochs=self.study.warmup_epochs,
            rate=self.study.peak_rate,
            threads=self.place.threads,
        )
        done = self._open(stage, self._writer(None)).go(self.accepts, self.stop)
        if done:
            (folder / "trained").touch()
        return done

    def _early(self, parent: Arm, seed: int) -> bool:
        """Bring the arm that others start from as far as its early state."""
        if (self.folder(parent, seed) / EARLY_DIR).is_dir():
            return True
        return self._stage(parent, seed).go(self.accepts, self.stop, until=self.study.format_share)

    def _stage(self, arm: Arm, seed: int) -> StageRun:
        way, study = WAYS[arm], self.study
        start = self.folder(way.parent, seed) / EARLY_DIR if way.parent else self.folder(_WARM, seed)
        stage = Stage(
            folder=self.folder(arm, seed),
            parent=start,
            seed=seed,
            epochs=study.sft_epochs,
            updates=study.updates if way.parent else 0,
            rate=study.continued_rate if way.parent else study.peak_rate,
            early_share=0.0 if way.parent else study.format_share,
            early_span=study.format_span,
            threads=self.place.threads,
        )
        return self._open(stage, self._writer(arm))

    def _open(self, stage: Stage, writer: Writer) -> StageRun:
        stage.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._tokenizer_file(), stage.folder / TOKENIZER_FILE)
        run = StageRun(stage, self.study, self.ready, writer, self.tokenizer, self.say)
        run.open()
        return run

    def _writer(self, arm: Arm | None) -> Writer:
        return Writer(
            formatter=self.formatter,
            study=self.study,
            way=WAYS[arm] if arm else None,
            donors=by_source(self.prepared.train),
        )

    def _reinforced(self, arm: Arm, seed: int) -> Reinforced:
        way = WAYS[arm]
        assert way.parent is not None
        asked = Rows(train=self.prepared.train, dev=self.prepared.dev, sets=self.ready.sets, accepts=self.accepts)
        return Reinforced(
            folder=self.folder(arm, seed),
            source=self.folder(way.parent, seed) / EARLY_DIR,
            rows=asked,
            way=way,
            seed=seed,
            study=self.study,
            threads=self.place.threads,
        )

    @cached_property
    def prepared(self) -> Prepared:
        """The rows; made from the data sets the first time."""
        self.place.out.mkdir(parents=True, exist_ok=True)
        found = rows.load(self.place.out, self.study)
        if found is None:
            self.say("reading the data sets")
            found = rows.make_prepared(load_rows(self.place.data), self.study)
            rows.save(found, self.place.out)
        return found

    @cached_property
    def ready(self) -> Ready:
        """What ``train sft`` needs to know of the rows."""
        rows_ready = self.prepared
        return Ready(template=load_demo_template(), train=rows_ready.train, dev=(), sets=rows_ready.sets)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of all arms and seeds."""
        return Tokenizer.from_file(str(self._tokenizer_file()))

    def _tokenizer_file(self) -> Path:
        path = self.place.out / TOKENIZER_FILE
        if not path.is_file():
            self.say("training the tokenizer")

            def speakable(panel: Panel) -> bool:
                return not rows.names_held_out(panel, self.study)

            rng = random.Random(self.study.rows_seed)
            corpus = texts(self.prepared.train, self.ready.sets, speakable, self.ready.template, rng)
            made = train_tokenizer(corpus, self.ready.template, self.study.vocab_size)
            write_whole(path, made.to_str(pretty=True).encode())
        return path

    @cached_property
    def formatter(self) -> Formatter:
        """Writes prompts and answers as token ids."""
        return Formatter(self.ready.template, self.tokenizer)

    @cached_property
    def accepts(self) -> Accepts:
        """Tell which policies may train."""
        return rows.acceptor(self.study, lambda panel: policy_tokens(self.formatter, panel))
