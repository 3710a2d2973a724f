"""Asking for a mail, and what became of it."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import func, literal_column, select, update

from .. import clock
from ..database import fetch_all, transaction
from ..prepared import Adding
from .models import DEAD, DROPPED, PENDING, SENT, OutgoingEmail


def enqueue(kind: str, recipient: str, *, user_id: uuid.UUID | None = None) -> None:
    """Ask for a mail in the caller's transaction: it leaves if that commits, and never if it is rolled back."""
    with transaction() as session:
        session.add(OutgoingEmail(kind=kind, recipient=recipient, user_id=user_id))


# The same as a step of a Change, with the parameters that `mail` makes, `sub` and `event_created_at`.
enqueueing = Adding(
    OutgoingEmail,
    {name: f"mail_{name}" for name in ("id", "kind", "recipient", "status", "attempts")}
    | {"user_id": "sub", "next_attempt_at": "event_created_at", "created_at": "event_created_at"},
)


def mail(kind: str, recipient: str) -> dict[str, Any]:
    """The parameters of `enqueueing`."""
    return {
        "mail_id": uuid.uuid4(),
        "mail_kind": kind,
        "mail_recipient": recipient,
        "mail_status": PENDING,
        "mail_attempts": 0,
    }


def waiting() -> int:
    """Count the mails that are due or will be tried again."""
    pending = OutgoingEmail.status == literal_column(f"'{PENDING}'")  # a literal, so that the partial index fits
    return int(fetch_all(select(func.count()).select_from(OutgoingEmail).where(pending))[0][0])


def drop_all(user_id: uuid.UUID) -> None:
    """Forget the mail about a user, with its addresses: what waits is not sent, and what was given up is not tried again."""
    with transaction() as session:
        mine = (OutgoingEmail.user_id == user_id,)
        session.execute(update(OutgoingEmail).where(*mine).values(recipient=""))
        unsent = (*mine, OutgoingEmail.status.in_((PENDING, DEAD)))
        session.execute(update(OutgoingEmail).where(*unsent).values(status=DROPPED, finished_at=clock.now()))


def sent_since(user_id: uuid.UUID, since: datetime, *kinds: str) -> int:
    """Count the mails of these kinds about a user that have left since a moment. Attempts that failed do not count."""
    about = (OutgoingEmail.user_id == user_id, OutgoingEmail.kind.in_(kinds))
    left = (OutgoingEmail.status == SENT, OutgoingEmail.finished_at > since)
    return int(fetch_all(select(func.count()).select_from(OutgoingEmail).where(*about, *left))[0][0])
