"""The exact prompts of a verdict, built again from message, policy and template, and proved by their digest."""

from __future__ import annotations

from itertools import product
from typing import Final

from msgspec import UNSET, Struct

from worker import credentials
from worker.config import Settings
from worker.digests import Digests
from worker.errors import ModelError
from worker.judge import prompt
from worker.judge.folder import find_model, model_name
from worker.judge.tally import Tally, prompt_digest
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.judge.verdict import PROMPT
from worker.policy.model import Call, EffectivePolicy
from worker.records import Message, Verdict, or_none

#: Which prompts a call may have asked with, by the policy's ``reasoning``: True is one that asks for reasoning.
#: One whose prompt did not fit asked with none.
_ASKED: Final[dict[str, tuple[tuple[bool, ...], ...]]] = {
    "always": ((True,), ()),
    "never": ((False,), ()),
    "when_unsure": ((False,), (False, True), ()),
}


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
        tried: list[tuple[str, list[list[int]]]] = []
        calls = [self._calls(call, message) for call in policy.calls_for(or_none(message.language))]
        for chosen in product(*calls):
            prompts = [ids for call in chosen for ids in call]
            digest = self._digest(prompts, verdict)
            if digest is not None:
                tried.append((digest, prompts))
            if digest == verdict.prompt_digest:
                break
        agrees = tried[-1][0] == verdict.prompt_digest
        digest, prompts = tried[-1] if agrees else tried[0]
        other = f"; the verdict is of {verdict.model.name}" if verdict.model.name != model else ""
        return Prompt(
            digest=verdict.prompt_digest,
            rebuilt=digest,
            agrees=agrees,
            texts=tuple(self._tokens.decode(ids) for ids in prompts),
            model=model,
            note=None
            if agrees
            else f"built with the template and tokenizer of {model}{other}; name its model's folder",
        )

    def _calls(self, call: Call, message: Message) -> list[list[list[int]]]:
        head = self._tokens.encode(prompt.prefix(self._template, call.panel, message.role))
        head += self._tokens.encode(prompt.conversation(self._template, message))
        made = {
            reasoned: head + self._tokens.encode(prompt.opening(self._template, reasoning=reasoned))
            for reasoned in (False, True)
        }
        return [[made[reasoned] for reasoned in asked] for asked in _ASKED[call.asking.reasoning]]

    def _digest(self, prompts: list[list[int]], verdict: Verdict) -> str | None:
        """Return the digest as the verdict's was made: keyed, or plain."""
        tally = Tally()
        for ids in prompts:
            tally.asked(ids)
        plain = prompt_digest([tally])
        return plain if plain is None or verdict.digest_method is UNSET else self._digests.keyed(PROMPT, plain)
