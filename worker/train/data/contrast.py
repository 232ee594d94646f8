"""Attacks and scams beside kind and honest sentences of the same words: rows of our own, for training only.

Benign sentences about groups take the evidence out of a group's name, and alone they also teach that whoever names one
is harmless: a model that learnt from 8,000 of them overlooked most attacks in everyday chat (``train/README.md``).
So each family holds both sides, in about the same words, and only what is said of the people, or asked for, tells them
apart (contrast sets: Gardner et al. 2020, "Evaluating Models' Local Decision Boundaries via Contrast Sets"). The
sentences were written for this project; none stands in the demonstration or in what measures (a test compares them).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from worker.train.data.labels import ABUSE, CIVILITY, HATE, SEXISM, SPAM, TOXICITY, close
from worker.train.data.own import different
from worker.train.data.rows import Row

SOURCE: Final = "own_contrast"
ROWS: Final = 6_000
_SLOT: Final = re.compile(r"\{(\w+)\}")
_SMALL: Final = 0.5
_NOTHING: Final = dict.fromkeys((HATE, CIVILITY, TOXICITY, ABUSE, SEXISM, SPAM), False)

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "group": (
        "Muslims", "Jews", "Christians", "Hindus", "Sikhs", "Catholics", "atheists", "immigrants", "refugees", "Arabs",
        "black people", "white people", "Asians", "Mexicans", "Africans", "Latinos", "Koreans", "Poles", "Turks",
        "Somalis", "Brazilians", "Pakistanis", "gay people", "lesbians", "trans people", "bisexual people",
        "disabled people", "blind people", "deaf people", "wheelchair users", "autistic people", "old people", "Roma",
        "people from abroad", "people from the south", "people from the mountains", "newcomers", "migrants",
        "people of that faith", "people with dark skin", "asylum seekers", "Nigerians", "highlanders", "lowlanders",
    ),
    "woman": ("women", "girls", "females", "ladies", "wives", "female players", "female drivers", "female bosses"),
    "place": ("server", "town", "club", "guild", "country", "school", "channel", "team", "street", "company", "lobby"),
    "game": ("match", "raid", "game", "season", "tournament", "event", "party", "project", "meeting", "lesson"),
    "pest": ("vermin", "rats", "parasites", "cockroaches", "pigs", "apes", "a disease", "filth", "scum", "leeches"),
    "good": ("good neighbours", "clever players", "kind hosts", "patient teachers", "fine cooks", "brave firefighters"),
    "task": ("drive", "lead", "shoot straight", "do maths", "run a company", "build anything", "referee", "code"),
    "chore": ("the kitchen", "the laundry", "cooking", "cleaning", "raising kids", "making sandwiches"),
    "ware": ("phone", "laptop", "holiday", "gift card", "watch", "console", "camera", "voucher", "car", "TV"),
    "money": ("500", "1000", "2,000", "750", "10,000", "250", "5000", "900"),
    "cash": ("pounds", "dollars", "euros", "coins", "in cash", "a week", "a month", "in credit"),
    "hours": ("24 hours", "two days", "tonight", "ten minutes", "an hour", "a week"),
    "shop": ("http://deal.example", "http://win.example", "www.cheap.example", "http://gift.example", "our page"),
    "number": ("0909 112 3434", "0800 555 0199", "0871 222 4545", "80082", "the number below"),
    "mate": ("Priya", "Tom", "Amal", "Olga", "Kofi", "Marta", "Yusuf", "Grace", "Noor", "Sven", "my brother"),
    "day": ("Monday", "Friday", "tomorrow", "next week", "on Sunday", "this evening"),
}  # fmt: skip


class Family(Struct, frozen=True):
    """Sentences of one label; ``known`` says which."""

    known: dict[str, bool]
    sentences: tuple[str, ...]


_ATTACKS: Final = (
    "{group} are {pest}",
    "all {group} are {pest}, everybody knows it",
    "{group} are {pest} and they should leave this {place}",
    "get the {group} out of our {place}",
    "keep {group} out of the {place}, they ruin every {game}",
    "no {group} in this {place}, ever",
    "I can't stand {group}, not one of them",
    "I hate {group}",
    "I hate all {group}, send them away",
    "{group} are too stupid to {task}",
    "{group} can't {task}, it's in their blood",
    "{group} are worth less than the rest of us",
    "{group} are not really human",
    "we should ban {group} from the {place} for good",
    "someone should get rid of {group}",
    "I wish {group} would just disappear",
    "{group} are lazy and they all steal",
    "never trust {group}, they lie and cheat",
    "{group} are dirty, don't sit beside them",
    "{group} deserve to be beaten",
    "{group} only bring crime to this {place}",
    "why are {group} even allowed in this {place}, disgusting",
    "of course we lost the {game}, half of them are {group}",
    "{group} control everything in this {place}, time to throw them out",
    "would never hire {group}, they are all lazy",
    "a {place} full of {group} is a ruined {place}",
    "those {group} breed like {pest}",
    "{group} should not be allowed to vote or {task}",
    "{group} smell and they have no manners",
    "the only good thing about {group} is when they leave",
    "you are right, {group} are {pest}",
    "{group} belong behind a fence",
)
_KIND: Final = (
    "{group} are {good}",
    "all {group} I know are {good}, everybody likes them",
    "{group} are welcome in this {place}",
    "I love how {group} brought life to our {place}",
    "keep the {place} open for {group}, they make every {game} better",
    "many {group} in this {place}, and we get on well",
    "I can't stand people who insult {group}",
    "I hate it when {group} are treated badly",
    "{group} taught me how to {task}",
    "{group} can {task} as well as anyone",
    "{group} are worth as much as the rest of us",
    "nobody should be banned from the {place} because they are {group}",
    "someone should help {group} to find the {place}",
    "{group} are neither lazy nor dishonest, stop saying that",
    "trust {group} as you trust anyone",
    "calling {group} {pest} is wrong",
    "he was banned because he said that {group} are {pest}",
    "{group} bring new shops and music to this {place}",
    "of course we won the {game}, half of the team are {group}",
    "would hire {group} like anyone else, if they can {task}",
    "{group} should be allowed to vote, like all of us",
    "the best thing about the {game} was meeting {group}",
    "are there {group} in this {place}? I would like to learn the language",
    "how many {group} live in this {place}?",
    "{group} and the rest of the {place} clean the park together",
    "{mate} works with {group} and tells good stories",
    "the news says that {group} were attacked in that {place}, how sad",
    "respect for the {group} in our {place}",
)
_SEXIST: Final = (
    "{woman} can't {task}",
    "{woman} belong in the {place}? no, they belong to {chore}",
    "{woman} should stick to {chore}",
    "no {woman} in this {place}, they are useless",
    "{woman} are too emotional to {task}",
    "{woman} only get far because men help them",
    "why do {woman} even play, go back to {chore}",
    "{woman} are worthless in every {game}",
    "never let {woman} {task}",
    "{woman} lie, all of them",
    "{woman} are only good for {chore}",
    "{woman} should obey their men",
    "a {place} led by {woman} is a joke",
    "{woman} ruin every {game}, kick them",
    "{woman} are stupid, that's how nature made them",
    "{woman} don't deserve the same pay",
)
_FAIR: Final = (
    "{woman} can {task} as well as men",
    "{woman} won the {game} this year",
    "the {woman} in our {place} are {good}",
    "more {woman} in this {place} would be nice",
    "{woman} should be paid the same",
    "my {place} is led by {woman} and it works well",
    "do {woman} play in this {place}, too?",
    "saying that {woman} can't {task} is nonsense",
    "nobody should send {woman} back to {chore}",
    "the {woman} of the {place} share {chore} with the men",
    "{mate} coaches {woman} for the {game}",
    "{woman} and men queue at the same door",
)
_SCAMS: Final = (
    "You have won a {ware}! Call {number} now to claim it",
    "Congratulations, your number was drawn: {money} {cash}. Claim at {shop}",
    "FREE {ware} for the first hundred callers, dial {number}",
    "Earn {money} {cash} from home, no work needed, write to me now",
    "Double your money in {hours}, guaranteed, visit {shop}",
    "Your account will be closed in {hours}, confirm your card number at {shop}",
    "Claim your free {ware} now, just send your card details",
    "Hot deal! {ware} 90% off, only {hours} left, order at {shop}",
    "I made {money} {cash} with this trick, ask me how, {shop}",
    "Last chance to get your {ware} for nothing, reply WIN to {number}",
    "Send your password and get {money} coins for free",
    "You are our lucky visitor, a {ware} is waiting at {shop}",
    "Urgent: pay the small fee at {shop} and your prize of {money} {cash} is released",
    "Cheap followers and likes, {money} for a few {cash}, {shop}",
    "Text YES to {number} and win a {ware} every week",
    "Invest {money} {cash} today, get ten times as much in {hours}",
    "Buy cheap pills and watches at {shop}, limited stock",
    "Loan of {money} {cash} without any check, call {number}",
)
_HONEST: Final = (
    "I won a {ware} at the school fair {day}",
    "is the {ware} still for sale? I could pick it up {day}",
    "the {ware} costs {money} {cash}, is that too much?",
    "can I pay for the {ware} by card when I collect it?",
    "{mate} earned {money} {cash} with the summer job",
    "your order of the {ware} arrives {day}",
    "please call {mate} about the {ware} {day}",
    "the free trial ends {day}, then it is {money} {cash}",
    "I claim the last piece of cake",
    "selling my old {ware}, small scratch, {money} or best offer",
    "which shop has the {ware} in stock?",
    "my account was closed by mistake, who can help?",
    "never send your card number to anyone in chat",
    "that message about a free {ware} is a scam, don't click",
    "we won the {game}, drinks are on {mate}",
    "the {ware} broke after {hours}, can I get my money back?",
    "{mate} lost {money} {cash} to a scam, how sad",
    "call me in {hours}, then I know more about the {ware}",
)
FAMILIES: Final = (
    Family({HATE: True, TOXICITY: True, SEXISM: False, SPAM: False}, _ATTACKS),
    Family(_NOTHING, _KIND),
    # Who demeans people for their sex attacks a group, as policies about hate put it.
    Family({SEXISM: True, HATE: True, TOXICITY: True, SPAM: False}, _SEXIST),
    Family(_NOTHING, _FAIR),
    Family({SPAM: True, HATE: False, CIVILITY: False, SEXISM: False}, _SCAMS),
    Family(_NOTHING, _HONEST),
)


def rows(count: int = ROWS, seed: int = 1) -> list[Row]:
    """Return rows of all families in turns, each a different text; all of a seed are the same every time.

    Raises:
        ValueError: there are not so many sentences.

    """
    rng = random.Random(seed)
    texts = different(count, lambda number: _spelt(rng, _filled(rng, rng.choice(_family(number).sentences))))
    return [_row(place, text, _family(number)) for place, (text, number) in enumerate(texts.items())]


def _family(number: int) -> Family:
    return FAMILIES[number % len(FAMILIES)]


def _row(number: int, text: str, family: Family) -> Row:
    place = f"{SOURCE}:{number}"
    return Row(source=SOURCE, place=place, text=text, known=close(family.known), group=place)


def _filled(rng: random.Random, sentence: str) -> str:
    """Fill each slot; the same slot of a sentence gets the same word."""
    chosen = {name: rng.choice(_WORDS[name]) for name in dict.fromkeys(_SLOT.findall(sentence))}
    return _SLOT.sub(lambda slot: chosen[slot[1]], sentence)


def _spelt(rng: random.Random, text: str) -> str:
    """Write half as chats do, in small letters; the others with a capital, and a stop, a sign or neither."""
    if rng.random() < _SMALL:
        return text.lower()
    text = text[:1].upper() + text[1:]
    return text if text[-1] in "?!" else text + rng.choice(("", ".", ".", "!"))
