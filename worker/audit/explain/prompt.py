"""The exact prompts of a verdict, built again from message, policy and template, and proved by their digest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, combinations, islice, product, zip_longest
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
from worker.records import Message, Role, Verdict, or_none

Asked = tuple[bool, ...]
Prompts = list[list[int]]
#: Which prompts a call asks with, by the policy's ``reasoning``: True is one that asks for reasoning.
_ASKED: Final[dict[str, tuple[Asked, ...]]] = {"never": ((False,),), "when_unsure": ((False,), (False, True))}
#: Of a policy that reasons always, by the model: it is asked at once before where its score is the mean of both.
_ALWAYS: Final[tuple[Asked, ...]] = ((True,), (False, True))
#: So many ways to have asked are tried: with many calls that reason when unsure there are more than anyone waits for.
_TRIES: Final = 4096
#: What to do where a keyed digest differs, since no record says which key made it.
OTHER_KEY: Final = "set the digest_key that it was made under, if it was another one"


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


def count_calls(settings: Settings, verdict: Verdict, policy: EffectivePolicy) -> int:
    """Return how many calls a verdict's message needed; where its model is not here, the most that it can be."""
    language = or_none(verdict.language)
    with suppress(ModelError):
        folder = find_model(settings)
        if model_name(folder) == verdict.model.name:
            return len(asking.calls(load_template(folder), policy, language))
    return len(policy.calls_for(language, apart=True))


class _Maker:
    """Builds prompts as ``judge/phases.py`` does."""

    def __init__(self, template: Template, tokens: Tokens, digests: Digests) -> None:
        self._template = template
        self._tokens = tokens
        self._digests = digests

    def prompt(self, verdict: Verdict, message: Message, policy: EffectivePolicy, model: str) -> Prompt:
        models = self._calls(verdict, message, policy)
        tried: tuple[str | None, Prompts] = (None, [])
        for chosen in islice(filter(None, chain.from_iterable(zip_longest(*map(_ways, models)))), _TRIES):
            prompts = [ids for call in chosen for ids in call]
            digest = self._digest(prompts, verdict)
            if digest == verdict.prompt_digest:
                return self._built(verdict, digest, prompts, model, agrees=True)
            if tried[0] is None:
                tried = (digest, prompts)
        ways = sum(math.prod(map(len, calls)) for calls in models)
        if ways > _TRIES:
            note = f"{_TRIES} of {ways} ways to ask this policy were tried, so it cannot be told"
            return self._built(verdict, *tried, model, agrees=None, note=note)
        other = f"; the verdict is of {verdict.model.name}" if verdict.model.name != model else ""
        note = f"built with the template and tokenizer of {model}{other}; name its model's folder"
        if verdict.digest_method is not UNSET:
            note = f"{note}, or {OTHER_KEY}"
        return self._built(verdict, *tried, model, agrees=False, note=note)

    def _built(
        self,
        verdict: Verdict,
        digest: str | None,
        prompts: Prompts,
        model: str,
        *,
        agrees: bool | None,
        note: str | None = None,
    ) -> Prompt:
        texts = tuple(self._tokens.decode(ids) for ids in prompts)
        return Prompt(digest=verdict.prompt_digest, rebuilt=digest, agrees=agrees, texts=texts, model=model, note=note)

    def _calls(self, verdict: Verdict, message: Message, policy: EffectivePolicy) -> list[list[list[Prompts]]]:
        """Return, for each kind of model that may have been asked, what each call may have asked with."""
        asked = asking.calls(self._template, policy, or_none(message.language))
        conversation = self._tokens.encode(prompt.conversation(self._template, message))
        made = [self._made(call, message.role, conversation) for call in asked]
        # A call whose prompt does not fit asks nothing, and then there is no verdict.
        nothing: list[Asked] = [] if verdict.status == "judged" else [()]
        kinds = _ALWAYS if any(call.asking.reasoning == "always" for call in asked) else _ALWAYS[:1]
        return [
            [_options(call.asking.reasoning, always, nothing, ids) for call, ids in zip(asked, made, strict=True)]
            for always in kinds
        ]

    def _made(self, call: Call, role: Role, conversation: list[int]) -> dict[bool, list[int]]:
        head = self._tokens.encode(prompt.prefix(self._template, call.panel, role)) + conversation
        return {
            reasoned: head + self._tokens.encode(prompt.opening(self._template, reasoning=reasoned))
            for reasoned in (False, True)
        }

    def _digest(self, prompts: Prompts, verdict: Verdict) -> str | None:
        """Return the digest as the verdict's was made: keyed, or plain."""
        tally = Tally()
        for ids in prompts:
            tally.asked(ids)
        plain = prompt_digest([tally])
        return plain if plain is None or verdict.digest_method is UNSET else self._digests.keyed(PROMPT, plain)


def _options(reasoning: str, always: Asked, nothing: list[Asked], made: dict[bool, list[int]]) -> list[Prompts]:
    ways = (*_ASKED.get(reasoning, (always,)), *nothing)
    return [[made[reasoned] for reasoned in way] for way in ways]


def _ways(calls: Sequence[Sequence[Prompts]]) -> Iterator[tuple[Prompts, ...]]:
    """Yield which prompts each call may have asked with; where not all can be tried, the likeliest first."""
    if math.prod(map(len, calls)) <= _TRIES:
        yield from product(*calls)
        return
    open_places = [place for place, call in enumerate(calls) if len(call) > 1]
    options = range(max(map(len, calls)))
    # All calls alike, then one unlike the rest, then two.
    for unlike in range(len(open_places) + 1):
        for usual, places in product(options, combinations(open_places, unlike)):
            for others in product([one for one in options if one != usual], repeat=unlike):
                chosen = dict.fromkeys(open_places, usual) | dict(zip(places, others, strict=True))
                if all(at < len(calls[place]) for place, at in chosen.items()):
                    yield tuple(call[chosen.get(place, 0)] for place, call in enumerate(calls))
