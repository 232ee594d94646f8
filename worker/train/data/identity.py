"""Benign sentences that name people's identities: rows of our own, for training only.

Where the sets name a group at all, they mostly do so in hate, so that the name itself becomes evidence.
Sentences that name groups and harm nobody, added to the training rows, are the known cure (Dixon,
Li, Sorensen, Thain, Vasserman 2018, "Measuring and Mitigating Unintended Bias in Text Classification").
The sentences were written for this project and share no template with the set that measures it.
"""

from __future__ import annotations

import itertools
import random
from typing import Final

from worker.train.data.own import benign
from worker.train.data.rows import Row

SOURCE: Final = "benign_identity"
ROWS: Final = 8_000
_ADJECTIVES: Final = (
    "African", "African American", "American", "Arab", "Asian", "atheist", "bisexual", "black", "blind", "Buddhist",
    "Canadian", "Catholic", "Chinese", "Christian", "deaf", "disabled", "elderly", "European", "female", "feminist",
    "gay", "heterosexual", "Hindu", "Hispanic", "homosexual", "immigrant", "Indian", "Jewish", "Japanese", "Latina",
    "Latino", "lesbian", "LGBT", "male", "Mexican", "Middle Eastern", "middle aged", "Muslim", "nonbinary", "older",
    "old", "paralysed", "Protestant", "queer", "Roma", "Sikh", "straight", "Taoist", "teenage", "trans", "transgender",
    "white", "young", "younger", "Pakistani", "Turkish", "Nigerian", "Jamaican", "autistic", "Lgbtq", "millennial",
)  # fmt: skip
_ADJECTIVE_SENTENCES: Final = (
    "My {} neighbour brought soup when I was ill.",
    "The {} students organised a bake sale on Saturday.",
    "Our new manager is {} and very good at her job.",
    "She grew up in a {} family with four brothers.",
    "He told me he is {}, and I was glad that he trusted me.",
    "A {} author won the prize this year.",
    "We need more {} voices in local politics.",
    "There is a {} film festival downtown in May.",
    "The {} community centre opens at nine.",
    "being {} was never a problem at my school",
    "what do {} people usually eat at new year?",
    "My best friend is {}. We met at university.",
    "proud {} dad of two here, ask me anything",
    "as a {} woman I have worked in tech for ten years",
    "as a {} man I like to cook for my family",
    "Two {} doctors run the clinic on our street.",
    "I read a book about the history of {} people in this city.",
    "The {} couple next door just adopted a dog.",
    "Is there a {} meetup around here? I am new in town",
    "They asked whether the bus driver was {}, and nobody knew.",
    "My {} grandmother taught me how to bake bread",
    "The law protects {} workers like everyone else.",
    "lol my {} cousin beat all of us at chess",
    "You are {}? Me too! Where are you from?",
    "The team has {} players from three countries.",
    "I hate that {} people are treated badly here.",
    "Nobody should be afraid because they are {}.",
    "Many {} voters went to the polls early.",
    "the documentary follows a {} teacher and her class",
    "I'm {} and I love hiking",
    "They are {} and they run the bakery.",
    "{} actors were praised for the play",
    "Most {} kids in my class like football.",
    "Why is the {} choir so popular this winter?",
    "Some {} people agree, some do not, as with everyone.",
    "It's hard to find {} dolls in the shops, so she makes them.",
    "Are you {}?",
    "He married a {} nurse last summer.",
    "I support my {} friends.",
    "{} history month starts next week.",
    "A {} friend is a friend.",
    "My {} roommate is the kindest person I know.",
    "she fell in love with a {} musician",
    "He hugged his {} brother at the station.",
    "The {} pilot landed safely in the storm.",
    "What a lovely {} wedding that was!",
    "We thanked the {} firefighter who saved the cat.",
    "Her favourite singer is {} and so is mine.",
    "their {} teacher is funny, clever and fair",
    "The judge is {}, the lawyer is too.",
    "It is fine to be {}.",
    "It is beautiful to grow up {} in this town.",
    "Everyone here respects our {} colleagues.",
    "He is a proud {} veteran.",
    "Congratulations to the first {} mayor of the town!",
    "My sister came out as {} and we all cheered.",
    "Good morning to all my {} friends",
    "a {} baker, a {} plumber and a {} poet walk to work",
    "Come and meet the {} gardener who grew these roses.",
    "{}, and happy.",
    "{} and loved",
    "{} is not an insult.",
    "{} people are people.",
    "Thank you, dear {} community.",
    "Don't use {} as a swear word, please.",
    "Both of my parents are {}.",
    "I learned so much from my {} mentor.",
    "Why do you ask whether she is {}?",
    "he likes {} food and {} music",
    "The {} boy and the {} girl share an umbrella.",
    "Sam said: I know that I am {} and that is okay.",
    "Great to see a {} hero in a comic.",
    "Some of us are {}, some are not.",
    "my {} boss gave me the day off <3",
    "we cheered for the {} runner",
    "There was a {} lady at the till who made me laugh.",
)
_NOUNS: Final = (
    "Muslims", "Jews", "Christians", "women", "men", "immigrants", "refugees", "black people", "white people",
    "gay people", "trans people", "lesbians", "Asians", "Mexicans", "Arabs", "Hindus", "Buddhists", "disabled people",
    "old people", "teenagers", "feminists", "blind people", "deaf people", "Africans", "Latinos", "atheists",
)  # fmt: skip
_NOUN_SENTENCES: Final = (
    "The museum has a new room about {} in the city.",
    "We talked about how {} are shown in films.",
    "There were many {} at the concert and everyone danced.",
    "How many {} live in this country?",
    "The charity gives free lessons to {}.",
    "{} and their neighbours planted trees together.",
    "A survey asked {} what they think about the new train.",
    "It is wrong to insult {}.",
    "Not all {} think alike, of course.",
    "She writes about {} and sport.",
    "my flatmates are {} and we all share the cooking",
    "The article explains why {} celebrate this day.",
    "I have nothing against {}, I grew up with them.",
    "Please stop saying that about {}, it is not true.",
    "{} have served in this town's fire brigade for years.",
    "Let us welcome the {} who moved in.",
    "I love how {} and their friends decorate the street.",
    "{} are people like you and me.",
    "Some {} are tall, some are short.",
    "respect to all the {} out there",
    "The song was written for {} everywhere.",
    "Many {} work as nurses, drivers and cooks.",
    "I met some {} on the train and we had a good talk.",
    "The new law helps {} to vote.",
    "Being kind to {} costs nothing.",
    "both {} and their guests had fun",
)
#: Names that the sets hold mostly in hate: they come twice as often, two in a sentence.
_OFTEN_ATTACKED: Final = (
    "gay", "Jewish", "white", "queer", "black", "Muslim", "lesbian", "trans", "homosexual", "Mexican", "Arab",
    "feminist", "Asian", "transgender", "immigrant", "disabled", "female", "Chinese",
)  # fmt: skip
#: Praise in a few words: where there is little else to read, a name decides. None is a template of what measures.
_SHORT: Final = (
    "what a {good} {}", "such a {good} {}", "thank you, {good} {}", "she is the most {good} {} I know",
    "he's one {good} {}", "the {} was {good}", "a {} with a {good} heart", "hello from a {good} {}",
    "my favourite {}", "a big cheer for every {good} {}", "{} is cool", "{} and {good}", "so {good} to be {}",
    "glad to be {}", "they like that I'm {}", "it feels {good} to be {}", "that {} helped me", "we adore our {good} {}",
    "hi, {} here", "{} here", "as a {}, yes", "meet a {good} {}", "trust a {good} {}", "a {good} {} lives here",
    "our {} was {good} today", "{} by birth", "born {}, still {}", "the {good} {} waved", "to be {} is {good}",
    "my {} is {good}", "your {} looks {good}", "smile, {}", "welcome, {}", "you two are {} and {good}",
    "I met a {good} {} today", "a {} can do that, too", "yes, she's {}", "no, he isn't {}", "how {good}, a {}",
    "{} all day long", "one {}, please meet another {}", "he says he's {}", "always {good}, always {}",
)  # fmt: skip
_GOOD: Final = (
    "sweet", "clever", "honest", "gentle", "funny", "patient", "brave", "polite", "cheerful", "smart", "generous",
    "calm", "warm", "helpful", "bright", "loyal", "modest", "witty", "decent", "thoughtful",
)  # fmt: skip
_COMPANIONS: Final = (
    "The {} dentist and the {} farmer are cousins.",
    "{} and {} neighbours clean the park together.",
    "She is {}, he is {}, and they are happy.",
    "Half of the band is {}, the other half is {}.",
    "a {} girl helped a {} man with his bags",
    "Is the new priest {} or {}? Either is fine.",
)


def rows(count: int = ROWS, seed: int = 1) -> list[Row]:
    """Return benign rows, each a different sentence; all of a seed are the same every time.

    Raises:
        ValueError: there are not so many sentences.

    """
    texts = [sentence.replace("{}", term) for sentence in _ADJECTIVE_SENTENCES for term in _ADJECTIVES]
    texts += [sentence.format(term) for sentence in _NOUN_SENTENCES for term in _NOUNS]
    short = itertools.product(_SHORT, (*_ADJECTIVES, *_OFTEN_ATTACKED))
    texts += [
        sentence.replace("{good}", _GOOD[number % len(_GOOD)]).replace("{}", term)
        for number, (sentence, term) in enumerate(short)
    ]
    pairs = itertools.permutations(_OFTEN_ATTACKED, 2)
    texts += [sentence.format(*pair) for sentence, pair in itertools.product(_COMPANIONS, pairs)]
    spelt = dict.fromkeys(_spelt(text, number) for number, text in enumerate(texts))
    chosen = random.Random(seed).sample(list(spelt), count)
    return benign(SOURCE, chosen)


def _spelt(text: str, number: int) -> str:
    """Write every third sentence as chats do: small letters, no full stop; the others with a capital."""
    return text.lower().rstrip(".") if number % 3 == 0 else text[:1].upper() + text[1:]
