"""Pictures of a replay's report as inline SVG, drawn by hand and coloured by the page's own style sheet. Pure.

Every text that comes from outside is escaped here; the page puts the pictures in as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, Literal

from msgspec import Struct

from worker.audit.intervals import Interval

Tone = Literal["plain", "unsafe", "safe", "control"]

_WIDTH: Final = 720
#: Of a picture that stands beside another one.
_HALF_WIDTH: Final = 420
_LABEL_WIDTH: Final = 210
_ROW_HEIGHT: Final = 34
_TOP: Final = 8
_AXIS_HEIGHT: Final = 34
#: Characters of a name that fit before a picture; the whole name is in its tooltip.
_LABEL_CHARS: Final = 28
_TICKS: Final = 4


class Whisker(Struct, frozen=True):
    """A share with its interval, as one row."""

    label: str
    interval: Interval
    tone: Tone
    note: str


class Bar(Struct, frozen=True):
    """Two counts of one thing, drawn to the left and to the right."""

    label: str
    left: int
    right: int
    note: str


def whiskers(rows: Sequence[Whisker], about: str) -> str:
    """Draw shares as points with their intervals, on one axis in percent that begins at 0."""
    top = max([row.interval.high for row in rows if row.interval.value is not None], default=1.0)
    step = _nice_step(100 * top / _TICKS)
    most = step * math.ceil(100 * top / step)
    height = _TOP + len(rows) * _ROW_HEIGHT

    def place(share: float) -> float:
        return _LABEL_WIDTH + (_WIDTH - _LABEL_WIDTH - 24) * 100 * share / most

    parts = []
    for number in range(round(most / step) + 1):
        x = place(number * step / 100)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
        parts.append(_text(x, height + 20, f"{number * step:g} %", "axis middle"))
    for index, row in enumerate(rows):
        y = _TOP + (index + 0.5) * _ROW_HEIGHT
        parts += [_label(row.label, y), *_whisker(row, y, place)]
    return _picture("".join(parts), height + _AXIS_HEIGHT, about)


def _whisker(row: Whisker, y: float, place: object) -> Iterable[str]:
    assert callable(place)
    found = row.interval
    if found.value is None:
        yield _text(_LABEL_WIDTH + 8, y + 4, "nothing to tell from", "axis")
        return
    low, at, high = place(found.low), place(found.value), place(found.high)
    yield f'<g class="{row.tone}"><title>{escape(row.note)}</title>'
    yield f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    yield "".join(
        f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 5:.1f}" y2="{y + 5:.1f}"/>' for x in (low, high)
    )
    yield f'<circle cx="{at:.1f}" cy="{y:.1f}" r="5.5"/></g>'


def diverging(rows: Sequence[Bar], left: str, right: str, about: str) -> str:
    """Draw two counts of each row as bars away from a middle line."""
    most = max([max(row.left, row.right) for row in rows], default=0) or 1
    middle = _LABEL_WIDTH + (_WIDTH - _LABEL_WIDTH) / 2
    # Room for the figures at the bars' ends.
    reach = (_WIDTH - _LABEL_WIDTH) / 2 - 48
    head = 26
    height = head + len(rows) * _ROW_HEIGHT
    parts = [
        _text(middle - 10, 14, f"← {left}", "axis end"),
        _text(middle + 10, 14, f"{right} →", "axis"),
        f'<line class="grid" x1="{middle}" x2="{middle}" y1="20" y2="{height}"/>',
    ]
    for index, row in enumerate(rows):
        y = head + (index + 0.5) * _ROW_HEIGHT
        shrunk, grown = reach * row.left / most, reach * row.right / most
        parts.append(_label(row.label, y))
        parts.append(f"<g><title>{escape(row.note)}</title>")
        parts.append(_bar(middle - shrunk, y, shrunk, "safe") + _bar(middle, y, grown, "unsafe"))
        parts.append(_text(middle - shrunk - 6, y + 4, str(row.left), "figure end") if row.left else "")
        parts.append(_text(middle + grown + 6, y + 4, str(row.right), "figure") if row.right else "")
        parts.append("" if row.left or row.right else _text(middle + 6, y + 4, "none", "axis"))
        parts.append("</g>")
    return _picture("".join(parts), height + 6, about)


def histogram(counts: Sequence[int], step: float, about: str) -> str:
    """Draw counts in bars around a middle one; heights follow the square root, so that few are seen beside many."""
    height, left = 150, 6.0
    width = (_HALF_WIDTH - 2 * left) / max(1, len(counts))
    tallest = math.sqrt(max([*counts, 1]))
    parts = [f'<line class="grid" x1="{left}" x2="{_HALF_WIDTH - left}" y1="{height}" y2="{height}"/>']
    for index, count in enumerate(counts):
        change = (index - len(counts) // 2) * step
        tone = "plain" if index == len(counts) // 2 else ("unsafe" if change > 0 else "safe")
        tall = (height - 30) * math.sqrt(count) / tallest
        x = left + index * width
        note = f"{count} messages whose score changed by about {change:+.1f}"
        parts.append(f'<g class="{tone}"><title>{note}</title>')
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{height - tall:.1f}" width="{width - 2:.1f}" height="{tall:.1f}" rx="2"/>'
        )
        parts.append("</g>")
        if index % 5 == 0:  # every half
            parts.append(_text(x + width / 2, height + 20, f"{change:+.1f}" if change else "0", "axis middle"))
    middle = len(counts) // 2
    for kind, x, some, word in (
        ("figure", left, counts[:middle], "lower"),
        ("figure end", _HALF_WIDTH - left, counts[middle + 1 :], "higher"),
    ):
        parts.append(_text(x, 16, f"{sum(some)} {word}", kind))
    parts.append(_text(_HALF_WIDTH / 2, 16, f"{counts[middle]} about the same", "figure middle"))
    return _picture("".join(parts), height + _AXIS_HEIGHT, about, _HALF_WIDTH)


def _bar(x: float, y: float, width: float, tone: Tone) -> str:
    return f'<rect class="{tone}" x="{x:.1f}" y="{y - 9:.1f}" width="{width:.1f}" height="18" rx="2"/>'


def _label(text: str, y: float) -> str:
    short = text if len(text) <= _LABEL_CHARS else text[: _LABEL_CHARS - 1] + "…"
    return f"<g><title>{escape(text)}</title>{_text(_LABEL_WIDTH - 14, y + 4, short, 'name end')}</g>"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _picture(inside: str, height: float, about: str, width: int = _WIDTH) -> str:
    kind = "wide" if width == _WIDTH else "half"
    head = f'class="{kind}" viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(about)}"'
    return f"<svg {head}>{inside}</svg>"


def _nice_step(raw: float) -> float:
    """Return the next of 1, 2 and 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(max(raw, 0.01)))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= raw * 0.999)
