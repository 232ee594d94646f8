"""Benign chat messages: rows of our own, for training only.

The sets hold posts that were collected because some of them are abusive, so a model learns that strong words, shouting
and talk of death or blood are evidence, and that what it has never met is suspect. Everyday talk of games, work, shops,
food, sport, news and sorrow, added to the training rows, says otherwise. What is known of each: it is not hateful,
uncivil, toxic, abusive, sexist or spam. The sentences were written for this project; none stands in the hard
negatives, in the demonstration or in the identity templates (a test compares them).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Final

from worker.train.data.own import benign, different
from worker.train.data.rows import Row

SOURCE: Final = "benign_chat"
ROWS: Final = 5_000
_SLOT: Final = re.compile(r"\{(\w+)\}")
_SHOUTED: Final = 0.08
_SMALL: Final = 0.4

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "foe": ("dragon", "troll", "goblin", "warden", "spider queen", "last boss", "zombie", "bandit", "golem"),
    "weapon": ("bow", "hammer", "sniper", "axe", "fire spell", "shotgun", "dagger", "staff", "crossbow", "sword"),
    "map": ("swamp", "castle", "desert", "old mine", "harbour", "ice cave", "arena", "forest", "bridge"),
    "gear": ("helmet", "boots", "shield", "cape", "ring", "potion", "mount", "key", "skin", "armour"),
    "fault": ("lag", "camera", "patch", "menu", "login", "sound", "update", "frame rate", "microphone", "save file"),
    "job": ("report", "invoice", "budget", "slides", "contract", "audit", "roster", "minutes", "tender", "handover"),
    "mate": ("Priya", "Tom", "Amal", "Chen", "Olga", "Kofi", "Marta", "Yusuf", "Grace", "Leon", "Noor", "Sven"),
    "kin": ("mum", "dad", "sister", "brother", "aunt", "grandpa", "cousin", "daughter", "son", "wife", "husband"),
    "day": ("Monday", "Tuesday", "Thursday", "Friday", "Sunday", "tomorrow", "next week", "tonight", "in the morning"),
    "food": ("soup", "bread", "curry", "lamb", "pie", "noodles", "beans", "cake", "stew", "pancakes", "dumplings"),
    "tool": ("knife", "blender", "oven", "pan", "grater", "pot", "whisk", "grill", "toaster", "kettle"),
    "ware": ("jacket", "kettle", "phone case", "lamp", "tent", "keyboard", "pair of shoes", "chair", "printer", "rug"),
    "price": ("nine euros", "twenty dollars", "half the price", "a bit too much", "what we agreed", "the usual"),
    "team": ("reds", "harbour boys", "city side", "juniors", "visitors", "rovers", "school team", "women's team"),
    "ache": ("knee", "back", "shoulder", "tooth", "ankle", "throat", "wrist", "head", "stomach"),
    "town": ("Leeds", "Lagos", "Porto", "Austin", "Delhi", "Oslo", "Cairo", "Quito", "Perth", "Gdansk"),
    "pet": ("cat", "dog", "parrot", "rabbit", "hamster", "horse", "goldfish", "kitten", "puppy"),
    "course": ("maths", "history", "biology", "French", "chemistry", "drawing", "physics", "music"),
    "deed": ("robbery", "attack", "shooting", "fire", "crash", "stabbing", "riot", "flood", "explosion", "kidnapping"),
    "song": ("song", "album", "video", "playlist", "trailer", "episode", "podcast", "book", "comic"),
}  # fmt: skip
_SENTENCES: Final = (
    # Games: what is killed there is pixels.
    "I killed the {foe} with a {weapon} on my first try",
    "the {foe} murdered our whole group again, one more run?",
    "shoot the {foe} in the head, it has less armour there",
    "who wants to raid the {map} on {day}?",
    "you can destroy the {gear} and get the parts back",
    "we got slaughtered at the {map}, they had a better {weapon}",
    "{mate} died at the {map}, wait for the respawn",
    "burn the bodies before the {foe} comes back",
    "is the {gear} worth it or should I save for the {weapon}?",
    "trading a {gear} for a {weapon}, any takers?",
    "my {fault} is broken since the last patch, anyone else?",
    "the {fault} drives me crazy, it happens every evening",
    "can somebody craft a {gear} for me? I bring the iron",
    "nice shot {mate}, right between the eyes of that {foe}",
    "stab it from behind, then run to the {map}",
    "we will bomb the gate while {mate} holds the {map}",
    "how do I get past the {foe} in the {map}?",
    "first kill with the new {weapon}, so happy",
    "meet me at the {map}, bring the {gear}",
    "sell the {weapon}, the {gear} is better for your level",
    "they nerfed the {weapon} and now nobody plays it",
    "that {foe} is impossible, I gave up after ten tries",
    "does this run on an old laptop? my {fault} is terrible",
    "gg all, see you {day}",
    "good game, the {map} was close",
    # Work.
    "can you send me the {job} before {day}?",
    "the {job} is late because {mate} was ill",
    "I hate writing the {job}",
    "{mate} did a great job with the {job}",
    "let us kill this feature and ship the {job} {day}",
    "who signs off the {job}, {mate} or me?",
    "sorry, wrong file, the right {job} is attached",
    "the meeting moved to {day}, same room",
    "please do not delete my lines in the {job}",
    "I disagree with {mate} about the {job}, but the idea is fair",
    "this deadline will be the death of me",
    "thanks {mate}, that saved my day",
    "my screen froze in the middle of the {job}",
    "the server is dead, call {mate}",
    # Shops and service.
    "my {ware} arrived broken, how do I return it?",
    "the {ware} is smaller than in the picture",
    "I want my money back",
    "very disappointed, the {ware} stopped after a week",
    "is the {ware} still for sale?",
    "would you take {price} for it?",
    "best {ware} I ever bought",
    "your parcel service left my {ware} in the rain",
    "this is the third time I write to you",
    "the {ware} costs {price}, delivery is free",
    "can I pick up the {ware} {day}?",
    "worst {ware} ever, do not buy it",
    "how long is the guarantee on the {ware}?",
    "the shop in {town} has it for {price}",
    "where is my order??",
    # Home, food, pets.
    "beat the eggs, then add them to the {food}",
    "chop the onions and throw them in the {tool}",
    "my {tool} is on fire!",
    "my {kin} makes the best {food}",
    "I burnt the {food} again",
    "kill the heat and let the {food} rest",
    "whip the cream until it is stiff, then onto the {food}",
    "bleed the meat well before it goes in the {tool}",
    "what do you eat with {food}?",
    "smash the garlic with the flat of the {tool}",
    "this {food} is to die for",
    "our {pet} got sick on the carpet",
    "the {pet} bit {mate}, but it is only a scratch",
    "happy birthday to my {kin}!",
    "my {kin} is coming {day}, I have to clean",
    "the {pet} is hiding under the bed because of the storm",
    "I miss my {kin} so much",
    "my {kin} and I had a fight about the dishes",
    "we are having {food} {day}, come over",
    # Sport.
    "the {team} got crushed {day}",
    "what a strike, the {team} deserved it",
    "we will destroy the {team} {day}, come and watch",
    "{mate} shot from the line and hit the post",
    "their keeper is a beast",
    "the ref missed a clear foul on {mate}",
    "I am dead after that training",
    "attack on the left, they are weak there",
    "the {team} fought until the last minute",
    "my {ache} hurts, I cannot play {day}",
    "who do you think wins, the {team} or the {team}?",
    "train hard, no pain no gain",
    # Health and sorrow.
    "my {ache} is killing me today",
    "the doctor cut out the stitches in my {ache}",
    "blood test on {day}, wish me luck",
    "they will operate on my {kin} {day}",
    "my {kin} passed away last night",
    "so sorry for your loss, {mate}",
    "thinking of you and your {kin}",
    "we lost our {pet} this morning and I cannot stop crying",
    "the pills make me sick",
    "she is fighting the illness bravely",
    "is it normal that the {ache} swells after the injection?",
    "the nurse was rude to my {kin}, but the care was good",
    "I feel low today",
    "get well soon, {mate}",
    # News and the world.
    "police are looking for witnesses of the {deed} in {town}",
    "two people died in the {deed} near {town}",
    "the trial about the {deed} begins {day}",
    "after the {deed} in {town} stay away from the centre",
    "he was jailed for the {deed} in {town}",
    "thousands marched against violence in {town}",
    "the vote is on {day}",
    "I read about the {deed}, how awful",
    "the army was sent to {town} after the {deed}",
    "new law against hate speech passed",
    "a woman from {town} survived the {deed}",
    "no one was hurt in the {deed}",
    "the minister visits {town} {day}",
    # School, travel, music, small talk.
    "I failed my {course} test",
    "{course} homework is torture",
    "who has notes from {course}?",
    "our {course} teacher rocks",
    "that exam killed me",
    "can you explain the last task in {course}?",
    "my {kin} studies {course} in {town}",
    "the train to {town} is late again",
    "is it safe to walk in {town} at night?",
    "we fly to {town} {day}",
    "any tips for {town}?",
    "the bus driver in {town} was very kind",
    "it rains cats and dogs in {town}",
    "this {song} slaps",
    "I cried at the end of the {song}",
    "that {song} is wicked",
    "have you heard the new {song}?",
    "the {song} made me laugh so hard I nearly died",
    "best {song} of the year",
    "hello everyone",
    "good night all",
    "how are you doing {mate}?",
    "lol same here",
    "no idea what you mean, say it again?",
    "haha you got me there",
    "I do not think so",
    "yes, exactly that",
    "could you repeat that please",
    "what time is it in {town}?",
    "me too!",
    "that is none of my business",
    "I changed my mind",
    "you were right, I was wrong",
    "stop it, I am laughing too hard",
    "why did you leave so early {day}?",
    "you played really well",
    "please answer when you are back",
    "ok, thanks a lot",
    "I am so mad at myself",
    "my phone is dead, write to {mate}",
    "you are killing it, {mate}!",
    "break a leg {day}!",
    "over my dead body will I eat that {food}",
    "let us bury the hatchet, {mate}",
    "that joke was so bad",
    "do you like me?",
    "are you a robot?",
    "tell me something about {town}",
    "what can you do?",
    "I love talking to you",
    "you are funny",
    "who made you?",
    "I don't understand your answer",
    "that did not help, try again",
    "can you play a {song}?",
)


def rows(count: int = ROWS, seed: int = 1) -> list[Row]:
    """Return benign rows, each a different text; all of a seed are the same every time.

    Raises:
        ValueError: there are not so many sentences.

    """
    rng = random.Random(seed)
    texts = different(count, lambda number: _spelt(rng, _filled(rng, _SENTENCES[number % len(_SENTENCES)])))
    return benign(SOURCE, texts)


def _filled(rng: random.Random, sentence: str) -> str:
    return _SLOT.sub(lambda slot: rng.choice(_WORDS[slot[1]]), sentence)


def _spelt(rng: random.Random, text: str) -> str:
    """Write as chats do: some in small letters, a few shouted, the others with a capital, a stop or neither."""
    drawn = rng.random()
    if drawn < _SHOUTED:
        return text.upper()
    if drawn < _SHOUTED + _SMALL:
        return text.lower()
    text = text[:1].upper() + text[1:]
    return text if text[-1] in "?!" else text + rng.choice(("", ".", ".", "!"))
