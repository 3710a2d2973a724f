"""One's own profile."""

from typing import Any

from .. import audit, users
from ..access import Identity, find_identity
from ..database import transaction
from ..http.guards import TokenRevoked
from ..sessions import Principal


def update(principal: Principal, changes: dict[str, Any]) -> Identity:
    """Change the given members of a profile, leave the others, and return it as it is now. Raises TokenRevoked."""
    user_id = principal.identity.id
    if changes:
        with transaction():
            if users.lock(user_id) is None:
                raise TokenRevoked
            users.bump_version(user_id, **changes)
            audit.record("profile_changed", user_id, **principal.acting)
    found = find_identity(user_id)
    if found is None:
        raise TokenRevoked
    return found
