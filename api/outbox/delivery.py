"""Delivering what is due: claim, compose, send, remember. Any number of workers may do so at the same time."""

import logging
import smtplib
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import literal_column, select, update
from sqlalchemy.exc import DBAPIError

from .. import clock
from ..config import settings
from ..database import fetch_all, transaction
from ..source import frames
from .message import Composer, Message
from .models import DEAD, DROPPED, PENDING, SENT, OutgoingEmail
from .queue import sent_since
from .senders import configured_sender

logger = logging.getLogger("keycard")

# How long a mail belongs to the worker that has claimed it. A worker that dies keeps it waiting that long; one that needs longer,
# which takes a server that uses up the timeout of six steps, risks that a second one sends the same mail too.
LEASE = timedelta(seconds=60)
# What is waited after each failed attempt; after the last attempt, about a day later, the mail is dead.
DELAYS = tuple(timedelta(seconds=each) for each in (10, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200))
MAX_ATTEMPTS = len(DELAYS) + 1
BATCH = 100
# The literal, and not a parameter, is what makes the databases see that the partial index fits.
_PENDING = OutgoingEmail.status == literal_column(f"'{PENDING}'")


class UnknownKindError(Exception):
    """Nobody composes mail of this kind."""


class WorkerDiedError(Exception):
    """The process ended during the last attempt, maybe because of it."""


def deliver_due(composers: Mapping[str, Composer], *, go_on: Callable[[], bool] = lambda: True) -> int:
    """Try once to deliver each mail that is due, the longest due first, and return how many have left.

    composers: who writes mail of which kind. go_on: asked before each mail. A mail that cannot be composed or sent is tried again
    later and does not keep the others waiting. When nothing is due this costs one read.
    Raises only for the database; what was being sent then is sent again when its lease has run out.
    """
    due = select(OutgoingEmail.id).where(_PENDING, OutgoingEmail.next_attempt_at <= clock.now())
    rows = fetch_all(due.order_by(OutgoingEmail.next_attempt_at).limit(BATCH))
    return sum(_deliver(row.id, composers) for row in rows[: _room()] if go_on()) if rows else 0


def _room() -> int:
    """How many mails may leave now. The rest waits, and loses no attempt."""
    left = settings().mail_per_hour - sent_since(clock.now() - timedelta(hours=1))
    if left <= 0:
        logger.error("mail waits: %d have left within an hour, as many as KEYCARD_MAIL_PER_HOUR allows", settings().mail_per_hour)
    return max(0, left)


def _deliver(mail_id: uuid.UUID, composers: Mapping[str, Composer]) -> bool:
    claimed = _claim(mail_id)
    if claimed is None:
        return False
    kind, attempt = claimed
    stage = "composing"
    try:
        if attempt > MAX_ATTEMPTS:
            raise WorkerDiedError
        message = _compose(mail_id, composers)
        if message is None:
            _finish(mail_id, DROPPED)
            return False
        stage = "sending"
        configured_sender()(mail_id, message)
    except Exception as error:
        _fail(mail_id, kind, attempt, stage, error)
        return False
    _finish(mail_id, SENT)
    return True


def _claim(mail_id: uuid.UUID) -> tuple[str, int] | None:
    """Take a mail for the time of the lease; of any number of workers one gets it. Return its kind and which attempt this is."""
    now = clock.now()
    mine = update(OutgoingEmail).where(OutgoingEmail.id == mail_id, _PENDING, OutgoingEmail.next_attempt_at <= now)
    taken = mine.values(attempts=OutgoingEmail.attempts + 1, next_attempt_at=now + LEASE)
    with transaction() as session:
        row = session.execute(taken.returning(OutgoingEmail.kind, OutgoingEmail.attempts)).one_or_none()
    return (row.kind, row.attempts) if row else None


def _compose(mail_id: uuid.UUID, composers: Mapping[str, Composer]) -> Message | None:
    # Committed before anything is sent: a token that somebody holds must be one we know. The row is not locked, because whoever
    # drops the mail of a user locks the user first, and a composer does so last.
    with transaction() as session:
        mail = session.get_one(OutgoingEmail, mail_id)
        if mail.status != PENDING:
            return None
        if mail.kind not in composers:
            raise UnknownKindError
        return composers[mail.kind](mail)


def _finish(mail_id: uuid.UUID, status: str) -> None:
    _remember(mail_id, status=status, recipient="", finished_at=clock.now(), last_error=None)


def _fail(mail_id: uuid.UUID, kind: str, attempt: int, stage: str, error: Exception) -> None:
    """Say when to try again, if ever. Neither the row nor the log gets the message of the error, which may hold an address."""
    told = f"{stage}: {_name(error)}"
    if attempt >= MAX_ATTEMPTS or _is_final(error):
        logger.error("mail %s (%s) given up after attempt %d: %s", mail_id, kind, attempt, told)
        values: dict[str, Any] = {"status": DEAD, "finished_at": clock.now()}
    else:
        logger.warning("mail %s (%s) failed at attempt %d: %s", mail_id, kind, attempt, told)
        values = {"next_attempt_at": clock.now() + DELAYS[attempt - 1]}
    # Only while the claim is still ours: whoever took the mail over knows better.
    _remember(mail_id, OutgoingEmail.attempts == attempt, last_error=told[:200], **values)


def _remember(mail_id: uuid.UUID, *conditions: Any, **values: Any) -> None:
    with transaction() as session:
        session.execute(update(OutgoingEmail).where(OutgoingEmail.id == mail_id, _PENDING, *conditions).values(**values))


def _is_final(error: Exception) -> bool:
    """Whether the server says that there is no such recipient, and will say so again."""
    return isinstance(error, smtplib.SMTPRecipientsRefused) and all(code >= 500 for code, _ in error.recipients.values())


def _name(error: Exception) -> str:
    """Name an error for a log: its kind, the code of the server, and where in our code it happened."""
    name = type(error.orig if isinstance(error, DBAPIError) and error.orig else error).__name__
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return " ".join([name, *(str(code) for code, _ in error.recipients.values())])
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{name} {error.smtp_code}"
    if isinstance(error, OSError):
        return name
    places = [frame.place for frame in frames(error) if frame.is_ours]
    return f"{name} at {places[-1]}" if places else name
