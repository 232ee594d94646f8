"""What logs and terminals are told of an error: its kind and place, and its text only where that is ours. Pure.

An error of this program never holds a user's words, and those of Kafka's client and the operating system
name hosts and files. What anything else says may quote what it was given: a message, a prompt, a password.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from aiokafka.errors import KafkaError

from worker.errors import WorkerError

#: Errors whose texts hold no content of records.
_PLAIN: Final = (WorkerError, KafkaError, OSError, KeyboardInterrupt)
#: A chain of causes is followed so far.
_MOST_CAUSES: Final = 8


def brief(error: BaseException) -> str:
    """Return an error's class, and its text where that may be shown."""
    name, text = type(error).__name__, str(error) if isinstance(error, _PLAIN) else ""
    return f"{name}: {text}" if text else name


def placed(error: BaseException) -> str:
    """Return what ``brief`` says and the line of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{brief(error)} at {_place(frames[-1])}" if frames else brief(error)


def outline(error: BaseException) -> str:
    """Return an error and what led to it over several lines: files, lines and functions, and no values."""
    return "\n".join(line for one in _chain(error) for line in (brief(one), *_frames(one)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the latest first."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen and len(seen) < _MOST_CAUSES:
        seen.append(following)
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _frames(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  at {_place(frame)}"


def _place(frame: traceback.FrameSummary) -> str:
    return f"{'/'.join(PurePath(frame.filename).parts[-3:])}:{frame.lineno} in {frame.name}"
