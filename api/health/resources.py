"""Liveness and readiness."""

import logging
from functools import lru_cache

from flask import current_app
from flask.views import MethodView
from marshmallow import fields, validate
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from ..config import settings
from ..database import READ, db, transaction
from ..http import Blueprint, Schema, limits, public
from ..migrations import newest
from ..problems import DATABASE_FAILED
from ..sessions.revocation import mirror
from .errors import NotReady
from .tables import usable

logger = logging.getLogger("keycard")
NOT_READY = {"away", "read-only", "pending"}

blp = Blueprint("health", __name__, url_prefix="/health", description="For load balancers and monitors.")


class Alive(Schema):
    """The process answers."""

    status = fields.String(
        required=True, validate=validate.Equal("alive"), metadata={"description": "Always `alive`.", "example": "alive"}
    )


class Ready(Schema):
    """The service can do its work."""

    status = fields.String(
        required=True, validate=validate.Equal("ready"), metadata={"description": "Always `ready`.", "example": "ready"}
    )


@blp.route("/live")
class Live(MethodView):
    @blp.operation("live", public)
    @blp.limited(limits.UNLIMITED)
    @blp.response(200, Alive, description="The process answers.")
    def get(self) -> dict[str, str]:
        """Ask whether the process is alive

        Asks neither the database nor Redis.
        """
        return {"status": "alive"}


@blp.route("/ready")
class Readiness(MethodView):
    @blp.operation("ready", public)
    @blp.limited(limits.UNLIMITED)
    @blp.response(200, Ready, description="Ready to serve.")
    @blp.problems(NotReady)
    def get(self) -> dict[str, str]:
        """Ask whether the service is ready

        Checks the database, its migrations, and Redis if it is configured. The answer does not say which of them is not ready.
        """
        ready, checks = check()
        if not ready:
            logger.warning("not ready: %s", ", ".join(f"{name} {found}" for name, found in checks.items()))
            raise NotReady
        return {"status": "ready"}


def check() -> tuple[bool, dict[str, str]]:
    """Look at everything that the service needs: whether it is ready, and `database`, `migrations` and `redis` one by one."""
    checks = _database_checks()
    checks["redis"] = _redis_check(rebuild=set(checks.values()) == {"ok"})
    to_blame = [name for name, found in checks.items() if found in NOT_READY and (name != "redis" or settings().redis_required)]
    return not to_blame, checks


def _database_checks() -> dict[str, str]:
    try:
        with db.engines[READ].connect() as connection:
            migrated = inspect(connection).has_table("alembic_version")
            applied = connection.scalars(text("SELECT version_num FROM alembic_version")).all() if migrated else ()
            writable = not applied or _takes_writes(connection)  # without tables there is nothing to write to
    except SQLAlchemyError:
        return {"database": "away", "migrations": "away"}
    ready = any(usable(each, _newest()) for each in applied)
    return {"database": "ok" if writable else "read-only", "migrations": "ok" if ready else "pending"}


def _takes_writes(connection: Connection) -> bool:
    """Say whether PostgreSQL takes writes: a standby, or a primary that has become one, does not."""
    if connection.dialect.name != "postgresql":
        return _can_write()
    writable = bool(connection.scalar(text("SELECT current_setting('transaction_read_only') = 'off'")))
    if not writable:
        connection.invalidate()  # it may stay read-only, whatever becomes of the server
    return writable


def _can_write() -> bool:
    """Say whether SQLite can write, once a request has failed: while the disk is full, reading goes on."""
    if not current_app.extensions.get(DATABASE_FAILED):
        return True
    try:
        with transaction() as session:
            session.execute(text("UPDATE alembic_version SET version_num = version_num"))
    except SQLAlchemyError:
        return False
    current_app.extensions[DATABASE_FAILED] = False
    return True


_newest = lru_cache(newest)


def _redis_check(*, rebuild: bool) -> str:
    """rebuild: mend the revocation mirror on the way, which needs the database."""
    if not mirror().configured:
        return "off"
    return "ok" if (mirror().heal() if rebuild else mirror().answers()) else "away"
