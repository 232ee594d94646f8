"""Held-out words of the parts of concepts, for evaluation alone. Data, no code."""

from __future__ import annotations

from typing import Final

from worker.train.data import labels
from worker.train.policies.concept import Concept

PARTS_IN_WORDS: Final = (
    Concept(
        key=labels.SEXISM_THREATS,
        ids=("YTH",),
        names=("Violence and Threats to Women", "Wishing Harm on Women", "Women Threatened"),
        definitions=(
            "violence against women that is threatened, wished or supported",
            "saying that women should be hurt, beaten or raped",
        ),
        violates=("Calls to hurt women.",),
    ),
    Concept(
        key=labels.SEXISM_DEROGATION,
        ids=("YDE",),
        names=("Women Called Worthless", "Strong Insults to Women", "Women Treated as Things"),
        definitions=(
            "strong attacks that insult women as stupid, bad or ugly",
            "women described as things, or as worth less than men",
        ),
        violates=("Describing women as bad or worthless.",),
    ),
    Concept(
        key=labels.SEXISM_ANIMOSITY,
        ids=("YAN",),
        names=("Mild Sexism", "Sexism in Passing", "Slurs and Stereotypes of Women"),
        definitions=(
            "mild sexism: stereotypes and casual swear words for women",
            "gendered slurs in passing, or claims of how women are",
        ),
        violates=("Casual stereotypes of women.",),
    ),
    Concept(
        key=labels.SEXISM_PREJUDICE,
        ids=("YPR",),
        names=("Arguments against Women's Rights", "Defending Discrimination of Women", "Denying Sexism"),
        definitions=(
            "defending discrimination of women or bad treatment of a woman",
            "saying that women should not have equal rights, or that they are treated well enough",
        ),
        violates=("Arguments that women deserve unequal treatment.",),
    ),
    Concept(
        key=labels.SEXISM_SLURS,
        ids=("YSL",),
        names=("Women Called by Slurs", "Sexist Swear Words", "Women Called Names"),
        definitions=(
            "slurs and dirty names that women are called in passing",
            "a woman is called by a gendered swear word without much thought",
        ),
        violates=("A slur for women in passing.",),
    ),
    Concept(
        key=labels.SEXISM_STEREOTYPES,
        ids=("YST",),
        names=("How Women Are Said to Be", "Claims about Women's Nature", "Stereotypes of Gender"),
        definitions=(
            "claims that women are by nature different from men",
            "stereotypes that say what all women are like or want",
        ),
        violates=("Claims of what is natural for women.",),
    ),
    Concept(
        key=labels.HATE_DEROGATION,
        ids=("ZDE",),
        names=("Groups Called Bad", "Strong Insults to a Group", "Open Contempt for Groups"),
        definitions=(
            "insults that call a group bad, evil or disgusting",
            "a group is attacked in words as stupid or worth less",
        ),
        violates=("Insulting a group as stupid or bad.",),
    ),
    Concept(
        key=labels.HATE_ANIMOSITY,
        ids=("ZAN",),
        names=("Jokes against Groups", "Indirect Hate", "Mild Hostility to a Group"),
        definitions=(
            "indirect hate: hints, jokes and mild stereotypes about a group",
            "mocking a group in a veiled way",
        ),
        violates=("Veiled hints against a group.",),
    ),
    Concept(
        key=labels.HATE_DEHUMANISING,
        ids=("ZDH",),
        names=("Groups as Animals", "People Called Dirt", "Groups Not Seen as Human"),
        definitions=(
            "people of a group are called animals, dirt or a disease",
            "saying that a group is not human",
        ),
        violates=("Calling a group pigs, rats or dirt.",),
    ),
    Concept(
        key=labels.HATE_THREATS,
        ids=("ZTH",),
        names=("Violence against Groups", "Wishing Death on Groups", "Groups Threatened"),
        definitions=(
            "violence against a group that is threatened, wished or called for",
            "saying that people of a group should die or be beaten",
        ),
        violates=("Threatening a group with violence or death.",),
    ),
    Concept(
        key=labels.HATE_RACE,
        ids=("ZRA",),
        names=("Attacks on a Race", "Hate of Skin Colour", "Racist Content"),
        definitions=(
            "attacks on people because of their race or skin colour",
            "hate and contempt for black people, Asian people or another race",
        ),
        violates=("Insulting people for their race.",),
    ),
    Concept(
        key=labels.HATE_RELIGION,
        ids=("ZRE",),
        names=("Attacks on Religion", "Hate against Believers", "Hate of Muslims and Jews"),
        definitions=(
            "hate or threats against members of a faith, for instance Jews or Muslims",
            "people are attacked because of their religion",
        ),
        violates=("Contempt for members of a faith.",),
    ),
    Concept(
        key=labels.HATE_ORIGIN,
        ids=("ZOR",),
        names=("Immigrants Attacked", "Hate against a Nation", "Foreigners Insulted"),
        definitions=(
            "hate against foreigners, refugees or people of a nation",
            "people are attacked because of the country they are from",
        ),
        violates=("Contempt for immigrants or refugees.",),
    ),
    Concept(
        key=labels.HATE_GENDER,
        ids=("ZGE",),
        names=("Women Attacked for Their Sex", "Women Hated", "Hatred for a Sex"),
        definitions=(
            "hatred of women, or attacks on them for their sex",
            "women insulted or threatened because they are women",
        ),
        violates=("Hatred of women as women.",),
    ),
    Concept(
        key=labels.HATE_IDENTITY,
        ids=("ZID",),
        names=("Attacks on Trans People", "Trans People Insulted", "Contempt for Gender Identity"),
        definitions=(
            "insults, threats or contempt for trans people",
            "hate for a gender identity and those who have it",
        ),
        violates=("Mocking trans people.",),
    ),
    Concept(
        key=labels.HATE_ORIENTATION,
        ids=("ZSO",),
        names=("Attacks on Gay People", "Contempt for Orientation", "Gay People Insulted"),
        definitions=(
            "insults or threats against gay and bisexual people",
            "hate for somebody's sexual orientation",
        ),
        violates=("Insulting gay people or lesbians.",),
    ),
    Concept(
        key=labels.HATE_DISABILITY,
        ids=("ZDI",),
        names=("Attacks on the Disabled", "Disabled People Mocked", "Contempt for Illness or Disability"),
        definitions=(
            "people are mocked or attacked because they are disabled",
            "contempt for people with a disability or an illness",
        ),
        violates=("Insults to disabled people.",),
    ),
    Concept(
        key=labels.ABUSE_SEXUAL,
        ids=("XSX",),
        names=("Sex Talk to the Bot", "Wanting Sex from the Assistant", "Dirty Talk to the Bot"),
        definitions=(
            "the user asks the bot for sex or makes sexual remarks",
            "sexual messages to the one who answers",
        ),
        violates=("Dirty remarks to the assistant.",),
    ),
    Concept(
        key=labels.ABUSE_SEXIST,
        ids=("XSE",),
        names=("Slurs for a Female Bot", "Bot Insulted as a Woman", "Sexist Words to the Assistant"),
        definitions=(
            "insults to the bot that treat it as a bad woman",
            "the user calls the one who answers by slurs for women",
        ),
        violates=("Slurs for women, said to the bot.",),
    ),
    Concept(
        key=labels.ABUSE_INTELLECT,
        ids=("XIN",),
        names=("Bot Called Stupid", "Insulting the Assistant's Mind", "The Assistant as an Idiot"),
        definitions=(
            "the bot is called an idiot, useless or not clever",
            "the user mocks the assistant for how little it knows",
        ),
        violates=("Calling the assistant an idiot.",),
    ),
)
