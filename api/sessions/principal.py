"""Who is calling: user, roles and session, read together in the one statement that an authenticated request costs."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypedDict

from flask_jwt_extended import get_current_user
from sqlalchemy import bindparam, select

from .. import clock
from ..access import Identity
from ..access.identities import COLUMNS
from ..docs.demo import is_withheld
from ..keys import GENERATION, keyring
from ..prepared import Prepared
from ..users import User, active_at
from .models import Session

SESSION_COLUMNS: tuple[Any, ...] = (
    Session.id,
    Session.delivery,
    Session.created_at,
    Session.last_used_at,
    Session.expires_at,
    Session.ip_address,
    Session.user_agent,
)


@dataclass(frozen=True, slots=True)
class SessionView:
    """An open session as its owner sees it."""

    id: uuid.UUID
    delivery: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ip_address: str | None
    user_agent: str | None
    current: bool

    @classmethod
    def of(cls, row: Sequence[Any], *, current: bool) -> Self:
        """Build one from the values of SESSION_COLUMNS, in their order."""
        return cls(*[*row, current])


class Acting(TypedDict, total=False):
    """Who does something, and with which session."""

    actor_id: uuid.UUID
    session_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in caller.

    session_row: the values of SESSION_COLUMNS, of which few requests need more than the id. generation: the session's, which
    is also that of the token.
    """

    identity: Identity
    session_id: uuid.UUID
    session_row: Sequence[Any]
    generation: int

    @property
    def session(self) -> SessionView:
        return SessionView.of(self.session_row, current=True)

    @property
    def roles(self) -> tuple[str, ...]:
        return self.identity.roles

    @property
    def acting(self) -> Acting:
        """Who does something, for the audit log."""
        return Acting(actor_id=self.identity.id, session_id=self.session_id)


_now = bindparam("now", type_=Session.expires_at.type)
# Everything that can kill an access token before its time is a condition here: the session ended, too old or renewed, the account
# suspended or deleted, its epoch raised. A withdrawn key is noticed by the generation of the keys, the first column.
_live = Prepared(
    select(GENERATION, *COLUMNS[1:], *SESSION_COLUMNS[1:])  # both ids are known
    .join(User, User.id == Session.user_id)
    .where(
        Session.id == bindparam("sid"),
        Session.user_id == bindparam("sub"),
        Session.generation == bindparam("gen"),
        Session.ended_at.is_(None),
        Session.expires_at > _now,
        active_at(_now),
        User.epoch == bindparam("epoch"),
    )
)


def find_live(header: dict[str, Any], claims: dict[str, Any]) -> Principal | None:
    """Return the bearer of a verified access token, or None if the token has been revoked in any way.

    Raises jwt.InvalidTokenError if its key was withdrawn after this process had read the keys.
    """
    user_id, session_id, generation = uuid.UUID(claims["sub"]), uuid.UUID(claims["sid"]), claims.get("gen", 0)
    token = {"sid": session_id, "sub": user_id, "epoch": claims["epoch"], "gen": generation, "now": clock.now()}
    row = _live.fetch_one(token)
    if row is None or is_withheld(user_id):
        return None
    key_generation, *values = row
    keyring().check(header["kid"], key_generation)
    split = len(COLUMNS) - 1
    return Principal(Identity.of([user_id, *values[:split]]), session_id, (session_id, *values[split:]), generation)


def current_or_none() -> Principal | None:
    """The caller of an operation that takes anonymous callers too."""
    found: Principal | None = get_current_user()
    return found or None


def current() -> Principal:
    """The signed-in caller of this request."""
    found: Principal = get_current_user()
    return found
