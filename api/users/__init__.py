"""Users: who exists, what they are called, and whether a password is theirs.

Owns the table `users`, the rules for names and passwords, and the hashing. Knows nothing of roles, tokens or sessions.
"""

from .errors import AccountSuspended, NoSuchUser, PasswordRefused, UsernameTaken, WrongPassword
from .models import ACTIVE, SUSPENDED, User, active_at, name_key
from .passwords import Hasher, hasher
from .policy import check_policy, policy
from .reserved import is_reserved
from .store import (
    Credentials,
    adding,
    bump_version,
    buried,
    bury,
    create,
    credentials_of,
    find_by_proven_email,
    find_credentials,
    lock,
    new,
    replace_password_hash,
    set_password_hash,
)

__all__ = [
    "ACTIVE",
    "SUSPENDED",
    "AccountSuspended",
    "Credentials",
    "Hasher",
    "NoSuchUser",
    "PasswordRefused",
    "User",
    "UsernameTaken",
    "WrongPassword",
    "active_at",
    "adding",
    "bump_version",
    "buried",
    "bury",
    "check_policy",
    "create",
    "credentials_of",
    "find_by_proven_email",
    "find_credentials",
    "hasher",
    "is_reserved",
    "lock",
    "name_key",
    "new",
    "policy",
    "replace_password_hash",
    "set_password_hash",
]
