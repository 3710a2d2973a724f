"""Signing out."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from .. import audit
from ..database import fetch_one, transaction
from ..http.guards import InvalidToken
from .ending import end
from .models import BODY, Session


def sign_out(claims: Mapping[str, Any], *, from_cookie: bool) -> None:
    """End the session of a verified token; one that has ended already is no error.

    Raises InvalidToken for a refresh token that was born in a cookie and comes in a header, or the reverse.
    """
    session_id = uuid.UUID(claims["sid"])
    if claims["type"] == "refresh":
        found = fetch_one(select(Session.delivery).where(Session.id == session_id))
        if found and (found.delivery == BODY) is from_cookie:
            raise InvalidToken
    user_id = uuid.UUID(claims["sub"])
    with transaction():
        if end(session_id, user_id, "logout"):
            audit.record("signed_out", user_id, actor_id=user_id, session_id=session_id)
