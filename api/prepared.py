"""What runs at every request: statements compiled once by SQLAlchemy, and given to the driver's cursor.

`Prepared` is a read. `Change` is a few writes that happen together or not at all; where the database takes them in one
statement they cost one round trip, and no BEGIN and no COMMIT.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.errors import DeadlockDetected
from sqlalchemy import (
    ColumnElement,
    Delete,
    Dialect,
    Engine,
    Insert,
    PoolProxiedConnection,
    Select,
    Update,
    bindparam,
    exists,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

from .database import READ, Base, db, fetch_one, in_transaction, transaction

CURSOR, USED = "keycard.cursor", "keycard.used"
# A connection that nobody has used for so long is asked whether it still lives before something is written.
IDLE_SECONDS = 1.0
TRIES = 3
T = TypeVar("T")


class Prepared:
    """One read. The values are those that SQLAlchemy would return."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def fetch_one(self, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Run it and return the values of its only row, or None; in the open transaction as `fetch_one` does.

        Whatever goes wrong on the short way, the usual one tries again, and tells.
        """
        engine = db.engines[READ]
        if _is_watched(engine) or in_transaction():
            return fetch_one(self._statement, parameters)

        def run() -> Sequence[Any] | None:
            with _Taken(engine.raw_connection()) as pooled:
                return self.on(pooled, engine.dialect, parameters)

        try:
            return _despite_deadlocks(run)
        except engine.dialect.loaded_dbapi.Error:
            return fetch_one(self._statement, parameters)

    def on(self, pooled: PoolProxiedConnection, dialect: Dialect, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Run it on a connection. Raises the driver's own errors."""
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            kind = _OfPostgreSQL if dialect.name == "postgresql" else _Compiled
            compiled = self._compiled[dialect.name] = kind(self._statement, dialect, parameters)
        row = compiled.fetch_one(pooled, parameters)
        pooled.info[USED] = time.monotonic()
        return row


@dataclass(frozen=True)
class Adding:
    """A row to insert. columns: every one, with the name of the parameter that holds its value."""

    model: type[Base]
    columns: Mapping[str, str]

    def insert(self, condition: ColumnElement[bool] | None = None) -> Insert:
        kinds = self.model.__table__.columns
        values = select(*[bindparam(parameter, type_=kinds[name].type) for name, parameter in self.columns.items()])
        return insert(self.model).from_select(list(self.columns), values if condition is None else values.where(condition))


Step = Adding | Update | Delete


class Change:
    """One write that decides, and others that happen exactly if it touched a row.

    first: an UPDATE or INSERT with RETURNING, or a SELECT that locks the row. read: a SELECT of one row, of what this change does
    not touch. unless: a SELECT that must find nothing once everything is written, or all of it is undone. All of them take their
    values from the same parameters.
    """

    def __init__(
        self,
        first: Update | Insert | Select[Any],
        *then: Step,
        read: Select[Any] | None = None,
        unless: Select[Any] | None = None,
    ) -> None:
        self._first, self._read, self._unless = first, read, unless
        self._then = [each.insert() if isinstance(each, Adding) else each for each in then]
        self._joined = _join(first, then, read)
        self._at_once = Prepared(self._joined)
        self._in_the_way = Prepared(unless) if unless is not None else None

    def apply(self, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Make the change; return what `first` returns and what `read` reads, or None if nothing was changed.

        Inside a `transaction()` it is part of that.
        """
        engine = db.engines[READ]
        if engine.dialect.name != "postgresql" or in_transaction():
            return self._step_by_step(parameters)
        if _is_watched(engine):
            if self._unless is not None:
                return self._step_by_step(parameters)
            with engine.connect() as connection:
                return connection.execute(self._joined, parameters).one_or_none()
        try:
            return _despite_deadlocks(lambda: self._run(engine, parameters))
        except engine.dialect.loaded_dbapi.Error as error:
            raise _as_usual(error, engine) from error

    def _run(self, engine: Engine, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        with _Taken(_living(engine)) as pooled:
            if self._in_the_way is None:
                return self._at_once.on(pooled, engine.dialect, parameters)
            return self._together(pooled, engine.dialect, parameters, self._in_the_way)

    def _together(
        self, pooled: PoolProxiedConnection, dialect: Dialect, parameters: Mapping[str, Any], in_the_way: Prepared
    ) -> Sequence[Any] | None:
        """A statement of its own asks what is in the way: the first one may have waited, and does not see for whom."""
        connection: Any = pooled.dbapi_connection
        with connection.transaction() as both:
            found = self._at_once.on(pooled, dialect, parameters)
            if in_the_way.on(pooled, dialect, parameters) is not None:
                found = None
                raise dialect.loaded_dbapi.Rollback(both)
        return found

    def _step_by_step(self, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        try:
            with transaction() as session:
                database = session.connection()
                decided = database.execute(self._first, parameters).one_or_none()
                if decided is None:
                    return None
                for each in self._then:
                    database.execute(each, parameters)
                if self._unless is not None and database.execute(self._unless, parameters).one_or_none():
                    raise _UndoneError
                return [*decided, *(database.execute(self._read, parameters).one() if self._read is not None else ())]
        except _UndoneError:
            return None


class _UndoneError(Exception):
    """Something is in the way of a change."""


def _join(first: Update | Insert | Select[Any], then: Sequence[Step], read: Select[Any] | None) -> Select[Any]:
    """The same as one statement, of which PostgreSQL runs all or nothing."""
    decided = first.cte("decided")
    happened = exists(select(literal(1)).select_from(decided))
    steps = [each.insert(happened) if isinstance(each, Adding) else each.where(happened) for each in then]
    rest = [each.cte(f"then_{at}") for at, each in enumerate(steps)]
    if read is None:
        return select(*decided.c).add_cte(*rest)
    found = read.cte("found")
    return select(*decided.c, *found.c).select_from(decided.join(found, true())).add_cte(*rest)


def _is_watched(engine: Engine) -> bool:
    """Traces want to see every statement."""
    return bool(engine.dispatch.before_cursor_execute)


def _living(engine: Engine) -> PoolProxiedConnection:
    """A connection that answers. One that has just been used is taken as it is."""
    while True:
        pooled = engine.raw_connection()
        if time.monotonic() - pooled.info.get(USED, float("-inf")) < IDLE_SECONDS:
            return pooled
        try:
            engine.dialect.do_ping(pooled.dbapi_connection)  # type: ignore[arg-type]
        except engine.dialect.loaded_dbapi.Error:
            pooled.invalidate()
            pooled.close()
        else:
            return pooled


def _despite_deadlocks(run: Callable[[], T]) -> T:
    """Run it again when PostgreSQL has ended it, so that nothing has happened: a migration takes tables in another order."""
    for _ in range(TRIES - 1):
        try:
            return run()
        except DeadlockDetected:
            continue
    return run()


class _Taken:
    """Gives the connection back to its pool; one on which something went wrong is not used again."""

    def __init__(self, pooled: PoolProxiedConnection) -> None:
        self._pooled = pooled

    def __enter__(self) -> PoolProxiedConnection:
        return self._pooled

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                self._pooled.invalidate()
        finally:
            self._pooled.close()


def _as_usual(error: Exception, engine: Engine) -> Exception:
    """The error that SQLAlchemy would have raised."""
    driver = engine.dialect.loaded_dbapi
    return DBAPIError.instance(None, None, error, driver.Error, hide_parameters=True, dialect=engine.dialect)


class _Compiled:
    """A statement in the words of one driver, and what turns Python's values into the driver's and back."""

    def __init__(self, statement: Select[Any], dialect: Dialect, parameters: Mapping[str, Any]) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        expanded = compiled.construct_expanded_state(parameters)
        self._text = expanded.statement
        constants = {name: value for name, value in expanded.parameters.items() if name not in parameters}
        kinds = {name: compiled.binds[name].type.dialect_impl(dialect) for name in expanded.positiontup if name in parameters}
        binds = {name: kind.bind_processor(dialect) for name, kind in kinds.items()}
        self._bind = [(name, constants.get(name), binds.get(name)) for name in expanded.positiontup]
        columns = [column.type.dialect_impl(dialect) for column in statement.selected_columns]
        results = [kind.result_processor(dialect, None) for kind in columns]
        self._convert = [(at, convert) for at, convert in enumerate(results) if convert]

    def fetch_one(self, pooled: PoolProxiedConnection, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        values = [bind(parameters[name]) if bind else parameters.get(name, constant) for name, constant, bind in self._bind]
        row = self._run(pooled, values)
        if row is not None:
            for at, convert in self._convert:
                row[at] = convert(row[at])
        return row

    def _run(self, pooled: PoolProxiedConnection, values: list[Any]) -> list[Any] | None:
        cursor: Any = pooled.info.get(CURSOR)
        if cursor is None:  # making one costs as much as a small statement
            cursor = pooled.info[CURSOR] = pooled.cursor()
        cursor.execute(self._text, values)
        rows = cursor.fetchall()  # all, so that SQLite ends its read
        return list(rows[0]) if rows else None


class _OfPostgreSQL(_Compiled):
    """The same, which PostgreSQL parses and plans once for each connection."""

    def __init__(self, statement: Select[Any], dialect: Dialect, parameters: Mapping[str, Any]) -> None:
        numbered: Any = PGDialect_psycopg
        super().__init__(statement, numbered(paramstyle="numeric_dollar"), parameters)

    def _run(self, pooled: PoolProxiedConnection, values: list[Any]) -> list[Any] | None:
        connection: Any = pooled.dbapi_connection
        with psycopg.RawCursor(connection) as cursor:
            row = cursor.execute(self._text, values, prepare=True).fetchone()
        return None if row is None else list(row)
