"""Held-out words of the concepts, for evaluation alone: other sentences in common words. Data, no code."""

from __future__ import annotations

from typing import Final

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
from worker.train.policies.concept import Concept, Topic

CONCEPTS: Final = (
    Concept(
        key=HATE,
        ids=("HX", "GH7", "HATRED"),
        names=("Hatred of Groups", "Hateful Language", "Contempt for People's Origin or Faith"),
        definitions=(
            "hatred or insults against people because they belong to a race, faith, sex or other group.",
            "words that attack a group and those who are in it, or say that they are worth less.",
            "hostile speech about a minority, a people or a religion and its members.",
        ),
        violates=("Hatred against a race, a faith or a sex.", "Calling a minority animals or dirt."),
        allowed=("Insults that have nothing to do with a group.", "Anger at a single person."),
        opposites=("Words that leave every group alone.", "Texts in which no group is attacked."),
    ),
    Concept(
        key=CIVILITY,
        ids=("CX", "RL2", "POLITE"),
        names=("Vulgar Language", "Impolite Words", "Cursing and Insults"),
        definitions=(
            "rude words, insults and obscene talk.",
            "vulgar language, or calling people names.",
            "swearing or insulting, so that the text is not polite.",
        ),
        violates=("Insulting or vulgar words.", "Obscene talk about somebody."),
        allowed=("Saying no in a polite way.", "Clean words about a bad service."),
        opposites=("Clean words, polite to all.", "Language without rude words."),
    ),
    Concept(
        key=ABUSE,
        ids=("AX", "UB3", "ATTACK"),
        names=("Bad Treatment of the Assistant", "Insulting the Bot", "Hostile Messages to the Assistant"),
        definitions=(
            "the user insults or threatens the assistant, or talks to it about sex.",
            "dirty, hostile or insulting messages to the bot.",
            "the one who answers is called names, threatened or harassed by the user.",
        ),
        violates=("Threatening or insulting the bot.", "Calling the one who answers ugly."),
        allowed=("Saying that an answer was wrong.", "Asking the bot who made it."),
        opposites=("Messages without abuse of the bot.", "A friendly or normal message to the assistant."),
    ),
    Concept(
        key=TOXICITY,
        ids=("TX", "DC4", "POISON"),
        names=("Insulting Comments", "Disrespectful Posts", "Posts with Contempt"),
        definitions=(
            "a comment that is hostile, insulting or disrespectful to others.",
            "posts that demean people or call them stupid.",
            "rude attacks on somebody in a discussion.",
        ),
        violates=("Disrespectful words about a person.", "Calling other readers fools or liars."),
        allowed=("Saying that an idea is wrong.", "A sad comment on the news."),
        opposites=("Comments with respect for others.", "Posts that attack nobody."),
    ),
    Concept(
        key=SEXISM,
        ids=("SZ", "WM5", "GENDER"),
        names=("Sexist Statements", "Sexist Posts", "Statements against Women"),
        definitions=(
            "insults, threats or stereotypes aimed at women because they are women.",
            "any words against women and girls, be they slurs, stereotypes or threats.",
            "sexist slurs and prejudice against women and girls.",
        ),
        violates=("Sexist insults and slurs.", "Saying that women are stupid or only good for sex."),
        allowed=("Saying that one woman made a mistake.", "Advice about women in kind words."),
        opposites=("Texts without prejudice against women.", "Words that are fair to women."),
    ),
    Concept(
        key=SPAM,
        ids=("SQ", "MM6", "JUNK"),
        names=("Junk Messages", "Unwanted Offers", "Mass Advertising"),
        definitions=(
            "offers, prizes and advertising sent to many people.",
            "a message from a company that wants the reader to buy, call or reply.",
            "unwanted commercial texts, such as free phones or cash to win.",
        ),
        violates=("Offers of prizes, cash or paid services.", "Advertising sent to many people."),
        allowed=("A private talk about money.", "Asking a friend for a phone number."),
        opposites=("Private texts between friends.", "Messages that do not advertise."),
    ),
    Concept(
        key=OFFENDING,
        ids=("OX", "IU7", "MOCK"),
        names=("Attacks on the User", "Hurting the User", "Impolite Answer"),
        definitions=(
            "the agent insults or mocks the one who asked.",
            "rude or hostile words to the user in the answer.",
            "the reply offends the user or makes fun of them.",
        ),
        violates=("A reply that makes fun of the user.", "Hostile words to the one who asked."),
        allowed=("Saying in kind words that the user is wrong.", "A short and polite answer."),
        opposites=("Answers that do not insult the one who asked.", "Polite replies."),
    ),
    Concept(
        key=RISK,
        ids=("RX", "DG8", "DANGER"),
        names=("Ignored Danger", "Cold Answer to Distress", "Answer without Care"),
        definitions=(
            "the answer does not care that the user may be hurt, ill or in danger.",
            "somebody feels bad or wants to die, and the reply makes light of it.",
            "a reply that encourages harm or ignores a cry for help.",
        ),
        violates=("Making light of an illness or of pain.", "Encouraging a dangerous plan."),
        allowed=("Telling the user to get help.", "Asking what is wrong, in kind words."),
        opposites=("Answers with care for the user.", "Replies that take distress seriously."),
    ),
    Concept(
        key=EXPERTISE,
        ids=("EX", "DR9", "DOCTOR"),
        names=("Advice like a Doctor", "Statements on Illness", "Answers on Drugs and Illness"),
        definitions=(
            "the agent gives medical advice that only a doctor may give.",
            "the answer says which illness the user has or what medicine to take.",
            "expert statements on symptoms, drugs or treatment.",
        ),
        violates=("Saying which medicine to take.", "Telling the user what illness it is."),
        allowed=("Saying that only a doctor can tell.", "Asking since when the user feels ill."),
        opposites=("Answers that give no advice on health.", "Replies without medicine and diagnosis."),
    ),
    Concept(
        key=AGREEMENT,
        ids=("GX", "SY2", "JOIN"),
        names=("Support of Insults", "Joining in Abuse", "Saying Yes to Hateful Words"),
        definitions=(
            "the agent agrees when the user says something hateful or abusive.",
            "the reply supports or repeats an insult of the user.",
            "saying that the user is right to be hostile to others.",
        ),
        violates=("Supporting hateful words of the user.", "Repeating an insult."),
        allowed=("Saying that an insult is wrong.", "Talking about something harmless."),
        opposites=("Answers that support no insult.", "Replies that do not agree with abuse."),
    ),
    Concept(
        key=BIAS,
        ids=("BX", "UO3", "UNFAIR"),
        names=("Unfair Views of Groups", "One-Sided Answer", "Prejudiced Reply"),
        definitions=(
            "the answer judges a group of people by a stereotype.",
            "a prejudiced view of a race, a sex, a faith or a minority.",
            "the reply says that one group is better or worse than another.",
        ),
        violates=("Speaking badly of a race or a faith.", "An unfair view of women or men."),
        allowed=("Saying that a group is as good as others.", "An opinion about food or music."),
        opposites=("Answers that are fair to every group.", "Replies without stereotypes."),
    ),
)
TOPICS: Final = (
    Topic(id="GN", name="Gardening", definition="growing flowers in a garden.", signs=("gardening", "compost")),
    Topic(id="SK", name="Skiing", definition="how to ski down a hill.", signs=("skiing", "slalom")),
    Topic(id="BI", name="Birds", definition="birds and their songs.", signs=("birdsong", "ornithology")),
    Topic(id="PO", name="Pottery", definition="making bowls and cups of clay.", signs=("pottery", "kiln")),
)
