"""The exact prompts of a verdict, built again from message, policy and template, and proved by their digest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, islice, product
from typing import Final

from msgspec import UNSET, Struct

from worker import credentials
from worker.config import Settings
from worker.digests import Digests
from worker.errors import ModelError
from worker.judge import asking, prompt
from worker.judge.folder import find_model, model_name
from worker.judge.tally import Tally, prompt_digest
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.judge.verdict import PROMPT
from worker.policy.model import Call, EffectivePolicy
from worker.records import Message, Verdict, or_none

#: Which prompts a call asks with, by the policy's ``reasoning`` (True is one that asks for reasoning), and whether the
#: model's scores are means of before and after.
_ASKED: Final[dict[tuple[str, bool], tuple[tuple[bool, ...], ...]]] = {
    ("always", False): ((True,),),
    ("always", True): ((False, True),),
    ("never", False): ((False,),),
    ("never", True): ((False,),),
    ("when_unsure", False): ((False,), (False, True)),
    ("when_unsure", True): ((False,), (False, True)),
}
#: So many ways to have asked are tried: with many calls that reason when unsure there are more than anyone waits for.
_TRIES: Final = 4096


class Prompt(Struct, frozen=True, kw_only=True):
    """The prompts behind a verdict.

    Attributes:
        digest: what the verdict says.
        rebuilt: the digest of what was built again; null where nothing could be.
        agrees: whether they are equal; null where one of them is not known.
        texts: the prompts in order, control tokens by their names.
        model: name of the folder whose template and tokenizer were used.
        note: why something is not known.

    """

    digest: str | None
    rebuilt: str | None = None
    agrees: bool | None = None
    texts: tuple[str, ...] = ()
    model: str | None = None
    note: str | None = None


def rebuild(settings: Settings, verdict: Verdict, message: Message | None, policy: EffectivePolicy | None) -> Prompt:
    """Build the prompts of a verdict again; never raises, but says what is lacking."""
    if verdict.prompt_digest is None:
        return Prompt(digest=None, note="no model was asked")
    if message is None or policy is None:
        lacking = "the message" if message is None else "the policy"
        return Prompt(digest=verdict.prompt_digest, note=f"{lacking} is gone, so the prompt cannot be built again")
    digests = credentials.digests(settings)
    if verdict.digest_method is not UNSET and not digests:
        return Prompt(digest=verdict.prompt_digest, note="the digest is keyed; set digest_key to compare it")
    try:
        folder = find_model(settings)
        template = load_template(folder)
        maker = _Maker(template, Tokens(folder, template), digests)
    except ModelError as error:
        return Prompt(digest=verdict.prompt_digest, note=str(error))
    return maker.prompt(verdict, message, policy.at(or_none(verdict.degraded)), model_name(folder))


class _Maker:
    """Builds prompts as ``judge/phases.py`` does."""

    def __init__(self, template: Template, tokens: Tokens, digests: Digests) -> None:
        self._template = template
        self._tokens = tokens
        self._digests = digests

    def prompt(self, verdict: Verdict, message: Message, policy: EffectivePolicy, model: str) -> Prompt:
        asked = asking.calls(self._template, policy, or_none(message.language))
        # A call whose prompt does not fit asks nothing, and then there is no verdict.
        nothing: list[list[list[int]]] = [] if verdict.status == "judged" else [[]]
        both = [[[*self._calls(call, message, mean=mean), *nothing] for call in asked] for mean in (False, True)]
        tried: tuple[str | None, list[list[int]]] = (None, [])
        for chosen in islice(chain.from_iterable(map(_ways, both)), _TRIES):
            prompts = [ids for call in chosen for ids in call]
            digest = self._digest(prompts, verdict)
            if digest == verdict.prompt_digest:
                return self._built(verdict, digest, prompts, model, agrees=True)
            if tried[0] is None:
                tried = (digest, prompts)
        ways = sum(math.prod(map(len, calls)) for calls in both)
        if ways > _TRIES:
            note = f"{_TRIES} of {ways} ways to ask this policy were tried, so it cannot be told"
            return self._built(verdict, *tried, model, agrees=None, note=note)
        other = f"; the verdict is of {verdict.model.name}" if verdict.model.name != model else ""
        note = f"built with the template and tokenizer of {model}{other}; name its model's folder"
        return self._built(verdict, *tried, model, agrees=False, note=note)

    def _built(
        self,
        verdict: Verdict,
        digest: str | None,
        prompts: list[list[int]],
        model: str,
        *,
        agrees: bool | None,
        note: str | None = None,
    ) -> Prompt:
        texts = tuple(self._tokens.decode(ids) for ids in prompts)
        return Prompt(digest=verdict.prompt_digest, rebuilt=digest, agrees=agrees, texts=texts, model=model, note=note)

    def _calls(self, call: Call, message: Message, *, mean: bool) -> list[list[list[int]]]:
        head = self._tokens.encode(prompt.prefix(self._template, call.panel, message.role))
        head += self._tokens.encode(prompt.conversation(self._template, message))
        made = {
            reasoned: head + self._tokens.encode(prompt.opening(self._template, reasoning=reasoned))
            for reasoned in (False, True)
        }
        return [[made[reasoned] for reasoned in asked] for asked in _ASKED[call.asking.reasoning, mean]]

    def _digest(self, prompts: list[list[int]], verdict: Verdict) -> str | None:
        """Return the digest as the verdict's was made: keyed, or plain."""
        tally = Tally()
        for ids in prompts:
            tally.asked(ids)
        plain = prompt_digest([tally])
        return plain if plain is None or verdict.digest_method is UNSET else self._digests.keyed(PROMPT, plain)


def _ways(calls: Sequence[Sequence[list[list[int]]]]) -> Iterator[tuple[list[list[int]], ...]]:
    """Yield which prompts each call may have asked with: first all calls alike, then one unlike the rest, then more."""
    options = range(max(map(len, calls), default=0))
    for unlike in range(len(calls) + 1):
        for usual, places in product(options, combinations(range(len(calls)), unlike)):
            for others in product([one for one in options if one != usual], repeat=unlike):
                changed = dict(zip(places, others, strict=True))
                chosen = [changed.get(place, usual) for place in range(len(calls))]
                if all(at < len(call) for call, at in zip(calls, chosen, strict=True)):
                    yield tuple(call[at] for call, at in zip(calls, chosen, strict=True))
