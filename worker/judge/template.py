"""The text around policy and message: read from a TOML file, so that a checkpoint can bring its own.

A template is made of control tokens, literal text and holes. Only the template can name a control
token; whatever fills a hole is plain text. Holes: ``{policy}``, ``{context}``, ``{message}`` in a
task, ``{text}`` in a turn.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from worker.decoding import read_toml
from worker.errors import ModelError
from worker.records import Role

FILE_NAME: Final = "rsafe.toml"
DEFAULT_FILE: Final = Path(__file__).parent / "templates" / FILE_NAME
_HOLE = re.compile(r"(\{(?:policy|context|message|text)\})")


class Control(Struct, frozen=True):
    """A token of the model's own vocabulary that no text can produce."""

    token: str


class Hole(Struct, frozen=True):
    """A place that is filled with plain text."""

    name: str


Piece = Control | Hole | str


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """How a prompt is put together.

    Attributes:
        name: stands in the model's fingerprint.
        controls: the control tokens that the texts below use.
        user, agent: the two tasks of RSafe (arXiv 2506.07736): judge the user's message, or the
            agent's answer in its context.
        user_turn, agent_turn: one turn of the conversation.
        quote: put before each line of a turn, so that no line of it can look like the template's.
        think_open, think_close: around the reasoning; the first ends the prompt.
        verdict_open: after the reasoning (or at once, without one); the label follows.
        verdict_close: after the label.
        end: the control token that ends the answer.
        conclusion: regular expression with a group ``label`` that finds what the reasoning concludes; its
            last match counts. Tie it to the end, or a quote from the message could pass for it.
        line_starts: what a line of the reasoning may begin with besides a category's id. Where it is given, no
            line begins with anything else, and straight quotation marks hold whole words of the message alone:
            the engine lets the model write nothing else there (``copied.py``). For models that are trained to.
        categories: whether those of a policy stand in one prompt (``together``, as in RSafe's paper; the same where
            nothing is said), or each in a prompt of its own (``apart``), for models that mix up what stands side
            by side: then no category's verdict depends on the others, and each has a score of its own.
        placeholders: whether phone numbers, addresses, handles and long digits are masked.
        reasoning_max_tokens: budget of the reasoning.

    """

    name: str
    controls: tuple[str, ...] = ()
    user: str
    agent: str
    user_turn: str
    agent_turn: str
    quote: str = ""
    think_open: str
    think_close: str
    verdict_open: str
    verdict_close: str
    end: str
    conclusion: str = ""
    line_starts: tuple[str, ...] = ()
    # Unset and not a default: templates that say nothing keep their digest, and so models their calibration.
    categories: Literal["together", "apart"] | UnsetType = UNSET
    placeholders: bool = False
    reasoning_max_tokens: Annotated[int, Meta(ge=1)] = 256

    def __post_init__(self) -> None:
        """Refuse a template that could not make a prompt.

        Raises:
            ValueError: naming the key and what it lacks.

        """
        for key, wanted, text in (
            ("user", ("policy", "context", "message"), self.user),
            ("agent", ("policy", "context", "message"), self.agent),
            ("user_turn", ("text",), self.user_turn),
            ("agent_turn", ("text",), self.agent_turn),
        ):
            holes = tuple(piece.name for piece in self.pieces(text) if isinstance(piece, Hole))
            if holes != wanted:
                problem = f"{key} must have the holes {', '.join(wanted)}, once and in this order"
                raise ValueError(problem)
        if self.end not in self.controls:
            problem = "end must be one of the controls"
            raise ValueError(problem)
        if self.pieces(self.verdict_close) != (self.verdict_close,):
            problem = "verdict_close must be plain text of at least one character"
            raise ValueError(problem)
        if self.conclusion and "label" not in _compiled(self.conclusion).groupindex:
            problem = "conclusion must have a group 'label'"
            raise ValueError(problem)

    @property
    def conclusion_pattern(self) -> re.Pattern[str] | None:
        """The compiled ``conclusion``; None where there is none."""
        return _compiled(self.conclusion) if self.conclusion else None

    def task(self, role: Role) -> tuple[Piece, ...]:
        """Return the pieces of the task for a role."""
        return self.pieces(self.agent if role == "agent" else self.user)

    def turn(self, role: Role) -> tuple[Piece, ...]:
        """Return the pieces of one turn."""
        return self.pieces(self.agent_turn if role == "agent" else self.user_turn)

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """Cut a text of this template into control tokens, holes and literal text."""
        known = self.__dict__.setdefault("_pieces", {})
        if text not in known:
            known[text] = tuple(_cut(text, self.controls))
        return known[text]  # type: ignore[no-any-return]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        text = f"conclusion is not a regular expression: {error}"
        raise ValueError(text) from None


def _cut(text: str, controls: tuple[str, ...]) -> list[Piece]:
    pattern = "|".join(re.escape(token) for token in sorted(controls, key=len, reverse=True))
    parts = re.split(f"({pattern})", text) if pattern else [text]
    pieces: list[Piece] = []
    for part in filter(None, parts):
        if part in controls:
            pieces.append(Control(part))
        else:
            pieces.extend(Hole(bit[1:-1]) if _HOLE.fullmatch(bit) else bit for bit in _HOLE.split(part) if bit)
    return pieces


def load_template(model_dir: Path | None) -> Template:
    """Read the template of a model folder, or the default one where it brings none.

    Raises:
        ModelError: the file is not a template.

    """
    own = model_dir / FILE_NAME if model_dir else DEFAULT_FILE
    return read_template(own if own.is_file() else DEFAULT_FILE)


def read_template(path: Path) -> Template:
    """Read a template file.

    Raises:
        ModelError: the file is not a template.

    """
    try:
        return msgspec.convert(read_toml(path.read_bytes()), Template)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        text = f"{path.name} of the model is not a prompt template: {error}; compare worker/judge/templates/{FILE_NAME}"
        raise ModelError(text) from None
