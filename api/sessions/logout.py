"""Signing out."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import DBAPIError

from .. import audit
from ..database import fetch_one
from ..docs.demo import is_withheld
from ..http.guards import InvalidToken
from ..keys import is_current_generation, keyring
from ..prepared import Change
from . import revocation
from .models import BODY, Session


def sign_out(claims: Mapping[str, Any], *, from_cookie: bool) -> None:
    """End the session of a verified token, also of one from before a renewal; a session that has ended already is no error.

    Raises InvalidToken for a refresh token that was born in a cookie and comes in a header, or the reverse.
    """
    session_id = uuid.UUID(claims["sid"])
    if is_withheld(uuid.UUID(claims["sub"])):
        return
    if claims["type"] == "refresh":
        found = fetch_one(select(Session.delivery).where(Session.id == session_id))
        if found and (found.delivery == BODY) is from_cookie:
            raise InvalidToken
    try:
        token = {"sid": session_id, "sub": uuid.UUID(claims["sub"]), "key_generation": keyring().generation()}
        ended = _end.apply({**audit.event("signed_out"), **token})
    except DBAPIError:
        revocation.mirror().publish_sessions([session_id])  # it may have happened: the answer can be lost
        raise
    if ended:
        revocation.mirror().publish_ended(*ended)


_end = Change(
    update(Session)
    .where(
        is_current_generation(),
        Session.id == bindparam("sid"),
        Session.user_id == bindparam("sub"),
        Session.ended_at.is_(None),
    )
    .values(ended_at=bindparam("event_created_at"), end_reason="logout")
    .returning(Session.id, Session.access_expires_at),
    audit.recording(subject_id="sub", actor_id="sub", session_id="sid"),
)
