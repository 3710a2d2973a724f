"""Indexes of large tables are built while others write, and the building can be interrupted."""

from concurrent.futures import Future, ThreadPoolExecutor

import flask_migrate
import psycopg
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.engine import make_url

from api.database import db
from tests.actors import Bearer
from tests.conftest import administrated
from tests.processes.servers import eventually

STEP, BEFORE = "0003_from_0002", "0002"
BUILDS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'"


@pytest.fixture
def before(present: Flask, store_name: str) -> str:
    """The address of a database as it was before the step, with two people in it."""
    if store_name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    for name in ("ada", "grace"):
        assert Bearer(present, name).register().status_code == 201
    with present.app_context():
        flask_migrate.downgrade(revision=BEFORE)
    return make_url(present.config["SETTINGS"].database).set(drivername="postgresql").render_as_string(hide_password=False)


def upgrade(app: Flask) -> None:
    with app.app_context():
        flask_migrate.upgrade(revision=STEP)


def valid(app: Flask) -> set[str]:
    with app.app_context(), db.engine.connect() as connection:
        found = connection.execute(text("SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid"))
        return {str(name) for name in found.scalars()}


def test_others_write_while_an_index_is_built(present: Flask, before: str) -> None:
    """The building waits for whoever was there before, for longer than for a table; and nobody waits behind it."""
    with psycopg.connect(before) as early, psycopg.connect(before, autocommit=True) as late, ThreadPoolExecutor(1) as pool:
        early.execute("UPDATE users SET version = 7 WHERE username = 'ada'")
        building: Future[None] = pool.submit(upgrade, present)
        try:
            eventually(lambda: late.execute(BUILDS).fetchone() == (1,))
            late.execute("SELECT pg_sleep(3.5)")
            late.execute("SET lock_timeout = '1s'")
            assert late.execute("UPDATE users SET version = 7 WHERE username = 'grace'").rowcount == 1
            assert not building.done()
        finally:
            early.rollback()
        building.result()
    assert "ix_users_username_key_prefix" in valid(present)


def test_what_an_interrupted_attempt_has_left_is_replaced(present: Flask, before: str) -> None:
    """A connection that dies leaves an index that is not valid, and the name of the step before."""
    with psycopg.connect(administrated(before), autocommit=True) as connection:
        connection.execute("CREATE INDEX ix_audit_events_by_others ON audit_events (actor_id)")
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_audit_events_by_others'::regclass")
    assert "ix_audit_events_by_others" not in valid(present)
    upgrade(present)
    assert "ix_audit_events_by_others" in valid(present)
    with present.app_context():
        flask_migrate.upgrade()
        flask_migrate.check()
