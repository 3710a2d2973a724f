"""Forgetting what is older than the log shall reach back."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from .. import clock
from ..config import settings
from ..database import transaction
from .models import AuditEvent

BATCH = 1000


def purge_events() -> Iterator[int]:
    """Delete, in batches of their own transaction, events older than KEYCARD_AUDIT_RETENTION. Yields the size of each."""
    before = clock.now() - timedelta(seconds=settings().audit_retention)
    while True:
        with transaction() as database:
            # Ordered, so that each batch begins in the index and not with the first row of the table.
            old = select(AuditEvent.id).where(AuditEvent.created_at < before).order_by(AuditEvent.created_at)
            ids = database.scalars(old.limit(BATCH)).all()
            gone: Any = database.execute(delete(AuditEvent).where(AuditEvent.id.in_(ids)))
        if not ids:
            return
        yield int(gone.rowcount)
