"""Signing out."""

import uuid
from collections.abc import Mapping, Sequence
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


def sign_out(header: Mapping[str, Any], claims: Mapping[str, Any], *, from_cookie: bool) -> None:
    """End the session of a verified token, also of one from before a renewal; a session that has ended already is no error.

    Raises InvalidToken for a refresh token that was born in a cookie and comes in a header, or the reverse, and
    jwt.InvalidTokenError if its key has been withdrawn.
    """
    session_id = uuid.UUID(claims["sid"])
    if is_withheld(uuid.UUID(claims["sub"])):
        return
    if claims["type"] == "refresh":
        found = fetch_one(select(Session.delivery).where(Session.id == session_id))
        if found and (found.delivery == BODY) is from_cookie:
            raise InvalidToken
    try:
        ended = _apply(session_id, claims)
        if ended is None:  # it has ended before, or the signing keys are others than this process knows
            keyring().forget()
            keyring().verifying(header["kid"])
            ended = _apply(session_id, claims)
    except DBAPIError:
        revocation.mirror().publish_sessions([session_id])  # it may have happened: the answer can be lost
        raise
    if ended:
        revocation.mirror().publish_ended(*ended)


def _apply(session_id: uuid.UUID, claims: Mapping[str, Any]) -> Sequence[Any] | None:
    token = {"sid": session_id, "sub": uuid.UUID(claims["sub"]), "key_generation": keyring().generation()}
    return _end.apply({**audit.event("signed_out"), **token})


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
