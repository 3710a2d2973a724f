"""What Flask-JWT-Extended asks us after it has verified a token."""

from typing import Any

from flask import g

from ..extensions import jwt
from .principal import find_live


def init_app() -> None:
    """Fill the two callbacks.

    The revocation check reads user and session in one statement and keeps what it read, so that the user look-up which
    follows costs nothing. Operations that decide for themselves what a dead session means skip the check.
    """
    jwt.token_in_blocklist_loader(_is_revoked)
    jwt.user_lookup_loader(_bearer)


def _is_revoked(_header: dict[str, Any], claims: dict[str, Any]) -> bool:
    g.principal = find_live(claims)
    return g.principal is None


def _bearer(_header: dict[str, Any], claims: dict[str, Any]) -> Any:
    return g.get("principal") or claims
