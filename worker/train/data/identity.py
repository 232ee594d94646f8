"""Benign sentences that name people's identities: rows of our own, for training only.

Where the sets name a group at all, they mostly do so in hate, so that the name itself becomes evidence.
Sentences that name groups and harm nobody, added to the training rows, are the known cure (Dixon,
Li, Sorensen, Thain, Vasserman 2018, "Measuring and Mitigating Unintended Bias in Text Classification").
The sentences were written for this project and share no template with the set that measures it.
"""

from __future__ import annotations

import random
from typing import Final

from worker.train.data.labels import ABUSE, CIVILITY, HATE, SEXISM, SPAM, TOXICITY, close
from worker.train.data.rows import Row

SOURCE: Final = "benign_identity"
ROWS: Final = 1_800
_LABELS: Final = (HATE, CIVILITY, TOXICITY, ABUSE, SEXISM, SPAM)
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
)


def rows(count: int = ROWS, seed: int = 1) -> list[Row]:
    """Return benign rows, each a different sentence; all of a seed are the same every time.

    Raises:
        ValueError: there are not so many sentences.

    """
    texts = [sentence.format(term) for sentence in _ADJECTIVE_SENTENCES for term in _ADJECTIVES]
    texts += [sentence.format(term) for sentence in _NOUN_SENTENCES for term in _NOUNS]
    known = close(dict.fromkeys(_LABELS, False))
    chosen = random.Random(seed).sample([_spelt(text, number) for number, text in enumerate(texts)], count)
    return [
        Row(source=SOURCE, place=f"{SOURCE}:{number}", text=text, known=known, group=f"{SOURCE}:{number}")
        for number, text in enumerate(chosen)
    ]


def _spelt(text: str, number: int) -> str:
    """Write every third sentence as chats do: small letters, no full stop; the others with a capital."""
    return text.lower().rstrip(".") if number % 3 == 0 else text[:1].upper() + text[1:]
