"""The next version's migration, while this version serves."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from flask import Flask

from api.migrations import FOLDER
from tests.conftest import Stores
from tests.migrations.future import EXPAND, Future
from tests.processes.servers import START_SECONDS, Server, Visitor, eventually, keycard

READY = "/health/ready"
# They ask again and again, and are idle and in no transaction in between.
WAITS = """SELECT count(*) FROM pg_stat_activity
           WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock%' AND xact_start IS NULL"""


def test_migrating_under_load_is_not_seen(
    start: Callable[..., Server], new_stores: Callable[[], Stores], tmp_path: Path, new_app: Callable[..., Flask]
) -> None:
    """People use the version before, while the next one's migration runs and after it."""
    stores = new_stores()
    server = start(stores).wait()
    people = [Visitor(server).join() for _ in range(4)]
    future = Future(tmp_path)
    future.add("expand", EXPAND)
    end, told = threading.Event(), []

    def live(person: Visitor) -> None:
        while not end.is_set():
            told.extend([person.get("/v1/users/me").status_code, person.refresh().status_code, server.status(READY)])

    with ThreadPoolExecutor(len(people)) as pool:
        running = [pool.submit(live, person) for person in people]
        try:
            eventually(lambda: len(told) > 60)
            future.upgrade(new_app(stores=stores))
            after = len(told)
            eventually(lambda: len(told) > after + 60)
        finally:
            end.set()
        for each in running:
            each.result()
    assert set(told) == {200}


def test_two_that_migrate_at_once_wait_for_each_other(new_postgresql: Callable[[], str], tmp_path: Path) -> None:
    """For longer than for a table, for the first may have much to do. Then the second finds it done."""
    url = new_postgresql()
    environment = Stores("postgresql", url, None).environment(tmp_path)
    number = int((FOLDER / "env.py").read_text().partition("LOCK = ")[2].partition("\n")[0])
    with psycopg.connect(url, autocommit=True) as first, ThreadPoolExecutor(2) as pool:
        first.execute("SELECT pg_advisory_lock(%s)", [number])
        both = [pool.submit(keycard, environment, "db", "upgrade") for _ in range(2)]
        try:
            eventually(lambda: first.execute(WAITS).fetchone() == (2,), START_SECONDS)
            first.execute("SELECT pg_sleep(3.5)")  # as long as no wait for a table may be
            assert first.execute(WAITS).fetchone() == (2,)
        finally:
            first.execute("SELECT pg_advisory_unlock(%s)", [number])
        for each in both:
            each.result()  # the second would have failed, had it made the tables once more
        assert first.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
