"""Finding and changing users."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from .. import clock
from ..database import fetch_one, transaction
from ..docs.demo import is_withheld
from ..http import preconditions
from ..prepared import Adding, Prepared
from .errors import UsernameTaken
from .models import ACTIVE, SUSPENDED, User, active_at, name_key


@dataclass(frozen=True)
class Credentials:
    """What a sign-in is checked against."""

    id: uuid.UUID
    username: str
    password_hash: str
    epoch: int
    suspended: bool
    proven_email: str | None


_ONE_TIME = ("password_changed_at", "created_at", "updated_at")
# The first step of a Change, whose parameters `new` makes, together with those of its event.
adding = (
    Adding(
        User,
        {name: f"new_{name}" for name in ("username", "username_key", "email", "email_key", "display_name", "password_hash")}
        | {"id": "sub", "status": "new_status", "epoch": "new_epoch", "version": "new_version"}
        | dict.fromkeys(_ONE_TIME, "event_created_at"),
    )
    .insert()
    .returning(User.id)
)
# What must not be there once it is done. Asked after the insert: that waited for a deletion that was under way.
buried = select(User.id).where(User.username_key == bindparam("buried"))


def new(*, username: str, password_hash: str, email: str | None, display_name: str | None) -> dict[str, Any]:
    """The parameters of `adding` and `buried`."""
    key = name_key(username)
    return {
        "sub": uuid.uuid4(),
        "new_username": username,
        "new_username_key": key,
        "new_email": email,
        "new_email_key": name_key(email) if email else None,
        "new_display_name": display_name,
        "new_password_hash": password_hash,
        "new_status": ACTIVE,
        "new_epoch": 0,
        "new_version": 1,
        "buried": buried_key(key),
    }


def create(*, username: str, password_hash: str, email: str | None, display_name: str | None) -> User:
    """Add a user.

    Raises UsernameTaken: the unique constraint decides, also between two requests at the same moment.
    """
    user = User(
        username=username,
        username_key=name_key(username),
        email=email,
        email_key=name_key(email) if email else None,
        display_name=display_name,
        password_hash=password_hash,
    )
    with transaction() as session:
        session.add(user)
        try:
            session.flush()
        except IntegrityError:
            raise _taken() from None
        # Asked after the insert: it waited for a deletion that was under way.
        if session.scalar(select(User.id).where(User.username_key == buried_key(user.username_key))):
            raise _taken()
    return user


def _taken() -> UsernameTaken:
    return UsernameTaken(errors=[{"pointer": "/username", "detail": "Taken."}])


def buried_key(username_key: str) -> str:
    """What keeps the name of a deleted account from being taken: its digest, in a form that no username has."""
    return f"deleted:{hashlib.sha256(username_key.encode()).hexdigest()}"


def bury(user: User, **values: Any) -> None:
    """Leave of a user only the id and the digest of the name."""
    now = clock.now()
    bump_version(
        user.id,
        username="deleted",
        username_key=buried_key(user.username_key),
        email=None,
        email_key=None,
        email_verified_at=None,
        pending_email=None,
        display_name=None,
        password_hash="",
        status=SUSPENDED,
        suspended_reason=None,
        suspended_until=None,
        deleted_at=now,
        **values,
    )


def lock(user_id: uuid.UUID, *, version: int | None = None) -> User | None:
    """Return a user, whom nobody else changes until the open transaction ends; None if there is none.

    version: that must still be theirs, if given. Raises PreconditionFailed.
    """
    with transaction() as session:
        this = select(User).where(User.id == user_id, User.deleted_at.is_(None)).with_for_update()
        user = session.scalars(this.execution_options(populate_existing=True)).one_or_none()
        if user:
            preconditions.check(user.version, version)
    return user


def find_by_proven_email(email: str) -> uuid.UUID | None:
    """Say who has proven this address."""
    row = fetch_one(select(User.id).where(User.email_key == name_key(email), User.email_verified_at.is_not(None)))
    return row.id if row else None


def find_credentials(name: str) -> Credentials | None:
    """Find a user by what they type to sign in: the username, or an address that they have proven."""
    return _credentials(_by_email if "@" in name else _by_username, key=name_key(name))


def credentials_of(user_id: uuid.UUID) -> Credentials | None:
    """The credentials of a known user."""
    return _credentials(_by_id, key=user_id)


def _prepare(where: ColumnElement[bool]) -> Prepared:
    active = active_at(bindparam("now", type_=User.created_at.type)).label("active")
    stored: tuple[Any, ...] = (User.id, User.username, User.password_hash, User.epoch, User.email, User.email_verified_at)
    return Prepared(select(*stored, active).where(where, User.deleted_at.is_(None)))


_by_id = _prepare(User.id == bindparam("key"))
_by_username = _prepare(User.username_key == bindparam("key"))
_by_email = _prepare((User.email_key == bindparam("key")) & User.email_verified_at.is_not(None))


def _credentials(prepared: Prepared, *, key: str | uuid.UUID) -> Credentials | None:
    row = prepared.fetch_one({"key": key, "now": clock.now()})
    if row is None or is_withheld(row[0]):
        return None
    user_id, username, password_hash, epoch, email, verified_at, active = row
    proven = email if verified_at else None
    return Credentials(user_id, username, password_hash, epoch, suspended=not active, proven_email=proven)


def replace_password_hash(user_id: uuid.UUID, new: str) -> None:
    """Set a hash, whatever it was. Mailed tokens from before are dead."""
    bump_version(user_id, password_hash=new, password_changed_at=clock.now(), recoveries=User.recoveries + 1)


def set_password_hash(user_id: uuid.UUID, *, old: str, new: str) -> bool:
    """Replace a hash, if it is still the old one; say whether it was. Mailed tokens from before are dead."""
    with transaction() as session:
        this = select(User.id).where(User.id == user_id, User.password_hash == old).with_for_update()
        if session.scalars(this).one_or_none() is None:
            return False
        replace_password_hash(user_id, new)
    return True


def bump_version(user_id: uuid.UUID, **values: Any) -> None:
    """Change columns of a user, and with them the version and the time of the last change."""
    with transaction() as session:
        session.execute(update(User).where(User.id == user_id).values(version=User.version + 1, updated_at=clock.now(), **values))
