"""Which passwords are accepted: the documented rules, and what is too easy to guess."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from ..config import Settings, settings
from ..guessing import is_common, is_easy
from .breached import has_leaked
from .errors import PasswordRefused

MAX_LENGTH = 128


@dataclass(frozen=True)
class Policy:
    """What a new password must be. pattern: the composition as a regular expression, empty for none."""

    name: str
    min_length: int
    pattern: str
    description: str


REFUSED = "Refused: common passwords, and a word, a sequence, your username or your e-mail address with a few characters added."
CLASSIC = Policy(
    "classic",
    10,
    # Spelled without look-ahead, so that every generator can follow it.
    r"[A-Z][\s\S]*[0-9]|[0-9][\s\S]*[A-Z]",
    f"10 to 128 characters with one of A-Z and a digit. {REFUSED}",
)
NIST = Policy("nist", 15, "", f"15 to 128 characters. {REFUSED}")


def policy(settings: Settings) -> Policy:
    """The policy that the settings choose."""
    return {CLASSIC.name: CLASSIC, NIST.name: NIST}[settings.password_policy]


def check_policy(password: str, *owner: str | None, pointer: str) -> None:
    """Refuse what a pattern cannot: what is easy to guess, and what has leaked, where a service that knows is configured.

    owner: the username and the e-mail addresses of the account. pointer: the member of the request body that holds the password.
    Raises PasswordRefused.
    """
    names = [name for name in owner if name]
    if is_common(password):
        _refuse(pointer, "This is a common password.")
    if is_easy(password, ("keycard", urlsplit(settings().public_url).hostname or "", *names)):
        _refuse(pointer, "Too easy to guess: add words that have nothing to do with each other, or with you.")
    if has_leaked(password):
        _refuse(pointer, "This password is known from a data breach.")


def _refuse(pointer: str, detail: str) -> None:
    raise PasswordRefused(errors=[{"pointer": pointer, "detail": detail}])
