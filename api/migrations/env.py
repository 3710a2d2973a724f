"""How Alembic reaches the app's database. Run by `keycard db ...` and, in development, by `keycard serve`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import context
from flask import current_app
from psycopg.errors import DeadlockDetected

from api.database import UTCDateTime, db

# One migration at a time, whichever instance starts it; the number is arbitrary and ours.
LOCK = 4_937_205_161
PAUSE_SECONDS = 0.1
# While a migration waits for a table, everybody else waits behind it. It gives up sooner than people do, and can be run again.
LOCK_TIMEOUT = "3s"
TRIES = 5


def render_item(kind: str, obj: Any, _context: Any) -> Any:
    """Migrations speak of plain types, so that they do not change with our code."""
    if kind == "type" and isinstance(obj, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


@contextmanager
def alone() -> Iterator[None]:
    """Wait for as long as another instance migrates, and keep others waiting.

    By a connection of its own and by asking again: CREATE INDEX CONCURRENTLY commits in between, and waits for every transaction
    that has begun before it, which one that waited for this lock would be.
    """
    if db.engine.dialect.name != "postgresql":
        yield  # the transaction is alone
        return
    with db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        while not connection.scalar(sa.text(f"SELECT pg_try_advisory_lock({LOCK})")):
            threading.Event().wait(PAUSE_SECONDS)
        try:
            yield
        finally:
            connection.invalidate()  # which gives the lock back, whatever state the connection is in


def be_impatient(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")


@contextmanager
def begun(connection: sa.Connection) -> Iterator[None]:
    if connection.dialect.name == "postgresql":
        sa.event.listen(connection, "begin", be_impatient)
        yield
    else:
        # Alembic would commit after each migration, and another instance could come in between and do the next one.
        with connection.begin():
            yield


def migrate() -> None:
    with alone(), db.engine.connect() as connection, begun(connection):
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_item=render_item,
            transaction_per_migration=False,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()


def run() -> None:
    """A migration takes tables in one order, requests in others: what PostgreSQL ends for a deadlock is begun again."""
    for _ in range(TRIES - 1):
        try:
            return migrate()
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, DeadlockDetected):
                raise
    return migrate()


run()
