"""What runs at every request: statements compiled once, and given to the driver without SQLAlchemy in between.

`Prepared` is a read. `Change` is a few writes that happen together or not at all; where the database takes them in one
statement they cost one round trip, and no BEGIN and no COMMIT.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import DeadlockDetected, error_from_result
from psycopg.pq import ConnStatus, ExecStatus
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

CURSOR, NAMES, USED = "keycard.cursor", "keycard.names", "keycard.used"
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
    """The same, prepared on each connection and run by libpq itself.

    psycopg's cursor does as much as the statement, and lets other threads take Python's lock four times on the way, not once.
    """

    def __init__(self, statement: Select[Any], dialect: Dialect, parameters: Mapping[str, Any]) -> None:
        numbered: Any = PGDialect_psycopg
        super().__init__(statement, numbered(paramstyle="numeric_dollar"), parameters)
        self._formats = [PyFormat.AUTO] * len(self._bind)

    def _run(self, pooled: PoolProxiedConnection, values: list[Any]) -> list[Any] | None:
        connection: Any = pooled.dbapi_connection
        known: _OnConnection | None = pooled.info.get(self)
        if known is None:
            known = pooled.info[self] = _OnConnection(Transformer(connection))
        transformer = known.transformer
        sent = transformer.dump_sequence(values, self._formats)
        types = transformer.types or ()
        if types not in known.names:
            known.names[types] = self._prepare(pooled, types)
        result = connection.pgconn.exec_prepared(known.names[types], sent, transformer.formats)
        if result.status != ExecStatus.TUPLES_OK:
            raise _error(connection, result)
        transformer.set_pgresult(result, set_loaders=known.loads != types)
        known.loads = types
        row: list[Any] | None = transformer.load_row(0, list) if result.ntuples else None
        transformer.set_pgresult(None, set_loaders=False)  # a row may hold secrets
        return row

    def _prepare(self, pooled: PoolProxiedConnection, types: tuple[int, ...]) -> bytes:
        """Prepare it on this connection, and return its name there."""
        connection: Any = pooled.dbapi_connection
        number = pooled.info[NAMES] = pooled.info.get(NAMES, 0) + 1
        name = b"keycard_%d" % number
        result = connection.pgconn.prepare(name, self._text.encode(), types)
        if result.status != ExecStatus.COMMAND_OK:
            raise _error(connection, result)
        return name


@dataclass
class _OnConnection:
    """What one connection knows of a statement.

    names: by the types of its parameters, as a number's type goes by its size. loads: for which of them its transformer can
    read the columns.
    """

    transformer: Any  # psycopg's name is of two classes, in C and in Python
    names: dict[tuple[int, ...], bytes] = field(default_factory=dict)
    loads: tuple[int, ...] | None = None


def _error(connection: Any, result: Any) -> psycopg.Error:
    """The driver's error for a statement that failed."""
    if connection.pgconn.status != ConnStatus.OK:
        return psycopg.OperationalError("the connection is lost")
    return error_from_result(result)
