"""Creating an account."""

from functools import lru_cache
from typing import Any

from sqlalchemy.exc import IntegrityError

from .. import access, audit, outbox, users
from ..access import Identity, UserRole
from ..config import settings
from ..prepared import Adding, Change
from ..users import ACTIVE, UsernameTaken


def sign_up(*, username: str, **account: Any) -> Identity:
    """Create the account of whoever asks for it. Raises UsernameTaken, for a reserved name too, and PasswordRefused."""
    if users.is_reserved(username, settings()):
        raise _taken("Reserved.")
    return register(username=username, **account)


def register(
    *,
    username: str,
    password: str,
    email: str | None = None,
    display_name: str | None = None,
    roles: tuple[str, ...] = (access.USER,),
) -> Identity:
    """Create an account with the given roles.

    A taken e-mail address changes nothing: an address belongs to nobody before it is proven, and a mail goes out either way.
    Raises UsernameTaken and PasswordRefused.
    """
    users.check_policy(password, username, email, pointer="/password")
    taken = _taken("Taken.")
    if users.find_credentials(username):
        raise taken  # usernames are public, so this saves a hash; the unique constraint still decides
    user = users.new(username=username, password_hash=users.hasher().hash(password), email=email, display_name=display_name)
    event = audit.event("registered")
    mail = outbox.mail("verify_email", email) if email else {}
    given = {f"role_{number}": role for number, role in enumerate(roles)}
    try:
        added = _joining(len(roles), mailed=bool(email)).apply({**user, **event, **mail, **given})
    except IntegrityError:
        raise taken from None
    if added is None:
        raise taken
    now = event["event_created_at"]
    held = tuple(sorted(roles))
    return Identity(user["sub"], username, display_name, email, None, None, ACTIVE, None, None, 0, 1, now, now, held)


def _taken(detail: str) -> UsernameTaken:
    return UsernameTaken(errors=[{"pointer": "/username", "detail": detail}])


@lru_cache
def _joining(roles: int, *, mailed: bool) -> Change:
    """A person with so many roles; mailed: with a mail that proves their address."""
    held = [Adding(UserRole, {"user_id": "sub", "role": f"role_{number}"}) for number in range(roles)]
    mail = [outbox.enqueueing] if mailed else []
    return Change(users.adding, *held, *mail, audit.recording(subject_id="sub", actor_id="sub"), unless=users.buried)
