"""What a reasoning may only copy: ids where its lines begin, and the message's words in quotation marks. Pure.

A quote that a model makes up is no evidence, and a verdict about a category that the policy does not have
explains nothing. Where a template says so (``line_starts``), the engine is told before each token what may
come next, so that neither can be written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct, structs

MARK: Final = b'"'
_LINE_END: Final = b"\n"
_SPACES: Final = (b" ", _LINE_END)
#: Bytes of UTF-8 that begin no character.
_INNER: Final = range(0x80, 0xC0)
#: Words that a quote may begin with, from the first on: each is looked at before each token, in the engine's process.
MAX_WORDS: Final = 2000


class Copied(Struct, frozen=True, kw_only=True):
    """What one reasoning copies from.

    Attributes:
        text: the message as it is shown to the model; quotes are whole words of it, and begin with one of the
            first ``MAX_WORDS``.
        starts: what a line may begin with.

    """

    text: str
    starts: tuple[str, ...]


class Vocabulary:
    """The tokens of a model as bytes. Tokens that stand for no text are left out, so they never continue a copy."""

    def __init__(self, tokens: Mapping[int, bytes]) -> None:
        """Sort tokens by what they can do."""
        self.tokens: Final = dict(tokens)
        self._plain: dict[bytes, list[int]] = defaultdict(list)
        self._closing: dict[bytes, list[int]] = defaultdict(list)
        for number, token in self.tokens.items():
            if MARK in token:
                self._closing[token[: token.index(MARK)]].append(number)
            else:
                self._plain[token].append(number)
        self.longest: Final = max(map(len, self.tokens.values()), default=0)
        #: Tokens that may break a rule where everything else is free.
        self.risky: Final = [number for number, token in self.tokens.items() if MARK in token or _LINE_END in token]
        #: All others that may follow a whole id.
        self.after_a_word: Final = sorted(
            {number for number, token in self.tokens.items() if not _goes_on(token[:1])} - set(self.risky)
        )

    def along(self, text: bytes) -> Iterator[int]:
        """Return tokens that a text begins with; they hold no quotation mark."""
        for end in range(1, min(self.longest, len(text)) + 1):
            yield from self._plain.get(text[:end], ())

    def closing(self, text: bytes) -> Iterator[int]:
        """Return tokens that are a beginning of a text, maybe none of it, and a quotation mark after that."""
        for end in range(min(self.longest, len(text)) + 1):
            yield from self._closing.get(text[:end], ())


class _State(Struct, frozen=True):
    """Where a reasoning stands.

    Attributes:
        line: what is written of a line's beginning; None once that is whole.
        places: where in the message an open quote may have begun; None outside of quotes.
        length: of the open quote, in bytes.

    """

    line: bytes | None = b""
    places: tuple[int, ...] | None = None
    length: int = 0


class Rule(Struct, frozen=True):
    """Which tokens may come next: these alone, or all but these."""

    ids: Sequence[int]
    alone: bool


class Follower:
    """Follows one reasoning, token by token."""

    def __init__(self, vocabulary: Vocabulary, copied: Copied) -> None:
        """Start before the first token."""
        self._vocabulary = vocabulary
        # Without the spaces behind which no quote could end.
        self._text = MARK.join(part.rstrip(b"".join(_SPACES)) for part in copied.text.encode().split(MARK))
        self._starts = tuple(start.encode() for start in copied.starts)
        self._words = tuple(islice(_beginnings(self._text), MAX_WORDS))
        self._state: _State | None = _State()
        self._read = 0
        self._free: Rule | None = None

    def rule(self, written: Sequence[int]) -> Rule | None:
        """Return what may follow; None where nothing is forbidden any more, since a rule was broken.

        Args:
            written: every token of the reasoning so far; those of earlier calls begin it.

        """
        for number in written[self._read :]:
            token = self._vocabulary.tokens.get(number, b"")
            self._state = self._after(self._state, token) if self._state else None
        self._read = len(written)
        state = self._state
        if state is None:
            return None
        if state.places is not None:
            return Rule(ids=list(dict.fromkeys(self._of_a_quote(state, state.places))), alone=True)
        if state.line is not None:
            return Rule(ids=list(dict.fromkeys(self._of_a_line(state, state.line))), alone=True)
        if self._free is None:
            risky = self._vocabulary.risky
            fitting = set(self._fitting(state, risky))
            self._free = Rule(ids=[number for number in risky if number not in fitting], alone=False)
        return self._free

    def _of_a_quote(self, state: _State, places: Sequence[int]) -> Iterator[int]:
        for place in places:
            here = place + state.length
            rest = self._text[here : here + self._vocabulary.longest]
            yield from self._vocabulary.along(rest)
            yield from self._fitting(structs.replace(state, places=(place,)), self._vocabulary.closing(rest))

    def _of_a_line(self, state: _State, line: bytes) -> Iterator[int]:
        for start in self._starts:
            if start.startswith(line):
                yield from self._vocabulary.along(start[len(line) :])
        if line in self._starts:
            yield from self._vocabulary.after_a_word
            yield from self._fitting(state, self._vocabulary.risky)

    def _fitting(self, state: _State, candidates: Iterable[int]) -> Iterator[int]:
        tokens = self._vocabulary.tokens
        return (number for number in candidates if self._after(state, tokens[number]))

    def _after(self, state: _State, token: bytes) -> _State | None:
        """Return the state after a token; None if it breaks a rule."""
        found: _State | None = state
        for place in range(len(token)):
            found = self._step(found, token[place : place + 1]) if found else None
        return found

    def _step(self, state: _State, byte: bytes) -> _State | None:
        if state.places is not None:
            return self._in_quote(state, byte)
        if state.line is not None:
            return self._in_line(state.line, byte)
        if byte == MARK:
            return structs.replace(state, places=self._words, length=0) if self._words else None
        return _State() if byte == _LINE_END else state

    def _in_quote(self, state: _State, byte: bytes) -> _State | None:
        text, length = self._text, state.length
        assert state.places is not None
        if byte == MARK:
            whole = any(_ends(text, place, length) for place in state.places)
            return structs.replace(state, places=None) if whole else None
        left = tuple(place for place in state.places if text[place + length : place + length + 1] == byte)
        return structs.replace(state, places=left, length=length + 1) if left else None

    def _in_line(self, line: bytes, byte: bytes) -> _State | None:
        if line in self._starts and not _goes_on(byte):
            return self._step(_State(line=None), byte)
        longer = line + byte
        return _State(line=longer) if any(start.startswith(longer) for start in self._starts) else None


def _goes_on(byte: bytes) -> bool:
    """Tell whether a byte could belong to the word before it; what is no ASCII could."""
    return byte.isalnum() or byte in {b"_", b"-", b"."} or byte >= b"\x80"


def _parts(text: bytes, place: int) -> bool:
    """Tell whether one word ends at a place and another may begin; scripts beyond ASCII need no space."""
    before, after = text[place - 1 : place] if place else b"", text[place : place + 1]
    if after and after[0] in _INNER:
        return False
    return not (before.isalnum() and after.isalnum())


def _ends(text: bytes, place: int, length: int) -> bool:
    """Tell whether a quote may end: behind a word, and not behind a space."""
    return text[place : place + length][-1:] not in {b"", *_SPACES} and _parts(text, place + length)


def _beginnings(text: bytes) -> Iterator[int]:
    """Return the places where a quote may begin: before a word, or before the space that stands before it."""
    for place in range(len(text)):
        here, follows = text[place : place + 1], text[place + 1 : place + 2]
        is_word = here not in {MARK, *_SPACES}
        if _parts(text, place) and (is_word or (here == b" " and follows not in {b"", MARK, *_SPACES})):
            yield place
