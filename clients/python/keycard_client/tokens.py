"""What is held between two calls."""

import time
from dataclasses import dataclass, field
from typing import Protocol

LEAD_SECONDS = 30.0


@dataclass(frozen=True)
class Tokens:
    """The tokens of a session, as the delivery gives them; what travels in cookies is in `cookies`.

    expires_at: of the access token, in seconds since 1970 on this machine's clock, so that a storage may outlive the process.
    lifetime: of the access token, in seconds.
    """

    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    csrf_token: str | None = field(default=None, repr=False)
    cookies: dict[str, str] = field(default_factory=dict, repr=False)
    expires_at: float = 0.0
    lifetime: float = 0.0

    @property
    def renewable(self) -> bool:
        return bool(self.refresh_token or self.cookies)

    @property
    def due(self) -> bool:
        """Whether it is time to refresh: 30 seconds before the end, or a tenth of a shorter life."""
        return self.renewable and time.time() >= self.expires_at - min(LEAD_SECONDS, self.lifetime / 10)

    @property
    def expired(self) -> bool:
        return time.time() >= self.expires_at


class TokenStorage(Protocol):
    """Where the tokens of one person are kept: in a file, a keyring, a web session. Called from any thread."""

    def load(self) -> Tokens | None:
        """The tokens, or None when nobody is signed in."""

    def save(self, tokens: Tokens) -> None:
        """Keep these instead; they must be safe when this returns."""

    def clear(self) -> None:
        """Forget them."""


class MemoryStorage:
    """For the life of the process."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    def load(self) -> Tokens | None:
        return self._tokens

    def save(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def clear(self) -> None:
        self._tokens = None
