"""Statements that go straight to the driver do what they would do through SQLAlchemy, also when something goes wrong."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import BigInteger, String, bindparam, event, func, literal, select, text, type_coerce, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from api.access import UserRole
from api.database import READ, db, fetch_one, in_transaction, transaction
from api.prepared import Adding, Change, Prepared
from api.users import User
from api.users.models import name_key
from tests.actors import Bearer, new_name
from tests.conftest import administrated
from tests.processes.servers import eventually

BY_NAME = select(User.__table__).where(User.username_key == bindparam("key"))
COLUMNS = {each.name: f"new_{each.name}" for each in User.__table__.columns}


@pytest.fixture
def ada(app: Flask) -> Bearer:
    return Bearer(app).join(email="ada@example.com")


def rename() -> Change:
    """A person is renamed, and another is added: both or nothing."""
    renamed = update(User).where(User.username_key == bindparam("key")).values(display_name=bindparam("wanted"))
    return Change(renamed.returning(User.id), Adding(User, COLUMNS), read=select(User.version).where(User.id == bindparam("who")))


def values(person: Bearer, **others: Any) -> dict[str, Any]:
    row = fetch_one(BY_NAME, {"key": name_key(person.name)})
    name = new_name()
    new = {f"new_{column}": value for column, value in row._mapping.items()}
    new |= {"new_id": uuid.uuid4(), "new_username": name, "new_username_key": name_key(name), "new_email_key": None}
    return {**new, "key": name_key(person.name), "wanted": "Countess", "who": row.id, **others}


def test_the_values_are_those_of_sqlalchemy(app: Flask, ada: Bearer) -> None:
    """Every kind of column: ids, times with their zone, numbers, text and nothing."""
    with app.app_context():
        parameters = {"key": name_key(ada.name)}
        short, usual = Prepared(BY_NAME).fetch_one(parameters), fetch_one(BY_NAME, parameters)
    assert list(short) == list(usual)
    assert [type(each) for each in short] == [type(each) for each in usual]


@pytest.mark.parametrize("number", [0, 40_000, 3_000_000_000, None])
def test_a_value_of_any_size_fits(app: Flask, number: int | None) -> None:
    """Drivers send a number in as few bytes as it needs, or nothing: one connection sees each of them."""
    with app.app_context():
        given = Prepared(select(type_coerce(bindparam("number", type_=BigInteger), BigInteger), literal("100 % sure", String)))
        for each in (1, number, 70_000):
            assert list(given.fetch_one({"number": each})) == [each, "100 % sure"]


def test_a_column_may_be_of_another_type_each_time(app: Flask) -> None:
    """One connection reads what its parameters make of it, and reads it right, in any order."""
    with app.app_context():
        given = Prepared(select(bindparam("value")))
        for value in (1, True, "b", 1, "2", True):
            assert list(given.fetch_one({"value": value})) == list(fetch_one(select(bindparam("value")), {"value": value}))


def test_a_connection_keeps_no_row(app: Flask, ada: Bearer) -> None:
    """It may hold the hash of a password, or what stands in a session."""
    with app.app_context():
        assert Prepared(BY_NAME).fetch_one({"key": name_key(ada.name)})
        pooled = db.engines[READ].raw_connection()
        kept = [each.transformer.pgresult for each in pooled.info.values() if hasattr(each, "transformer")]
        pooled.close()
    assert not any(kept)


def test_no_row_is_none(app: Flask) -> None:
    with app.app_context():
        assert Prepared(BY_NAME).fetch_one({"key": "nobody"}) is None


def test_a_connection_that_died_is_replaced_for_a_read(app: Flask, ada: Bearer) -> None:
    with app.app_context():
        read = Prepared(BY_NAME)
        assert read.fetch_one({"key": name_key(ada.name)})
        pooled = db.engines[READ].raw_connection()
        pooled.driver_connection.close()
        pooled.close()
        assert read.fetch_one({"key": name_key(ada.name)})


def test_a_database_that_is_away_is_told_as_usual(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is answered with 503."""
    with app.app_context():
        engine = db.engines[READ]

        def away(*_: Any, **__: Any) -> Any:
            raise engine.dialect.loaded_dbapi.OperationalError("away")

        engine.dispose()
        monkeypatch.setattr(engine.dialect, "connect", away)
        monkeypatch.setattr(db.engine.dialect, "connect", away)
        db.engine.dispose()
        with pytest.raises(OperationalError):
            Prepared(BY_NAME).fetch_one({"key": "ada"})
        with pytest.raises(OperationalError):
            rename().apply({"key": "ada", "wanted": "x", "who": uuid.uuid4(), **dict.fromkeys(COLUMNS.values())})


def test_a_change_happens_as_a_whole(app: Flask, ada: Bearer) -> None:
    with app.app_context():
        parameters = values(ada)
        done = rename().apply(parameters)
        assert list(done) == [parameters["who"], parameters["new_version"]]
        assert fetch_one(BY_NAME, {"key": name_key(ada.name)}).display_name == "Countess"
        assert fetch_one(BY_NAME, {"key": parameters["new_username_key"]}).id == parameters["new_id"]


def test_a_change_without_a_row_does_nothing(app: Flask, ada: Bearer) -> None:
    with app.app_context():
        parameters = values(ada, key="nobody")
        assert rename().apply(parameters) is None
        assert fetch_one(BY_NAME, {"key": parameters["new_username_key"]}) is None


def test_a_change_that_breaks_a_constraint_does_nothing(app: Flask, ada: Bearer) -> None:
    with app.app_context():
        parameters = values(ada, new_username_key=name_key(ada.name))
        with pytest.raises(IntegrityError):
            rename().apply(parameters)
        assert fetch_one(BY_NAME, {"key": name_key(ada.name)}).display_name is None
        assert rename().apply(values(ada))  # the connection is good again


@pytest.mark.parametrize("watched", [False, True])
def test_what_is_in_the_way_undoes_a_change(app: Flask, ada: Bearer, *, watched: bool) -> None:
    """It is looked for when everything is written; where there is nothing, all of it stays."""
    named = select(User.id).where(User.display_name == bindparam("forbidden"))
    renamed = update(User).where(User.username_key == bindparam("key")).values(display_name=bindparam("wanted"))
    change = Change(renamed.returning(User.id), Adding(User, COLUMNS), unless=named)
    with app.app_context():
        engine = db.engines[READ]
        if watched:
            event.listen(engine, "before_cursor_execute", print)
        try:
            parameters = values(ada, wanted=f"Lady {ada.name}", forbidden=f"Lady {ada.name}")
            assert change.apply(parameters) is None
            assert fetch_one(BY_NAME, {"key": name_key(ada.name)}).display_name is None
            assert fetch_one(BY_NAME, {"key": parameters["new_username_key"]}) is None
            assert change.apply({**parameters, "forbidden": "Lord"})
        finally:
            if watched:
                event.remove(engine, "before_cursor_execute", print)
        assert fetch_one(BY_NAME, {"key": parameters["new_username_key"]})


def test_a_change_inside_a_transaction_is_part_of_it(app: Flask, ada: Bearer) -> None:
    with app.app_context():
        parameters = values(ada)

        def give_up() -> None:
            with transaction():
                assert in_transaction()
                assert rename().apply(parameters)
                raise LookupError

        with pytest.raises(LookupError):
            give_up()
        assert fetch_one(BY_NAME, {"key": name_key(ada.name)}).display_name is None


def test_a_change_that_is_watched_is_seen_and_happens_once(app: Flask, ada: Bearer) -> None:
    seen: list[str] = []

    def watch(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    with app.app_context():
        engine = db.engines[READ]
        parameters = values(ada)
        event.listen(engine, "before_cursor_execute", watch)
        try:
            assert rename().apply(parameters)
        finally:
            event.remove(engine, "before_cursor_execute", watch)
        with pytest.raises(IntegrityError):
            rename().apply(parameters)
    assert len(seen) == (1 if engine.dialect.name == "postgresql" else 0)  # elsewhere the other engine runs the steps


def test_a_dead_connection_is_noticed_before_something_is_written(app: Flask, ada: Bearer) -> None:
    """A restart of the database between two requests fails neither."""
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("SQLite has no server that could end a connection")
        for _ in range(2):
            assert rename().apply(values(ada))
        engine = db.engines[READ]
        pooled = engine.raw_connection()
        backend = pooled.driver_connection.info.backend_pid
        pooled.info["keycard.used"] = float("-inf")  # long ago
        pooled.close()
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        assert rename().apply(values(ada))


def test_a_connection_that_dies_under_a_change_is_told_as_unavailable(app: Flask, ada: Bearer) -> None:
    """Nobody knows whether it happened: it is not tried again, and answered with 503."""
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("SQLite has no server that could end a connection")
        assert rename().apply(values(ada))
        parameters = values(ada)
        engine = db.engines[READ]
        pooled = engine.raw_connection()
        backend = pooled.driver_connection.info.backend_pid
        pooled.close()
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        with pytest.raises(OperationalError):
            rename().apply(parameters)


def test_a_change_that_a_migration_locks_out_is_tried_again(app: Flask, ada: Bearer) -> None:
    """It takes the same tables in another order. PostgreSQL ends one of the two, of which nothing has happened then."""
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("SQLite has one lock")
        renamed = update(User).where(User.username_key == bindparam("key")).values(display_name=bindparam("wanted"))
        change = Change(renamed.returning(User.id), read=select(func.count()).select_from(UserRole))
        parameters = {"key": name_key(ada.name), "wanted": "Countess"}
        waits = "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        gave_up = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"

        def apply() -> Any:
            with app.app_context():
                return change.apply(parameters)

        before = fetch_one(text(gave_up)).deadlocks
        with psycopg.connect(administrated(db.engine.url)) as migration, ThreadPoolExecutor(1) as pool:
            migration.execute("SET LOCAL deadlock_timeout = '60s'")  # it looks for deadlocks later than the other
            migration.execute("LOCK TABLE user_roles IN ACCESS EXCLUSIVE MODE")
            done = pool.submit(apply)
            eventually(lambda: fetch_one(text(waits)).number == 1)
            migration.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            migration.rollback()
            assert done.result()
        eventually(lambda: fetch_one(text(gave_up)).deadlocks == before + 1)
        assert fetch_one(BY_NAME, {"key": name_key(ada.name)}).display_name == "Countess"


@pytest.mark.parametrize("read", [Prepared(BY_NAME).fetch_one, partial(fetch_one, BY_NAME)], ids=["prepared", "usual"])
def test_a_read_in_a_transaction_waits_for_nobody_who_waits_for_that(app: Flask, ada: Bearer, read: Callable[..., Any]) -> None:
    """An ALTER TABLE without a timeout stood between the two connections of one thread, and all three stood there for ever."""
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("SQLite's readers wait for nobody")
        waits = "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

        def alter() -> None:
            with app.app_context(), db.engine.connect() as migration:
                migration.execute(text("SET LOCAL lock_timeout = '20s'"))
                migration.execute(text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE"))

        with ThreadPoolExecutor(1) as pool, db.engines[READ].connect() as watching:
            with transaction() as session:
                session.execute(update(User).values(display_name="Countess"))
                altering = pool.submit(alter)
                eventually(lambda: watching.execute(text(waits)).one().number == 1)
                assert read({"key": name_key(ada.name)})[list(User.__table__.columns.keys()).index("display_name")] == "Countess"
                assert not altering.done()
            altering.result()


def test_many_threads_share_a_statement(app: Flask, ada: Bearer) -> None:
    read, gate = Prepared(BY_NAME), threading.Barrier(8)

    def ask(_: int) -> Any:
        gate.wait(timeout=30)
        with app.app_context():
            return [read.fetch_one({"key": name_key(ada.name)})[0] for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = {each for ids in pool.map(ask, range(8)) for each in ids}
    assert found == {uuid.UUID(ada.id)}


def test_a_statement_that_cannot_run_is_told_as_usual(app: Flask) -> None:
    with app.app_context(), pytest.raises(DBAPIError):
        Prepared(select(text("nothing FROM nowhere"))).fetch_one({})
