"""What a person sees of the demonstration: a live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from worker.client import DeadLetter
from worker.records import Verdict
from worker.show import COLUMNS, Row, line, row, styled

#: Rows of the terminal that are not the table's.
_OTHER_ROWS: Final = 12
_MOST_ROWS: Final = 24
#: Columns of the terminal that are not the text's.
_OTHER_COLUMNS: Final = 84


class View(Protocol):
    """Everything that is shown, as it happens."""

    def loading(self, name: str, what: str) -> None:
        """Something that takes a while has begun, or says how it goes."""

    def loaded(self, name: str, what: str) -> None:
        """It is done."""

    def outcomes(self, title: str, total: int) -> None:
        """So many outcomes are expected from now on."""

    def outcome(self, outcome: Verdict | DeadLetter, text: str) -> None:
        """One of them came."""

    def settle(self) -> None:
        """No more outcomes come; what is said from now on stands below them."""

    def say(self, text: str = "") -> None:
        """One line of words."""

    def show(self, what: RenderableType) -> None:
        """Something larger: a table, a block of text."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, leaving what was said on the screen."""


def make_view(*, to_stderr: bool) -> View:
    """Return the view that fits where the output goes."""
    console = Console(stderr=to_stderr, highlight=False)
    return LiveView(console) if console.is_terminal else PlainView(console)


class PlainView:
    """One line an event, for files and pipes."""

    def __init__(self, console: Console) -> None:
        """Take where to print."""
        self._console = console
        self._began_s = time.monotonic()
        self._title = ""
        self._total = 0
        self._seen = 0

    def loading(self, name: str, what: str) -> None:
        """Print how it goes."""
        self.say(f"{self._clock()}  {name}: {what}")

    def loaded(self, name: str, what: str) -> None:
        """Print that it is done."""
        self.say(f"{self._clock()}  {name}: {what}")

    def outcomes(self, title: str, total: int) -> None:
        """Print the title and the columns."""
        self._title, self._total, self._seen = title, total, 0
        self.say(f"{self._clock()}  {title}")
        self.say(line(Row(cells=COLUMNS, action="allow")))

    def outcome(self, outcome: Verdict | DeadLetter, text: str) -> None:
        """Print one row."""
        self._seen += 1
        shown = letter_line(outcome) if isinstance(outcome, DeadLetter) else line(row(outcome, text))
        self.say(shown)
        if self._seen == self._total:
            self.say(f"{self._clock()}  {self._title}: {self._seen} of {self._total}")

    def settle(self) -> None:
        """Do nothing: lines stand where they were printed."""

    def say(self, text: str = "") -> None:
        """Print a line, never wrapped."""
        self._console.print(Text(text), soft_wrap=True)

    def show(self, what: RenderableType) -> None:
        """Print a table or a block."""
        self._console.print(what)

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began_s:6.1f} s"

    def __enter__(self) -> Self:
        """Do nothing: lines need no beginning."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing: lines need no end."""


class LiveView:
    """The latest verdicts in a table that stays where it is, with bars above it."""

    def __init__(self, console: Console) -> None:
        """Take the terminal."""
        self._console = console
        self._steps = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.fields[name]:<9}"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        self._count = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._tasks: dict[str, TaskID] = {}
        self._counter: TaskID | None = None
        self._rows: deque[tuple[Text, ...]] = deque(maxlen=self._room())
        self._live = Live(get_renderable=self._picture, console=console, refresh_per_second=8, transient=True)

    def _room(self) -> int:
        return max(4, min(_MOST_ROWS, self._console.height - _OTHER_ROWS))

    def _text_cells(self) -> int:
        return max(20, self._console.width - _OTHER_COLUMNS)

    def _picture(self) -> RenderableType:
        if self._counter is None:
            return self._steps
        table = Table(*COLUMNS, expand=True)
        for cells in self._rows:
            table.add_row(*cells)
        return Group(self._count, table)

    def loading(self, name: str, what: str) -> None:
        """Start or update a bar."""
        if name not in self._tasks:
            self._tasks[name] = self._steps.add_task(what, name=name, total=None)
        self._steps.update(self._tasks[name], description=what)

    def loaded(self, name: str, what: str) -> None:
        """Fill the bar."""
        self.loading(name, what)
        self._steps.update(self._tasks[name], total=1, completed=1)

    def outcomes(self, title: str, total: int) -> None:
        """Show the table in place of the bars."""
        if self._counter is None:
            self.show(self._steps.get_renderable())
        else:
            self._count.remove_task(self._counter)
        self._counter = self._count.add_task(title, total=total)

    def outcome(self, outcome: Verdict | DeadLetter, text: str) -> None:
        """Add a row at the bottom."""
        if isinstance(outcome, DeadLetter):
            self._rows.append((Text("-"), Text(letter_line(outcome), style="red"), *[Text("")] * (len(COLUMNS) - 2)))
        else:
            self._rows.append(styled(row(outcome, text, self._text_cells())))
        if self._counter is not None:
            self._count.advance(self._counter)

    def settle(self) -> None:
        """Leave the table on the screen as it is."""
        self._live.transient = self._counter is None
        self._live.stop()

    def say(self, text: str = "") -> None:
        """Print a line: above the table while it lives, below it afterwards."""
        self._console.print(Text(text))

    def show(self, what: RenderableType) -> None:
        """Print a block where ``say`` prints."""
        self._console.print(what)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Settle, whatever happened."""
        self.settle()


def letter_line(letter: DeadLetter) -> str:
    """Return a dead letter as one line; its detail never holds a value of the record."""
    return f"dead letter ({letter.stage}): {letter.detail}"
