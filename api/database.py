"""The database: models' base, UTC times, one way to write (`transaction`) and one to read (`fetch_one`, `fetch_all`).

Two engines share one URL. The default one runs transactions. The one bound as `read` is in AUTOCOMMIT, so that a
read is one statement and not BEGIN, SELECT, ROLLBACK.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import DateTime, Dialect, Engine, Executable, MetaData, Row, event, func, select
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session, registry
from sqlalchemy.types import TypeDecorator

from .config import Settings
from .problems import Problem

SQLITE_BUSY_SECONDS = 15
# Options of libpq, in seconds, the last one in milliseconds. That PostgreSQL's machine or network has gone is noticed within half
# a minute, and not after the quarter of an hour for which the kernel would send again.
LIBPQ = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
READ = "read"


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, on SQLite too, with microseconds."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of every model. Constraints are named, so that migrations can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    registry = registry(type_annotation_map={datetime: UTCDateTime}, metadata=metadata)


# expire_on_commit: what a use case returns is complete; touching it later must not read again.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})


def init_app(app: Flask, settings: Settings) -> None:
    """Bind both engines to the app; create the folder of an embedded database, readable by its owner alone."""
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite":
        _prepare_sqlite_file(url.database)
        write: dict[str, Any] = {"pool_size": 5, "max_overflow": 10, "hide_parameters": True,
                                 "connect_args": {"timeout": SQLITE_BUSY_SECONDS}}  # fmt: skip
        read = dict(write)
    else:
        # A dead connection is found before a transaction starts on it; a read is simply run again.
        write = {"pool_pre_ping": True, "pool_size": 8, "max_overflow": 12, "pool_timeout": 5, "hide_parameters": True,
                 "connect_args": LIBPQ}  # fmt: skip
        # What runs at every request keeps its connections, as opening one costs more than the statement, and has no more of them:
        # one that is closed when it comes back is soon opened again.
        read = {**write, "pool_pre_ping": False, "pool_size": 16, "max_overflow": 0}
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = write
    app.config["SQLALCHEMY_BINDS"] = {READ: {"url": url, "isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None, **read}}
    db.init_app(app)
    with app.app_context():
        for name, engine in db.engines.items():
            if url.get_backend_name() == "sqlite":
                _tune_sqlite(engine, transactional=name != READ)
            else:
                event.listen(engine, "handle_error", _leave_what_is_read_only)


def _leave_what_is_read_only(context: ExceptionContext) -> None:
    """Open new connections once one is read-only: it stays so, whatever becomes of the server."""
    if isinstance(context.original_exception, ReadOnlySqlTransaction):
        context.is_disconnect = True


def connection_limit() -> int:
    """How many connections both engines of the current app may open together."""
    options = (current_app.config["SQLALCHEMY_ENGINE_OPTIONS"], current_app.config["SQLALCHEMY_BINDS"][READ])
    return sum(each["pool_size"] + each["max_overflow"] for each in options)


def close_connections(app: Flask) -> None:
    """Close those that nobody uses; the next who needs one opens it anew."""
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def _prepare_sqlite_file(file: str | None) -> None:
    """The file holds the signing keys: nobody but its owner may read it."""
    if not file or file == ":memory:":
        raise ValueError("SQLite needs a file: every connection to :memory: is a database of its own")
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. Of several processes that open a new file at once SQLite lets only one wait."""
    deadline = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _tune_sqlite(engine: Engine, *, transactional: bool) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours, below; the driver would begin too late
        _log_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={SQLITE_BUSY_SECONDS * 1000}"):
            connection.execute(f"PRAGMA {pragma}").close()

    if transactional:

        @event.listens_for(engine, "begin")
        def begin_immediate(connection: Any) -> None:
            # Taking the write lock first is what makes two read-then-write transactions wait for
            # each other instead of failing with SQLITE_BUSY half-way.
            connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def transaction() -> Iterator[Session]:
    """Run a block as one transaction; join the one that is open already.

    The outermost block commits at its end and rolls back on an error, except for a Problem whose class says
    `commits = True`: what it reports has happened and must be remembered although the answer is an error.
    """
    session = db.session()
    if _is_open(session):
        yield session
        return
    callbacks: list[Callable[[], None]] = []
    session.info["after_commit"] = callbacks
    try:
        try:
            yield session
        except BaseException as error:
            if not (isinstance(error, Problem) and error.commits):
                callbacks.clear()  # close() below rolls back
                raise
            session.commit()
            raise
        session.commit()
    finally:
        del session.info["after_commit"]
        session.close()
        # Also when the answer to COMMIT was lost and nobody knows: the callbacks look for themselves.
        for callback in callbacks:
            callback()


def in_transaction() -> bool:
    """Say whether a `transaction()` is open. Makes no session only to look."""
    return db.session.registry.has() and _is_open(db.session())


def _is_open(session: Session) -> bool:
    return "after_commit" in session.info


def one_at_a_time(name: str) -> None:
    """Let only one transaction of all processes go on from here until its end.

    On SQLite every transaction is alone, once it has begun, which it does here.
    """
    session = db.session()
    if session.connection().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))


def after_commit(callback: Callable[[], None]) -> None:
    """Call back once the open transaction is committed, or may have been: its answer was lost. Never if it is rolled back."""
    db.session().info["after_commit"].append(callback)


def fetch_one(statement: Executable, parameters: Mapping[str, Any] | None = None) -> Row[Any] | None:
    """Run one read and return its only row, or None; see `fetch_all`."""
    rows = fetch_all(statement, parameters)
    return rows[0] if rows else None


def fetch_all(statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
    """Run one read and return its rows: in the transaction that is open, or else in none.

    Two connections of one thread would wait for ever where somebody stands between them, say an ALTER TABLE, which waits for the
    first one and lets the second one wait: no database sees that circle.
    A connection that died while idle (the server was restarted) is noticed only by using it; outside a transaction a read can
    safely be run again on a new one, once.
    """
    if in_transaction():
        return db.session().connection().execute(statement, parameters or {}).all()
    try:
        return _fetch(statement, parameters)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        return _fetch(statement, parameters)


def _fetch(statement: Executable, parameters: Mapping[str, Any] | None) -> Sequence[Row[Any]]:
    with db.engines[READ].connect() as connection:
        return connection.execute(statement, parameters or {}).all()
