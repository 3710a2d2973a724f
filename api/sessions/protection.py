"""Guessing passwords, slowed down: a delay that grows with every failure, and never a lock.

Failures are counted for each account and network (IPv4 /24, IPv6 /64), and once more for the account as a whole, with much more
room. Nobody else's failures delay a network from which the owner has signed in before, and resetting the password forgives all.
Names that do not exist are counted like those that do.
"""

import hashlib
import math
import uuid
from datetime import datetime, timedelta

from flask import request
from sqlalchemy import bindparam, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from .. import audit, clock, users
from ..config import settings
from ..database import fetch_all, transaction
from ..http.device import network_of
from ..problems import TooManyRequests
from ..users import name_key
from .models import Session, SignInFailures

ANYWHERE = "*"
FREE, LONGEST = 5, 900
FREE_ANYWHERE, PAUSE_ANYWHERE = 100, 60
FORGOTTEN_AFTER = timedelta(days=1)
FORGOTTEN_AFTER_ANYWHERE = timedelta(hours=1)


def account_key(name: str, user_id: uuid.UUID | None) -> str:
    """Under which failures are counted: one for all the names of a user, and one for each name that nobody has."""
    return str(user_id) if user_id else hashlib.sha256(name_key(name).encode()).hexdigest()


def check(account: str) -> None:
    """Let a sign-in go on, or raise TooManyRequests with the seconds left to wait."""
    if not settings().ratelimit_enabled:
        return
    networks = {ANYWHERE, network()}
    ours = (SignInFailures.account == account, SignInFailures.network.in_(networks))
    rows = fetch_all(select(SignInFailures.network, SignInFailures.failures, SignInFailures.last_failed_at).where(*ours))
    waits = [(row.network, _wait(row.last_failed_at, delay(row.network, row.failures))) for row in rows]
    for where, wait in waits:
        if wait > timedelta(0) and not (where == ANYWHERE and _is_known(account)):
            raise TooManyRequests(retry_after=math.ceil(wait.total_seconds()))


def _wait(last_failed_at: datetime, pause: timedelta) -> timedelta:
    """What is left of a pause; never more than the pause, because another process's clock may be ahead of ours."""
    return min(pause, last_failed_at + pause - clock.now())


def delay(where: str, failures: int) -> timedelta:
    """How long after the last of so many failures the next try must wait."""
    if where == ANYWHERE:
        return timedelta(seconds=PAUSE_ANYWHERE if failures >= FREE_ANYWHERE else 0)
    return timedelta(seconds=min(2 ** min(failures - FREE, 20), LONGEST) if failures >= FREE else 0)


def failed(account: str, user_id: uuid.UUID | None, detail: str | None = None) -> None:
    """Count a failure, and write it to the log; of an account that was deleted meanwhile nothing is kept."""
    with transaction():
        # Asked for names that nobody has, too: both kinds of failure cost the same.
        if users.lock(user_id or uuid.uuid4()) is None and user_id:
            return
        count = _count(account, network(), FORGOTTEN_AFTER)
        _count(account, ANYWHERE, FORGOTTEN_AFTER_ANYWHERE)
        audit.record("sign_in_failed", user_id, detail=detail)
        if count == FREE:
            audit.record("sign_in_delayed", user_id)


# A step of a Change: forget the failures of this network.
forget_ours = delete(SignInFailures).where(
    SignInFailures.account == bindparam("account"), SignInFailures.network == bindparam("network")
)


def ours(account: str) -> dict[str, str]:
    """The parameters of `forget_ours`."""
    return {"account": account, "network": network()}


def forgive(user_id: uuid.UUID) -> None:
    """Forget every failure of a user: they have proven who they are by other means."""
    with transaction() as database:
        database.execute(delete(SignInFailures).where(SignInFailures.account == str(user_id)))


def purge_failures() -> int:
    """Delete counts that no longer matter; return how many."""
    with transaction() as database:
        gone = database.execute(delete(SignInFailures).where(SignInFailures.last_failed_at < clock.now() - FORGOTTEN_AFTER))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def network(address: str | None = None) -> str:
    """The network of an address, of the caller's if none is given."""
    return network_of(address or request.remote_addr, ipv4_prefix=24)


def _count(account: str, where: str, forgotten_after: timedelta) -> int:
    """Add one to a count, or start it anew when the last failure is forgotten; one statement, so that none is lost."""
    now = clock.now()
    forgotten = SignInFailures.last_failed_at < now - forgotten_after
    with transaction() as database:
        dialect = postgresql if database.get_bind().dialect.name == "postgresql" else sqlite
        insert = dialect.insert(SignInFailures).values(account=account, network=where, failures=1, last_failed_at=now)
        add_one = insert.on_conflict_do_update(
            index_elements=["account", "network"],
            set_={"failures": case((forgotten, 1), else_=SignInFailures.failures + 1), "last_failed_at": now},
        )
        return int(database.execute(add_one.returning(SignInFailures.failures)).scalar_one())


def _is_known(account: str) -> bool:
    """Say whether the owner has signed in from this network before, and not been purged since."""
    try:
        user_id = uuid.UUID(account)
    except ValueError:
        return False
    rows = fetch_all(select(Session.ip_address).where(Session.user_id == user_id).distinct().limit(200))
    return network() in {network(row.ip_address) for row in rows if row.ip_address}
