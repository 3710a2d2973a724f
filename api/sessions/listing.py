"""Listing a user's open sessions."""

import uuid

from sqlalchemy import select

from .. import clock
from ..database import fetch_all
from ..http import Page
from ..http.pagination import Position, keyset, paginate
from .models import Session
from .principal import SESSION_COLUMNS, SessionView


def list_live(
    user_id: uuid.UUID, *, limit: int, cursor: Position | None = None, current: uuid.UUID | None
) -> tuple[Page[SessionView], dict[str, str]]:
    """Return a page of the sessions with which a user can still do something, newest first, and its Link header."""
    now = clock.now()
    statement = select(*SESSION_COLUMNS).where(
        Session.user_id == user_id,
        Session.ended_at.is_(None),
        Session.expires_at > now,
        Session.refresh_expires_at > now,
    )
    rows = fetch_all(keyset(statement, Session.created_at, Session.id, limit=limit, cursor=cursor))
    views = [SessionView.of(row, current=row.id == current) for row in rows]
    return paginate(views, limit, lambda each: Position(each.created_at, each.id))
