"""Random secrets that are stored as digests: the tokens of mail links."""

import hashlib
import secrets

BYTES = 32
PATTERN = r"^[A-Za-z0-9_-]{43}$"


def create() -> str:
    """Make a secret: 32 random bytes in base64url, 43 characters."""
    return secrets.token_urlsafe(BYTES)


def digest(secret: str) -> str:
    """The form in which a secret is stored and looked up. It is random enough to need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()
