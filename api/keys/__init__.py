"""Keys: what tokens are signed with, and what verifies them.

Owns the table `signing_keys`. A key is published before it signs and verifies until the last token it signed has expired.
"""

from .keyring import GENERATION, Key, init_app, is_current_generation, keyring
from .models import SigningKey
from .rotation import ensure_current, list_keys, purge_retired, rotate

__all__ = [
    "GENERATION",
    "Key",
    "SigningKey",
    "ensure_current",
    "init_app",
    "is_current_generation",
    "keyring",
    "list_keys",
    "purge_retired",
    "rotate",
]
