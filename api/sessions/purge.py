"""Deleting sessions that are over."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, delete, select

from .. import clock
from ..database import transaction
from .models import Session

BATCH = 1000


def purge_sessions() -> Iterator[int]:
    """Delete, in batches of their own transaction, sessions none of whose tokens can still be presented.

    Yields the size of each batch. A session must be kept while its refresh token lives, because the row is what tells a
    replayed token from a good one, and while its access tokens live, because the mirror is rebuilt from it. One that grew too old
    stays until its last refresh token would have expired, which has an index.
    """
    while True:
        now = clock.now()
        over = and_(Session.refresh_expires_at < now, Session.access_expires_at < now)
        with transaction() as database:
            # Ordered, so that each batch begins in the index and not with the first row of the table.
            ids = database.scalars(select(Session.id).where(over).order_by(Session.refresh_expires_at).limit(BATCH)).all()
            gone: Any = database.execute(delete(Session).where(Session.id.in_(ids), over))
        if not ids:
            return
        yield int(gone.rowcount)
