"""Renewing a session when its worth changes (OWASP ASVS 5.0, 7.2.4): the password was given again, or is another one now."""

import secrets
import uuid

from sqlalchemy import update

from .. import clock
from ..access import Identity, identities
from ..database import after_commit, transaction
from ..http.guards import TokenRevoked
from ..users import User
from . import revocation
from .models import Session
from .principal import Principal
from .tokens import TokenPair, expiries, issue


def renew(principal: Principal) -> TokenPair:
    """Give the caller's session a new, fresh pair, in the open transaction. Every token that the session had before is dead.

    Of several renewals by tokens of one generation one succeeds. Raises TokenRevoked if the session has ended or was renewed
    since the token was checked.
    """
    now = clock.now()
    with transaction() as database:
        renewed = database.scalars(
            update(Session)
            .where(
                Session.id == principal.session_id,
                Session.generation == principal.generation,
                Session.ended_at.is_(None),
                Session.expires_at > now,
            )
            .values(
                generation=Session.generation + 1,
                refresh_id=uuid.uuid4(),
                previous_refresh_id=None,  # nothing from before is answered again
                csrf_token=secrets.token_urlsafe(24),
                rotated_at=now,
                authenticated_at=now,
                access_expires_at=expiries(now)["access_until"],
                refresh_expires_at=expiries(now)["refresh_until"],
            )
            .returning(Session)
            .execution_options(populate_existing=True, synchronize_session=False)
        ).one_or_none()
        if renewed is None:
            raise TokenRevoked
        after_commit(lambda: revocation.mirror().publish_generation(principal.session_id))
        # Read again: the roles may have changed while the password was being checked.
        identity = Identity.of(database.execute(identities().where(User.id == principal.identity.id)).one())
    return issue(renewed, identity, fresh=True)
