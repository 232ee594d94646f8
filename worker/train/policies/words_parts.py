"""Training words for the parts of concepts, with which definitions are narrowed. Data, no code."""

from __future__ import annotations

from typing import Final

from worker.train.data import labels
from worker.train.policies.concept import Concept

PARTS_IN_WORDS: Final = (
    Concept(
        key=labels.SEXISM_THREATS,
        ids=("STH", "WT"),
        names=("Threats against Women", "Violence against Women", "Calls to Harm Women"),
        definitions=(
            "threats of harm to women, or calls to harm them",
            "wishing that women are hurt, raped or killed",
            "texts that threaten women with violence or support it",
            "plans or wishes to hurt women",
        ),
        violates=("Wishing violence on women.", "Threatening a woman with rape or death."),
    ),
    Concept(
        key=labels.SEXISM_DEROGATION,
        ids=("SDE", "WD"),
        names=("Contempt for Women", "Insults against Women", "Degrading Women"),
        definitions=(
            "attacks that call women bad, stupid, ugly or worthless",
            "contempt for women, described as lower than men or as objects",
            "strong insults against women as women",
            "women are degraded or treated as things",
        ),
        violates=("Calling women stupid, ugly or worthless.", "Treating women as objects."),
    ),
    Concept(
        key=labels.SEXISM_ANIMOSITY,
        ids=("SAN", "WS"),
        names=("Everyday Sexism", "Sexist Stereotypes and Slurs", "Casual Sexism"),
        definitions=(
            "casual slurs and stereotypes about women",
            "gendered swear words used in passing, and ideas of what women are like",
            "everyday sexism: slurs, stereotypes, false praise, unwanted advice",
            "mild but sexist remarks, without threats and open contempt",
        ),
        violates=("Gendered swear words in passing.", "Saying how all women are."),
    ),
    Concept(
        key=labels.SEXISM_PREJUDICE,
        ids=("SPR", "WP"),
        names=("Support of Discrimination against Women", "Denying Women Rights", "Prejudice against Women"),
        definitions=(
            "support for bad treatment of women, or for denying them rights",
            "saying that discrimination of women is right, or that it does not exist",
            "opinions that defend unequal treatment of women",
            "arguments against equal rights of women and against feminism",
        ),
        violates=("Denying that women are treated unfairly.", "Defending a man who mistreated a woman."),
    ),
    Concept(
        key=labels.SEXISM_SLURS,
        ids=("SSL", "WX"),
        names=("Gendered Slurs", "Slurs for Women", "Dirty Words for Women"),
        definitions=(
            "casual use of gendered slurs and swear words for women",
            "women called by dirty names in passing",
            "a slur for women, used without much thought",
            "insulting names for a woman, said in passing",
        ),
        violates=("Calling a woman by a slur.", "Dirty names for women."),
    ),
    Concept(
        key=labels.SEXISM_STEREOTYPES,
        ids=("SST", "WR"),
        names=("Gender Stereotypes", "Stereotypes of Women", "Ideas of Women's Nature"),
        definitions=(
            "stereotypes of what women are like or are made for",
            "saying that women and men differ by nature and must do different things",
            "claims that all women want or do the same",
            "ideas of what is natural for a woman",
        ),
        violates=("Saying what women are like by nature.", "Claiming that all women want the same."),
    ),
    Concept(
        key=labels.HATE_DEROGATION,
        ids=("HDE", "GD"),
        names=("Insults against Groups", "Contempt for a Group", "Degrading a Group"),
        definitions=(
            "strong insults against a group, or saying that it is bad or worth less",
            "open contempt for a group of people",
            "a group is called disgusting, stupid, evil or lower",
            "direct attacks on a group in words",
        ),
        violates=("Calling a group disgusting or evil.", "Saying that a group is worth less."),
    ),
    Concept(
        key=labels.HATE_ANIMOSITY,
        ids=("HAN", "GA"),
        names=("Hidden Hate", "Mocking a Group", "Veiled Prejudice"),
        definitions=(
            "veiled hate: mocking, stereotypes and hints against a group",
            "prejudice against a group without open insults",
            "jokes and stereotypes at the cost of a group",
            "indirect or mild hostility against a group",
        ),
        violates=("Jokes at the cost of a group.", "Hints that a group is bad."),
    ),
    Concept(
        key=labels.HATE_DEHUMANISING,
        ids=("HDH", "GH"),
        names=("Dehumanising Language", "People as Animals", "Denying Humanity"),
        definitions=(
            "a group is compared to animals, dirt or disease",
            "people described as if they were not human",
            "calling a group rats, pigs, monkeys or trash",
            "words or pictures that take a group's humanity away",
        ),
        violates=("Comparing a group to animals.", "Calling people trash or a disease."),
    ),
    Concept(
        key=labels.HATE_THREATS,
        ids=("HTH", "GT"),
        names=("Threats against Groups", "Calls for Violence against a Group", "Violent Hate"),
        definitions=(
            "threats of violence against a group, or calls for it",
            "wishing death or harm on people for what they are",
            "texts that want a group killed, beaten or driven out",
            "support for harm to a group of people",
        ),
        violates=("Wishing death on a group.", "Calls to beat or kill people for what they are."),
    ),
    Concept(
        key=labels.HATE_RACE,
        ids=("HRA", "RC"),
        names=("Racism", "Hate for Race", "Racial Hate"),
        definitions=(
            "hate against people for their race or skin",
            "racist attacks on black, Asian or other people",
            "contempt for people of another skin colour",
            "a race is insulted or called lower",
        ),
        violates=("Attacking people for their skin.", "Racist slurs."),
    ),
    Concept(
        key=labels.HATE_RELIGION,
        ids=("HRE", "FA"),
        names=("Hate for Religion", "Religious Hate", "Attacks on a Faith's Members"),
        definitions=(
            "hate against people for their faith, such as Muslims or Jews",
            "attacks on Muslims, Jews or members of another religion",
            "contempt for people because of what they believe",
            "members of a religion are insulted or threatened",
        ),
        violates=("Attacking Muslims or Jews.", "Insults against believers."),
    ),
    Concept(
        key=labels.HATE_ORIGIN,
        ids=("HOR", "NA"),
        names=("Hate for Origin", "Hate against Immigrants", "Hate against Foreigners"),
        definitions=(
            "hate against people for the country they come from",
            "attacks on immigrants, refugees or foreigners",
            "contempt for a nation and its people",
            "people from another country are insulted or told to leave",
        ),
        violates=("Telling immigrants to go home.", "Insulting people of another country."),
    ),
    Concept(
        key=labels.HATE_GENDER,
        ids=("HGE", "GE"),
        names=("Hate against Women as a Group", "Hate for Sex", "Hatred of Women"),
        definitions=(
            "hate against women for being women",
            "attacks on women as a group",
            "hatred aimed at people for their sex",
            "women are attacked, hated or called less than human",
        ),
        violates=("Attacking women as a group.", "Hatred for somebody's sex."),
    ),
    Concept(
        key=labels.HATE_IDENTITY,
        ids=("HID", "TR"),
        names=("Hate against Trans People", "Transphobia", "Hate for Gender Identity"),
        definitions=(
            "any hate against trans people",
            "attacks on people for their gender identity",
            "contempt for people who changed their gender",
            "trans people are mocked, insulted or threatened",
        ),
        violates=("Insulting trans people.", "Denying that trans people are who they are."),
    ),
    Concept(
        key=labels.HATE_ORIENTATION,
        ids=("HSO", "OR"),
        names=("Homophobia", "Hate against Gay People", "Hate for Orientation"),
        definitions=(
            "hate against gay people, lesbians or bisexuals",
            "attacks on people for whom they love",
            "homophobic insults and threats",
            "contempt for people because of their sexual orientation",
        ),
        violates=("Homophobic slurs.", "Attacking people for whom they love."),
    ),
    Concept(
        key=labels.HATE_DISABILITY,
        ids=("HDI", "DI"),
        names=("Hate against Disabled People", "Mocking Disability", "Hate for Disability"),
        definitions=(
            "any hate against disabled people",
            "attacks on people for a disability or an illness",
            "mocking people who are blind, deaf, autistic or in a wheelchair",
            "contempt for the disabled",
        ),
        violates=("Mocking a disability.", "Calling disabled people worthless."),
    ),
    Concept(
        key=labels.ABUSE_SEXUAL,
        ids=("ASX", "SH"),
        names=("Sexual Harassment", "Sexual Remarks", "Sexual Messages to the Bot"),
        definitions=(
            "sexual remarks to the one who answers, or asking for sex",
            "sexual harassment of the assistant",
            "dirty messages that want sex with the bot",
            "the user talks sex to the assistant",
        ),
        violates=("Asking the assistant for sex.", "Sexual words for the bot's body."),
    ),
    Concept(
        key=labels.ABUSE_SEXIST,
        ids=("ASE", "SI"),
        names=("Sexist Abuse", "Abuse of the Bot as a Woman", "Sexist Insults"),
        definitions=(
            "sexist insults to the one who answers",
            "the user abuses the bot as a woman",
            "abuse of the assistant with slurs for women",
            "the assistant is treated badly as if it were a woman",
        ),
        violates=("Calling the assistant by a slur for women.", "Sexist insults to the bot."),
    ),
    Concept(
        key=labels.ABUSE_INTELLECT,
        ids=("AIN", "ST"),
        names=("Insulting Intelligence", "Calling the Bot Stupid", "Insults to the Bot's Mind"),
        definitions=(
            "insults to the intelligence of the one who answers",
            "the user calls the bot stupid, dumb or useless",
            "saying that the assistant is an idiot or knows nothing",
            "abuse that mocks how clever the bot is",
        ),
        violates=("Calling the bot dumb or useless.", "Saying that the assistant knows nothing."),
    ),
)
