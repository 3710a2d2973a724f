"""Asking for a mail, and what became of it."""

import hashlib
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select, update

from .. import clock
from ..database import fetch_all, transaction
from ..prepared import Adding
from .models import DEAD, DROPPED, PENDING, SENT, OutgoingEmail


def enqueue(kind: str, recipient: str, *, user_id: uuid.UUID | None = None) -> None:
    """Ask for a mail in the caller's transaction: it leaves if that commits, and never if it is rolled back."""
    with transaction() as session:
        session.add(OutgoingEmail(kind=kind, recipient=recipient, recipient_digest=_mailbox(recipient), user_id=user_id))


def _mailbox(recipient: str) -> str:
    """The digest of a mailbox. Case and a tag behind a plus do not count: `ada+news@example.com` is the mailbox of ada."""
    local, _, domain = recipient.lower().rpartition("@")
    return hashlib.sha256(f"{local.partition('+')[0] or local}@{domain}".encode()).hexdigest()


# The same as a step of a Change, with the parameters that `mail` makes, `sub` and `event_created_at`.
enqueueing = Adding(
    OutgoingEmail,
    {name: f"mail_{name}" for name in ("id", "kind", "recipient", "recipient_digest", "status", "attempts")}
    | {"user_id": "sub", "next_attempt_at": "event_created_at", "created_at": "event_created_at"},
)


def mail(kind: str, recipient: str) -> dict[str, Any]:
    """The parameters of `enqueueing`."""
    return {
        "mail_id": uuid.uuid4(),
        "mail_kind": kind,
        "mail_recipient": recipient,
        "mail_recipient_digest": _mailbox(recipient),
        "mail_status": PENDING,
        "mail_attempts": 0,
    }


def waiting() -> int:
    """Count the mails that are due or will be tried again."""
    return _count(OutgoingEmail.status == literal_column(f"'{PENDING}'"))  # a literal, so that the partial index fits


def drop(user_id: uuid.UUID, *kinds: str) -> None:
    """Drop the mail of these kinds about a user: what waits is not sent, and what was given up is not tried again."""
    _drop(OutgoingEmail.user_id == user_id, OutgoingEmail.kind.in_(kinds))


def drop_all(user_id: uuid.UUID) -> None:
    """Drop the mail about a user, and forget the addresses of what has left."""
    _drop(OutgoingEmail.user_id == user_id)
    with transaction() as session:
        session.execute(update(OutgoingEmail).where(OutgoingEmail.user_id == user_id).values(recipient=""))


def _drop(*where: ColumnElement[bool]) -> None:
    unsent = (*where, OutgoingEmail.status.in_((PENDING, DEAD)))
    with transaction() as session:
        session.execute(update(OutgoingEmail).where(*unsent).values(status=DROPPED, recipient="", finished_at=clock.now()))


def is_dropped(mail: OutgoingEmail) -> bool:
    """Whether a mail was dropped since it was read. Ask with the user locked: who drops mail locks the user first."""
    with transaction() as session:
        return session.scalar(select(OutgoingEmail.status).where(OutgoingEmail.id == mail.id)) == DROPPED


def sent_to_mailbox(recipient: str, since: datetime, *kinds: str) -> int:
    """Count the mails of these kinds that have left for a mailbox since a moment, whatever account they were about.

    Attempts that failed do not count.
    """
    to = OutgoingEmail.recipient_digest == _mailbox(recipient)
    return _count(to, OutgoingEmail.kind.in_(kinds), OutgoingEmail.status == SENT, OutgoingEmail.finished_at > since)


def sent_about(user_id: uuid.UUID, since: datetime, *kinds: str) -> int:
    """Count the mails of these kinds about a user that have left since a moment, for whatever mailbox."""
    about = OutgoingEmail.user_id == user_id
    return _count(about, OutgoingEmail.kind.in_(kinds), OutgoingEmail.status == SENT, OutgoingEmail.finished_at > since)


def sent_since(since: datetime) -> int:
    """Count the mails that have left since a moment."""
    return _count(OutgoingEmail.status == SENT, OutgoingEmail.finished_at > since)


def _count(*where: ColumnElement[bool]) -> int:
    return int(fetch_all(select(func.count()).select_from(OutgoingEmail).where(*where))[0][0])
