"""The learning curve as a picture, from the run's log."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson


def draw(log: Path, picture: Path) -> None:
    """Draw loss and mean average precision over steps."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, only needed here

    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    steps = [line for line in lines if "loss" in line]
    checks = [line for line in lines if "mean_average_precision" in line]
    figure = Figure(figsize=(7, 4))
    axis = figure.subplots()
    axis.plot([line["step"] for line in steps], [line["loss"] for line in steps], color="tab:blue")
    axis.set(xlabel="step", ylabel="training loss (blue)", title=log.parent.name)
    other = axis.twinx()
    other.plot(
        [line["step"] for line in checks], [line["mean_average_precision"] for line in checks], "o-", color="tab:orange"
    )
    other.set(ylabel="mean average precision, dev, direct (orange)", ylim=(0, 1))
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


def draw_grpo(log: Path, picture: Path) -> None:
    """Draw what reinforced alignment's log says: reward, accuracy and format, and the dev rows' false positives."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, only needed here

    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    figure = Figure(figsize=(7, 4))
    axis = figure.subplots()
    for part, name, style in _GRPO_LINES:
        found = [(line["step"], line[name]) for line in lines if line["part"] == part and name in line]
        axis.plot([step for step, _ in found], [value for _, value in found], style, label=f"{name} ({part})")
    axis.set(xlabel="step", ylim=(0, 1.02), title=log.parent.name)
    axis.legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


_GRPO_LINES: Final = (
    ("train", "reward", "-"),
    ("train", "format", ":"),
    ("dev", "accuracy", "o-"),
    ("dev", "false_positives", "s--"),
)


def draw_traces(log: Path, picture: Path) -> None:
    """Draw what training on traces says: loss and token accuracy, of traces that are learnt and of those kept back."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, only needed here

    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    figure = Figure(figsize=(7, 4))
    axis = figure.subplots()
    other = axis.twinx()
    for place, name, color in ((axis, "loss", "tab:blue"), (other, "token_accuracy", "tab:orange")):
        for part, style in (("train", "-"), ("dev", "o--")):
            found = [(line["step"], line[name]) for line in lines if line["part"] == part and name in line]
            place.plot([step for step, _ in found], [value for _, value in found], style, color=color, label=part)
    axis.set(xlabel="step", ylabel="loss (blue)", title=log.parent.name)
    axis.legend(title="traces")
    other.set(ylabel="share of tokens foreseen (orange)", ylim=(0, 1.02))
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
