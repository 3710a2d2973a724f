"""Which access tokens died before they expired, as the mirror names them."""

import uuid
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, literal_column, select

from ..config import settings
from ..database import fetch_all
from ..users import User
from .models import Session

PREFIX = "keycard:revoked:"


class Dead(NamedTuple):
    """Tokens that are dead. key, number: what the mirror holds. until: when the last of them expires."""

    key: str
    number: int
    until: datetime


def of_ended(session_id: uuid.UUID, until: datetime) -> Dead:
    """Every token of a session that is known to have ended."""
    return Dead(f"{PREFIX}sid:{session_id}", 1, until)


def of_sessions(ids: Collection[uuid.UUID]) -> Iterator[Dead]:
    """Every token of those of these sessions that have ended."""
    return _ended(Session.id.in_(ids))


def of_user(user_id: uuid.UUID) -> Iterator[Dead]:
    """Tokens of a user that are of an older epoch."""
    return _outdated(User.id == user_id, User.epoch_changed_at.is_not(None))


def before_renewal(session_id: uuid.UUID) -> Iterator[Dead]:
    """Tokens of a session that are of an older generation."""
    return _renewed(Session.id == session_id)


def at(now: datetime) -> Iterator[Dead]:
    """All that would not have expired yet."""
    oldest = now - _lifetime()
    yield from _ended(Session.access_expires_at > now)
    yield from _outdated(User.epoch_changed_at > oldest)
    yield from _renewed(Session.authenticated_at > oldest)


def _ended(*where: ColumnElement[bool]) -> Iterator[Dead]:
    for session_id, until in _rows(select(Session.id, Session.access_expires_at).where(Session.ended_at.is_not(None), *where)):
        yield of_ended(session_id, until)


def _outdated(*where: ColumnElement[bool]) -> Iterator[Dead]:
    for user_id, epoch, changed_at in _rows(select(User.id, User.epoch, User.epoch_changed_at).where(*where)):
        yield Dead(f"{PREFIX}sub:{user_id}", epoch, changed_at + _lifetime())


def _renewed(*where: ColumnElement[bool]) -> Iterator[Dead]:
    # A literal, and not a parameter, is what makes the databases see that the partial index fits.
    renewed = select(Session.id, Session.generation, Session.authenticated_at).where(Session.generation > literal_column("0"))
    for session_id, generation, renewed_at in _rows(renewed.where(*where)):
        yield Dead(f"{PREFIX}gen:{session_id}", generation, renewed_at + _lifetime())


def _rows(statement: Executable) -> Sequence[Any]:
    return fetch_all(statement)


def _lifetime() -> timedelta:
    return timedelta(seconds=settings().access_token_lifetime)
