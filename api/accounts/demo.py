"""The demo accounts of development: made when `keycard serve` starts there, taken away when it starts in production
or where others can reach it.
"""

import logging

from sqlalchemy import delete
from sqlalchemy.exc import DBAPIError

from .. import access, users
from ..config import settings
from ..database import transaction
from ..docs.demo import ACCOUNTS, DemoAccount, forget_password, make_password
from ..users import User, UsernameTaken
from . import recovery

logger = logging.getLogger("keycard")


def create_demo_accounts() -> None:
    """Make the demo accounts that are missing, and give those that exist the password of this instance.

    Does nothing where the page is switched off. Raises RuntimeError in production.
    """
    if settings().production:
        raise RuntimeError("demo accounts are for development")
    if settings().docs_enabled:
        secret = make_password(settings())
        for account in ACCOUNTS:
            _make(account, secret)


def _make(account: DemoAccount, secret: str) -> None:
    known = users.credentials_of(account.id)
    if known is None:
        _add(account, users.hasher().hash(secret))
    elif not users.hasher().verify(secret, known.password_hash):
        users.set_password_hash(account.id, old=known.password_hash, new=users.hasher().hash(secret))


def _add(account: DemoAccount, password_hash: str) -> None:
    try:
        with transaction() as database:
            user = users.create(username=account.username, password_hash=password_hash, email=None, display_name=None)
            user.id = account.id
            database.flush()
            for role in (access.USER, access.ADMIN) if account.administers else (access.USER,):
                access.grant(user.id, role)
    except UsernameTaken:
        logger.warning("no demo account: somebody else is called %s", account.username)


def remove_demo_accounts() -> None:
    """Delete the demo accounts that an earlier start has left, sessions and password included.

    A database that is away, or not migrated yet, is no reason not to start: it is logged.
    """
    forget_password(settings())
    try:
        for account in ACCOUNTS:
            if users.credentials_of(account.id) is None:
                continue
            with transaction() as database:
                recovery.revoke(account.id)
                database.execute(delete(User).where(User.id == account.id))
            logger.warning("demo account removed: %s", account.username)
    except DBAPIError as error:
        logger.warning("could not look for demo accounts: %s", type(error.orig).__name__)
