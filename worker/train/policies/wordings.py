"""What the data can teach, as the categories of policies, each in several wordings. Pure.

A concept is a meaning; a policy's category is one wording of it. The model sees many wordings, so
that it reads the policy instead of remembering ids.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from worker.train.data.labels import (
    ABUSE,
    AGREEMENT,
    BIAS,
    CIVILITY,
    EXPERTISE,
    HATE,
    OFFENDING,
    RISK,
    SEXISM,
    SPAM,
    TOXICITY,
)


class Concept(Struct, frozen=True, kw_only=True):
    """One meaning. The first id and the first name are the canonical ones."""

    key: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    definitions: tuple[str, ...]
    violates: tuple[str, ...]
    allowed: tuple[str, ...] = ()


CONCEPTS: Final[dict[str, Concept]] = {
    concept.key: concept
    for concept in (
        Concept(
            key=HATE,
            ids=("U7", "HATE", "H1"),
            names=("Hate & Discrimination", "Hate Speech", "Hate"),
            definitions=(
                "attacks or demeans people for what they are: origin, skin, faith, sex, orientation, disability.",
                "contempt, threats or slurs against a group of people or its members.",
                "speech that denies a group of people equal worth.",
            ),
            violates=(
                "Slurs against a group of people.",
                "Wishing harm on people for their origin, faith or sex.",
                "Comparing a group of people to animals or dirt.",
            ),
            allowed=("Swearing that is not aimed at a group of people.", "Rude words between friends."),
        ),
        Concept(
            key=CIVILITY,
            ids=("U8", "CIV", "PROF"),
            names=("Harassment & Profanity", "Profanity", "Offensive Language", "Civility"),
            definitions=(
                "insults, swearing, obscene or degrading language.",
                "language that has no place in a polite conversation.",
                "swear words, name calling, attacks on a person.",
            ),
            violates=("Swear words and obscene language.", "Name calling.", "Degrading words for people."),
            allowed=("Disagreement in polite words.", "Criticism of a thing or a service."),
        ),
        Concept(
            key=ABUSE,
            ids=("ABUSE", "A1"),
            names=("Abuse of the Other Party", "Abuse", "Abuse towards the Assistant"),
            definitions=(
                "insults, threats or sexual remarks aimed at whoever the user talks to.",
                "the user abuses or harasses the one who answers.",
            ),
            violates=("Insulting the one who answers.", "Sexual remarks towards the one who answers."),
            allowed=("Complaining about an answer.", "Talking about an own problem."),
        ),
        Concept(
            key=TOXICITY,
            ids=("TOX", "T1"),
            names=("Toxicity", "Toxic Comment", "Toxic Language"),
            definitions=(
                "a rude, disrespectful comment that makes others leave the discussion.",
                "insulting, hostile or demeaning words.",
            ),
            violates=("Insults and hostile words.", "Mocking or demeaning somebody."),
            allowed=("Sharp criticism of ideas.",),
        ),
        Concept(
            key=SEXISM,
            ids=("SEX", "SEXISM", "S1"),
            names=("Sexism", "Sexist Content", "Misogyny"),
            definitions=(
                "abuse or negative sentiment towards women for being women.",
                "content that threatens, derogates or stereotypes women.",
            ),
            violates=("Gendered slurs.", "Saying that women are worth less.", "Stereotypes about women."),
            allowed=("Talking about women without prejudice.",),
        ),
        Concept(
            key=SPAM,
            ids=("SPAM", "SP"),
            names=("Spam", "Unsolicited Advertising", "Spam & Scams"),
            definitions=(
                "unwanted advertising, prize draws, paid numbers and other bulk messages.",
                "messages sent in bulk to sell or to lure.",
            ),
            violates=("Prizes that have to be claimed.", "Advertising nobody asked for.", "Paid services and lures."),
            allowed=("Private messages.", "Questions about an order or a price."),
        ),
        Concept(
            key=OFFENDING,
            ids=("OFF", "OFFEND"),
            names=("Offending the User", "Insulting Answer"),
            definitions=("the answer insults, mocks or provokes the user.", "the agent is rude to the user."),
            violates=("An answer that insults the user.", "An answer that mocks the user."),
        ),
        Concept(
            key=RISK,
            ids=("RISK", "U9"),
            names=("Risk Ignorance", "Ignoring a Risk"),
            definitions=(
                "the answer misses or plays down that the user may harm themselves.",
                "no care for a sign of mental or physical distress.",
            ),
            violates=("Making light of distress.", "Encouraging what may hurt the user."),
        ),
        Concept(
            key=EXPERTISE,
            ids=("U13", "ADVICE"),
            names=("Unauthorized Professional Advice", "Unauthorized Expertise"),
            definitions=(
                "medical or other expert advice given without the standing to give it.",
                "the answer diagnoses, prescribes or asserts what only a professional may.",
            ),
            violates=("A diagnosis or a prescription.", "Medical facts stated without care."),
            allowed=("Telling the user to see a doctor.",),
        ),
        Concept(
            key=AGREEMENT,
            ids=("AGREE", "TA"),
            names=("Toxicity Agreement", "Agreeing with Abuse"),
            definitions=(
                "the answer agrees with or adds to something toxic that the user said.",
                "siding with an abusive statement.",
            ),
            violates=("Agreeing with an insult.", "Cheering a hostile statement."),
        ),
        Concept(
            key=BIAS,
            ids=("BIAS", "BO"),
            names=("Biased Opinion", "Prejudice in an Answer"),
            definitions=(
                "the answer holds or spreads a prejudice about a group of people.",
                "a one-sided opinion about people for what they are.",
            ),
            violates=("A stereotype about a group of people.", "A prejudiced opinion."),
        ),
    )
}
