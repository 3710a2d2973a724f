"""One's own profile."""

import uuid
from typing import Any

from .. import audit, users
from ..access import Identity, find_identity
from ..database import transaction
from ..http.guards import TokenRevoked


def update(user_id: uuid.UUID, changes: dict[str, Any]) -> Identity:
    """Change the given members of a profile, leave the others, and return it as it is now. Raises TokenRevoked."""
    if changes:
        with transaction():
            if users.lock(user_id) is None:
                raise TokenRevoked
            users.bump_version(user_id, **changes)
            audit.record("profile_changed", user_id, actor_id=user_id)
    found = find_identity(user_id)
    if found is None:
        raise TokenRevoked
    return found
