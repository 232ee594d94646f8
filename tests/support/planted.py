"""Personal data and secrets that nobody has: planted by tests, looked for in all that a run writes (``sweep.py``).

Whoever makes messages, policies or environments for many tests puts them in; a literal copy in a test would
be found in that test's own tracebacks.
"""

from __future__ import annotations

from typing import Final

EMAIL: Final = "zaphira.q-4711@mail.example"
PHONE: Final = "+44 7700 900471"
CARD: Final = "4000 0047 1104 7117"
NAME: Final = "Zaphira Quellbrunn"
IBAN: Final = "DE75 4711 0047 1100 4711 47"
#: What people write of themselves.
PERSONAL: Final = (EMAIL, PHONE, CARD, NAME, IBAN)

PASSWORD: Final = "planted-Pa55word-4711"
API_KEY: Final = "pk-planted-4711-7a6f3d21"
#: What lets somebody in; it may stand nowhere at all.
SECRETS: Final = (PASSWORD, API_KEY)

#: One sentence with everything that a person might write.
WORDS: Final = f"I am {NAME}, {EMAIL}, {PHONE}, card {CARD}, account {IBAN}"
#: A header as a careless sender sets it.
HEADER: Final = ("x-customer", EMAIL.encode())

_BYTES: Final = {word: word.encode() for word in (*PERSONAL, *SECRETS)}


def found(text: str | bytes, words: tuple[str, ...] = (*PERSONAL, *SECRETS)) -> list[str]:
    """Return which of the planted words stand in a text."""
    if isinstance(text, str):
        return [word for word in words if word in text]
    return [word for word in words if _BYTES[word] in text]
