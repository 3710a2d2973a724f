"""Access: which roles a person holds.

Owns the table `user_roles`, and the one shape in which a user is read together with their roles (`Identity`).
"""

from .errors import LastAdmin
from .grants import ADMIN, USER, grant, keep_an_admin, revoke_all, roles_of, set_roles
from .identities import Identity, find_identity, identities
from .models import UserRole

__all__ = [
    "ADMIN",
    "USER",
    "Identity",
    "LastAdmin",
    "UserRole",
    "find_identity",
    "grant",
    "identities",
    "keep_an_admin",
    "revoke_all",
    "roles_of",
    "set_roles",
]
