"""Finding users, and deciding what they may do."""

import uuid
from collections.abc import Iterable
from types import EllipsisType
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, literal_column, not_, or_
from sqlalchemy.exc import IntegrityError

from .. import access, audit, clock, opaque, outbox, sessions, users
from ..access import Identity, UserRole, identities
from ..accounts import deletion, one_time_tokens, recovery
from ..accounts.errors import EmailTaken, NothingToVerify
from ..accounts.models import UNDO_EMAIL
from ..database import fetch_all, transaction
from ..http import Page
from ..http.pagination import Position, keyset, paginate
from ..sessions import Principal
from ..users import ACTIVE, SUSPENDED, NoSuchUser, User, find_credentials, name_key
from .errors import OwnAccount, RoleNotHeld, TwoPasswords


def list_users(
    *, limit: int, cursor: Position | None = None, q: str | None = None, role: str | None = None, status: str | None = None
) -> tuple[Page[Identity], dict[str, str]]:
    """Return a page of users, newest first, that match every given filter, and its Link header.

    q: the beginning of a username or an e-mail address.
    """
    statement = identities().where(*_filters(q, role, status))
    rows = fetch_all(keyset(statement, User.created_at, User.id, limit=limit, cursor=cursor))
    return paginate([Identity.of(row) for row in rows], limit, lambda each: Position(each.created_at, each.id))


def _filters(q: str | None, role: str | None, status: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if q:
        start = name_key(q)
        found.append(or_(User.username_key.startswith(start, autoescape=True), User.email_key.startswith(start, autoescape=True)))
    if role:
        # Literal, because the best plan depends on how many hold it: a plan for any role is one for the most frequent.
        found.append(exists().where(UserRole.user_id == User.id, UserRole.role == bindparam(None, role, literal_execute=True)))
    if status:
        active = users.active_at(clock.now())
        # Said once more in the words of the index ix_users_suspended_created_at_id.
        found += [active] if status == ACTIVE else [User.status != literal_column(f"'{ACTIVE}'"), not_(active)]
    return found


def get_user(user_id: uuid.UUID) -> Identity:
    """Return one user. Raises NoSuchUser."""
    found = access.find_identity(user_id)
    if found is None:
        raise NoSuchUser
    return found


def create_user(
    admin: Principal,
    *,
    username: str,
    roles: Iterable[str],
    password: str | None = None,
    password_hash: str | None = None,
    email: str | None = None,
    email_verified: bool = False,
    display_name: str | None = None,
) -> Identity:
    """Create a user on behalf of an administrator.

    Without a password the user has none that works, and comes in by resetting it. Raises UsernameTaken, PasswordRefused,
    TwoPasswords, EmailTaken, NothingToVerify, RoleNotHeld.
    """
    _may_give(admin, roles)
    if email_verified and not email:
        raise NothingToVerify
    encoded = _encoded(username, email, password, password_hash)
    with transaction() as database:
        user = users.create(username=username, password_hash=encoded, email=email, display_name=display_name)
        for role in set(roles):
            access.grant(user.id, role)
        if email and email_verified:
            _take_address(user, email, verified=True)
        elif email:
            outbox.enqueue("verify_email", email, user_id=user.id)
        audit.record("user_created", user.id, **admin.acting)
        database.flush()
    return get_user(user.id)


def _encoded(username: str, email: str | None, password: str | None, password_hash: str | None) -> str:
    if password and password_hash:
        raise TwoPasswords
    if password_hash:
        return password_hash
    if password:
        users.check_policy(password, username, email, pointer="/password")
    return users.hasher().hash(password or opaque.create())


def _may_give(admin: Principal, roles: Iterable[str]) -> None:
    if not set(roles) <= set(admin.roles):
        raise RoleNotHeld


def _take_address(user: User, email: str | None, *, verified: bool) -> None:
    """Set an address. Raises EmailTaken if somebody else has proven it and this user shall too."""
    key = name_key(email) if email else None
    try:
        users.bump_version(user.id, email=email, email_key=key, email_verified_at=clock.now() if verified else None)
    except IntegrityError:
        raise EmailTaken from None


def update_user(
    admin: Principal,
    user_id: uuid.UUID,
    *,
    version: int | None,
    suspension: dict[str, Any] | EllipsisType | None = ...,
    **changes: Any,
) -> Identity:
    """Change the given members of a user. version: that must still be theirs; None for any.

    Raises NoSuchUser, PreconditionFailed, LastAdmin, OwnAccount, RoleNotHeld, EmailTaken, NothingToVerify.
    """
    with transaction():
        if suspension is not ... and suspension is not None:
            _not_oneself(admin, user_id)
            access.keep_an_admin(without=user_id)
        user = users.lock(user_id, version=version)
        if user is None:
            raise NoSuchUser
        if suspension is not ... or changes.keys() & {"email", "email_verified"}:
            _may_administer(admin, user_id)
        if changes.keys() & {"email", "email_verified"}:
            _change_address(admin, user, changes.pop("email", ...), verified=changes.pop("email_verified", None))
        if changes:
            users.bump_version(user_id, **changes)
            audit.record("profile_changed", user_id, **admin.acting)
        if suspension is not ...:
            _suspend(admin, user, suspension)
    return get_user(user_id)


def _change_address(admin: Principal, user: User, email: str | EllipsisType | None, *, verified: bool | None) -> None:
    """Set an address, whether it counts as proven, or both; another address is not proven by the old one's proof."""
    same = email is ... or email == user.email
    address = user.email if email is ... else email
    if verified and address is None:
        raise NothingToVerify
    proven = (user.email_verified_at is not None and same) if verified is None else verified
    former = user.email if user.email_verified_at else None
    recovery.withdraw(user.id)
    one_time_tokens.void(user.id, UNDO_EMAIL)  # they would bring back an address that an administrator has replaced
    _take_address(user, address, verified=proven and address is not None)
    audit.record("email_changed", user.id, **admin.acting)
    if former and former != address:
        outbox.enqueue("address_changed", former, user_id=user.id)


def _suspend(admin: Principal, user: User, suspension: dict[str, Any] | None) -> None:
    """Suspend a user, and end what they have open; or lift the suspension."""
    if suspension is None:
        users.bump_version(user.id, status=ACTIVE, suspended_reason=None, suspended_until=None)
        audit.record("reactivated", user.id, **admin.acting)
        return
    values = {"suspended_reason": suspension.get("reason"), "suspended_until": suspension.get("until")}
    users.bump_version(user.id, status=SUSPENDED, **values)
    recovery.secure(user.id, "suspended")
    audit.record("suspended", user.id, **admin.acting)


def delete_user(admin: Principal, user_id: uuid.UUID, *, version: int | None) -> None:
    """Delete somebody else's account. Raises NoSuchUser, PreconditionFailed, LastAdmin, OwnAccount, RoleNotHeld."""
    _not_oneself(admin, user_id)
    with transaction():
        access.keep_an_admin(without=user_id)  # before the user is locked, as everywhere
        if users.lock(user_id) is None:
            raise NoSuchUser
        _may_administer(admin, user_id)
        deletion.delete(user_id, actor=admin, version=version)


def _may_administer(admin: Principal, user_id: uuid.UUID) -> None:
    """Demand every role that a locked user holds, or an administrator could get a role by way of their account.

    Raises RoleNotHeld.
    """
    if not access.roles_of(user_id) <= set(admin.roles):
        raise RoleNotHeld


def _not_oneself(admin: Principal, user_id: uuid.UUID) -> None:
    if admin.identity.id == user_id:
        raise OwnAccount


def change_roles(admin: Principal, user_id: uuid.UUID, roles: Iterable[str]) -> Identity:
    """Replace a user's roles on behalf of an administrator. Raises NoSuchUser, OwnAccount, RoleNotHeld."""
    if admin.identity.id == user_id and access.ADMIN not in roles:
        raise OwnAccount
    return set_roles(user_id, roles, admin=admin)


def set_roles(user_id: uuid.UUID, roles: Iterable[str], *, admin: Principal | None = None) -> Identity:
    """Replace a user's roles. Access tokens with the old ones are dead at once, the mirror included.

    admin: who does it, and can give and take only what they hold; None for the command line.
    Raises NoSuchUser, LastAdmin, RoleNotHeld.
    """
    with transaction():
        changed = access.set_roles(user_id, roles)
        if changed is None:
            return get_user(user_id)
        if admin:
            _may_give(admin, changed)
        audit.record(
            "roles_changed", user_id, detail=" ".join(sorted(set(roles)))[:200], **(admin.acting if admin else sessions.Acting())
        )
        sessions.publish_epoch(user_id)
        found = get_user(user_id)
        if found.email and found.email_verified:
            outbox.enqueue("roles_changed", found.email, user_id=user_id)
    return found


def find_by_username(username: str) -> Identity:
    """Return the user with this username. Raises NoSuchUser."""
    found = find_credentials(username)
    if found is None:
        raise NoSuchUser
    return get_user(found.id)
