"""How Alembic reaches the app's database. Run by `keycard db ...` and, in development, by `keycard serve`."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from flask import current_app

from api.database import UTCDateTime, db

# One migration at a time, whichever instance starts it; the number is arbitrary and ours.
LOCK = 4_937_205_161
# While a migration waits for a table, everybody else waits behind it. It gives up sooner than people do, and can be run again.
LOCK_TIMEOUT = "3s"


def render_item(kind: str, obj: Any, _context: Any) -> Any:
    """Migrations speak of plain types, so that they do not change with our code."""
    if kind == "type" and isinstance(obj, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run() -> None:
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_item=render_item,
            transaction_per_migration=False,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                # First this lock, for which the second of two instances waits as long as the first one migrates.
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
                connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            context.run_migrations()


run()
