"""Reading the log."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from ..database import fetch_all
from ..http import Page
from ..http.pagination import Position, keyset, paginate
from .models import AuditEvent


def list_events(
    *,
    limit: int,
    cursor: Position | None = None,
    user_id: uuid.UUID | None = None,
    type: str | None = None,  # noqa: A002 - as the parameter of the operation is called
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Page[Row[Any]], dict[str, str]]:
    """Return a page of events, newest first, that match every given filter, and its Link header.

    user_id: whose account. since: from this moment on. until: before this moment.
    """
    statement = select(*AuditEvent.__table__.columns)
    if user_id:
        statement = statement.where(AuditEvent.subject_id == user_id)
    if type:
        statement = statement.where(AuditEvent.type == type)
    if since:
        statement = statement.where(AuditEvent.created_at >= since)
    if until:
        statement = statement.where(AuditEvent.created_at < until)
    rows = fetch_all(keyset(statement, AuditEvent.created_at, AuditEvent.id, limit=limit, cursor=cursor))
    return paginate(rows, limit, lambda each: Position(each.created_at, each.id))


def list_own_events(
    user_id: uuid.UUID, *, limit: int, cursor: Position | None = None
) -> tuple[Page[Mapping[str, Any]], dict[str, str]]:
    """Return a page of what happened to one's own account; of what an administrator did, not from where."""
    page, headers = list_events(user_id=user_id, limit=limit, cursor=cursor)
    return Page([_own(row, user_id) for row in page.items], page.next_cursor), headers


def _own(row: Row[Any], user_id: uuid.UUID) -> Mapping[str, Any]:
    hidden = {"session_id": None, "ip_address": None, "user_agent": None} if row.actor_id not in {None, user_id} else {}
    return {**row._mapping, **hidden}
