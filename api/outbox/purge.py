"""Deleting mail that is done with."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, or_, select

from .. import clock
from ..database import transaction
from .models import DEAD, DROPPED, SENT, OutgoingEmail

BATCH = 1000
KEEP = timedelta(days=7)
KEEP_DEAD = timedelta(days=30)  # until somebody has looked


def purge_mail() -> Iterator[int]:
    """Delete, in batches of their own transaction, mail that left or was dropped a week ago, or was given up a month ago.

    Yields the size of each batch.
    """
    while True:
        now = clock.now()
        dead = and_(OutgoingEmail.status == DEAD, OutgoingEmail.finished_at < now - KEEP_DEAD)
        old = and_(OutgoingEmail.finished_at < now - KEEP, or_(OutgoingEmail.status.in_((SENT, DROPPED)), dead))
        with transaction() as session:
            # Ordered, so that each batch begins in the index and not with the first row of the table.
            ids = session.scalars(select(OutgoingEmail.id).where(old).order_by(OutgoingEmail.finished_at).limit(BATCH)).all()
            gone: Any = session.execute(delete(OutgoingEmail).where(OutgoingEmail.id.in_(ids), old))
        if not ids:
            return
        yield int(gone.rowcount)
