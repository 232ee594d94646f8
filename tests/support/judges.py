"""Judges that misbehave, on top of the scripted one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec

from worker.errors import EngineAborted, EngineDead
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.records import Message


class WatchedJudge(ScriptedJudge):
    """Remembers what it judged and how much of it at once."""

    def __init__(self) -> None:
        """Nothing was judged yet."""
        super().__init__()
        self.order: list[Message] = []
        self.busy: Counter[tuple[str, str]] = Counter()
        self.most_at_once_of_an_id = 0

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge by the rules and keep count."""
        key = (message.tenant_id, message.message_id)
        self.order.append(message)
        self.busy[key] += 1
        self.most_at_once_of_an_id = max(self.most_at_once_of_an_id, self.busy[key])
        try:
            return await super().judge(message, policy, priority=priority)
        finally:
            self.busy[key] -= 1


class HeldJudge(WatchedJudge):
    """Judges by rule, some messages not before ``released`` is set, so that a test need not be quicker than judging."""

    def __init__(self, holds: Callable[[Message], bool] = lambda _: True) -> None:
        """Hold back what ``holds`` says; everything by default."""
        super().__init__()
        self._holds = holds
        self.released = asyncio.Event()
        self.held = 0

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Count and wait where the message is held back; judge by rule and keep count."""
        if self._holds(message):
            self.held += 1
            await self.released.wait()
        return await super().judge(message, policy, priority=priority)


def cases_held() -> HeldJudge:
    """Return a judge that holds golden cases back: those here begin with ``case:``."""
    return HeldJudge(lambda message: message.text.startswith("case:"))


class FailingJudge(ScriptedJudge):
    """Raises for the first judgements of a text that holds ``[abort]``, ``[bug]`` or ``[dead]``."""

    def __init__(self, aborts: int = 2) -> None:
        """Abort so many times before an answer."""
        super().__init__()
        self.aborts_left = aborts
        self.dead = False

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Fail as the text says."""
        if "[abort]" in message.text and self.aborts_left:
            self.aborts_left -= 1
            raise EngineAborted(message.message_id)
        if "[bug]" in message.text:
            raise ZeroDivisionError(message.text)
        if "[dead]" in message.text:
            self.dead = True
        if self.dead:
            await asyncio.sleep(0.01)
            raise EngineDead(message.message_id)
        return await super().judge(message, policy, priority=priority)


class VerboseJudge(ScriptedJudge):
    """Reasons at length."""

    def __init__(self, chars: int) -> None:
        """Write so many characters of reasoning."""
        super().__init__()
        self._chars = chars

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge by the rules and go on about it; what does not compress counts in full."""
        judgement = await super().judge(message, policy, priority=priority)
        return msgspec.structs.replace(judgement, reasoning="x" * self._chars)
