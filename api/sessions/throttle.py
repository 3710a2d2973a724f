"""One throttle for every place where a secret can be guessed: passwords and mailed tokens.

A try is counted before the secret is looked at, by one statement that also decides: of any number of simultaneous tries no more
are judged than are due. A right secret takes its try back.

Tries are counted for each typed name and network (IPv4 /24, IPv6 /64 and /48), whether such an account exists or not: they give
the answer. They are counted once more for the account as a whole, under all its names: this count changes no answer. Beyond it a
secret from a new network is refused as if it were wrong, so that nobody can tell a name of the account from a stranger's.
"""

import hashlib
import math
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, bindparam, case, delete, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from .. import clock
from ..config import settings
from ..database import transaction
from ..http.device import network_of
from ..problems import TooManyRequests
from ..users import name_key
from .models import Session, SignInFailures

ANYWHERE = "*"
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Rule:
    """free: how many failures cause no pause. The next one causes `pause`, and each after it twice as long, up to `longest`."""

    free: int
    pause: timedelta
    longest: timedelta

    def after(self, failures: int) -> timedelta:
        """How long after the last of so many failures the next try must wait."""
        return min(self.pause * 2 ** min(failures - self.free, 20), self.longest) if failures >= self.free else timedelta(0)

    def allows(self, now: datetime) -> ColumnElement[bool]:
        """Whether a row of failures allows a try now, as a condition."""
        steps = range(self.free, self.free + 20)
        latest = {failures: _at(now - self.after(failures)) for failures in steps if self.after(failures) < self.longest}
        return (SignInFailures.failures < self.free) | (
            SignInFailures.last_failed_at <= case(latest, value=SignInFailures.failures, else_=_at(now - self.longest))
        )


def _at(moment: datetime) -> ColumnElement[datetime]:
    return literal(moment, SignInFailures.last_failed_at.type)


_SECOND, _HOUR = timedelta(seconds=1), timedelta(hours=1)
NETWORK = Rule(5, _SECOND, _HOUR)
# An IPv6 customer often has a /48, and so 65,536 networks.
WIDE_NETWORK = Rule(20, _SECOND, _HOUR)
# NIST SP 800-63B-4, section 3.2.2: no more than 100 failures in a row.
ACCOUNT = Rule(100, timedelta(minutes=1), _HOUR)
# Mailed tokens have 256 bits. Here the pause only keeps the noise down, and must not stop an office for long.
TOKENS = Rule(20, _SECOND, timedelta(minutes=1))


@dataclass(frozen=True)
class Attempt:
    """A try that was counted. judged: whether the secret may count; if not, refuse it as if it were wrong.

    failures: of this name from this network, and of the account, this one included.
    """

    name: str
    account: str
    judged: bool = True
    failures: int = 0
    failures_anywhere: int = 0

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of `FORGIVE`."""
        return {"tried_name": self.name, "tried_account": self.account, **_networks()}


# What a right secret takes back: the failures of its network, and its own try at the account.
FORGIVE = (
    delete(SignInFailures).where(
        SignInFailures.account == bindparam("tried_name"),
        SignInFailures.network.in_((bindparam("here"), bindparam("around"))),
    ),
    update(SignInFailures)
    .where(SignInFailures.account == bindparam("tried_account"), SignInFailures.network == ANYWHERE, SignInFailures.failures > 0)
    .values(failures=SignInFailures.failures - 1),
)


def try_password(name: str, user_id: uuid.UUID | None) -> Attempt:
    """Count a try to prove a password. name: as it was typed; user_id: whose it is, None for nobody.

    Raises TooManyRequests with the seconds left to wait.
    """
    key = key_of(name)
    account = str(user_id) if user_id else key
    if not settings().ratelimit_enabled:
        return Attempt(key, account)
    with transaction():
        failures = _count_here(key, NETWORK)
        anywhere = _count(account, ANYWHERE, ACCOUNT)
    return Attempt(key, account, anywhere is not None or _is_known(user_id), failures, anywhere or 0)


def try_token() -> Attempt:
    """Count a try to use a mailed token. Raises TooManyRequests."""
    name = "mailed tokens"
    return Attempt(name, name, failures=_count_here(name, TOKENS) if settings().ratelimit_enabled else 0)


def forgive(attempt: Attempt) -> None:
    """Take back a try: its secret was right, or could not be looked at."""
    if settings().ratelimit_enabled:
        with transaction() as database:
            for statement in FORGIVE:
                database.connection().execute(statement, attempt.parameters)


def forgive_account(user_id: uuid.UUID, *names: str) -> None:
    """Forget the failures of an account under all its names: the owner has proven who they are by other means."""
    keys = [str(user_id), *(key_of(name) for name in names)]
    with transaction() as database:
        database.execute(delete(SignInFailures).where(SignInFailures.account.in_(keys)))


def purge_failures() -> int:
    """Delete counts that no longer matter; return how many."""
    with transaction() as database:
        gone: Any = database.execute(delete(SignInFailures).where(SignInFailures.last_failed_at < clock.now() - FORGOTTEN_AFTER))
    return int(gone.rowcount)


def _networks() -> dict[str, str]:
    """The caller's network, and the wider one around it, which is the same for IPv4."""
    address = request.remote_addr
    return {
        "here": network_of(address, ipv4_prefix=24, ipv6_prefix=64),
        "around": network_of(address, ipv4_prefix=24, ipv6_prefix=48),
    }


def key_of(name: str) -> str:
    """Under which the failures of a typed name are counted. Not the name itself: people type their password into its field."""
    return hashlib.sha256(name_key(name).encode()).hexdigest()


def _count_here(name: str, rule: Rule) -> int:
    """Count a try from the caller's networks; return how many failures the narrow one has. Raises TooManyRequests."""
    where = _networks()
    rules = {where["around"]: WIDE_NETWORK} | {where["here"]: rule}  # of IPv4 both are one
    counts = {each: _count(name, each, rules[each]) for each in rules}
    for each, count in counts.items():
        if count is None:
            raise TooManyRequests(retry_after=_seconds_left(name, each, rules[each]))
    return counts[where["here"]] or 0


def _count(key: str, where: str, rule: Rule) -> int | None:
    """Add one to a count and return it; None if no try is due. One statement decides."""
    now = clock.now()
    forgotten = SignInFailures.last_failed_at < now - FORGOTTEN_AFTER
    with transaction() as database:
        dialect: Any = postgresql if database.get_bind().dialect.name == "postgresql" else sqlite
        first = dialect.insert(SignInFailures).values(account=key, network=where, failures=1, last_failed_at=now)
        counted: Any = first.on_conflict_do_update(
            index_elements=["account", "network"],
            set_={"failures": case((forgotten, 1), else_=SignInFailures.failures + 1), "last_failed_at": now},
            where=forgotten | rule.allows(now),
        )
        found: int | None = database.scalars(counted.returning(SignInFailures.failures)).one_or_none()
        return found


def _seconds_left(key: str, where: str, rule: Rule) -> int:
    """What is left of a pause; never more than the pause, because another process's clock may be ahead of ours."""
    this = select(SignInFailures.failures, SignInFailures.last_failed_at)
    with transaction() as database:
        row = database.execute(this.where(SignInFailures.account == key, SignInFailures.network == where)).one()
    pause = rule.after(row.failures)
    left: timedelta = min(pause, row.last_failed_at + pause - clock.now())
    return max(1, math.ceil(left.total_seconds()))


def _is_known(user_id: uuid.UUID | None) -> bool:
    """Say whether the owner has signed in from this network, with a session that has not been purged since."""
    mine = select(Session.id).where(Session.user_id == (user_id or uuid.uuid4()), Session.network == _networks()["here"])
    with transaction() as database:
        return database.scalars(mine.limit(1)).first() is not None
