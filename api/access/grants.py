"""Giving and taking roles."""

import uuid
from collections.abc import Iterable

from sqlalchemy import ColumnElement, delete, literal_column, select

from .. import clock, users
from ..database import one_at_a_time, transaction
from .errors import LastAdmin
from .models import UserRole

ADMIN, USER = "admin", "user"
_ADMIN: ColumnElement[str] = literal_column(f"'{ADMIN}'")


def roles_of(user_id: uuid.UUID) -> set[str]:
    """The roles a user holds, as the open transaction sees them."""
    with transaction() as session:
        return set(session.scalars(select(UserRole.role).where(UserRole.user_id == user_id)))


def grant(user_id: uuid.UUID, role: str) -> None:
    """Give one role to a user who does not hold it."""
    with transaction() as session:
        session.add(UserRole(user_id=user_id, role=role))


def revoke_all(user_id: uuid.UUID) -> None:
    """Take every role of a user away."""
    with transaction() as session:
        session.execute(delete(UserRole).where(UserRole.user_id == user_id))


def keep_an_admin(*, without: uuid.UUID) -> None:
    """Make sure that somebody else can administer, until the open transaction ends. Raises LastAdmin if nobody can.

    One at a time, so that two administrators cannot remove each other at the same moment.
    """
    with transaction() as session:
        one_at_a_time("administrators")
        # A literal, so that a plan is never made for the most frequent role.
        able = select(UserRole.user_id).join(users.User).where(UserRole.role == _ADMIN, users.active_at(clock.now()))
        if set(session.scalars(able)) == {without}:
            raise LastAdmin


def set_roles(user_id: uuid.UUID, roles: Iterable[str]) -> set[str] | None:
    """Replace the roles of a user; return those that were given or taken, None if nothing changed.

    A change raises the user's epoch: every access token with the old roles is dead. Raises LastAdmin, NoSuchUser.
    """
    wanted = set(roles)
    with transaction() as session:
        if ADMIN not in wanted:
            keep_an_admin(without=user_id)
        if users.lock(user_id) is None:
            raise users.NoSuchUser
        held = roles_of(user_id)
        if held == wanted:
            return None
        session.execute(delete(UserRole).where(UserRole.user_id == user_id, UserRole.role.in_(held - wanted)))
        session.add_all(UserRole(user_id=user_id, role=role) for role in wanted - held)
        session.flush()
        users.bump_version(user_id, epoch=users.User.epoch + 1, epoch_changed_at=clock.now())
        return wanted ^ held
