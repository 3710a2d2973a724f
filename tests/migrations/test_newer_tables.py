"""The code of today on the tables of tomorrow: what happens to the old replicas during a rolling update."""

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from api.database import db
from api.health.tables import usable
from tests.actors import Bearer, Operator
from tests.journeys import test_life_of_an_account, test_whole_life
from tests.migrations.future import CONTRACT, EXPAND, Future

READY = "/health/ready"


def test_every_journey_works_on_tables_that_were_added_to(present: Flask, future: Future, actor_class: type[Bearer]) -> None:
    """And the replica stays ready, or a balancer would take away the old ones before the new ones are there."""
    future.add("expand", EXPAND)
    future.upgrade(present)
    assert Bearer(present).get(READY).status_code == 200
    test_whole_life.test_a_person_registers_lives_with_the_account_and_leaves(present, actor_class)
    test_life_of_an_account.test_a_person_proves_an_address_forgets_the_password_moves_and_leaves(
        lambda **_: present, actor_class
    )
    assert Operator(present).ready().json["migrations"] == "ok"


def test_a_replica_that_is_too_old_for_the_tables_says_so(present: Flask, future: Future) -> None:
    """After the step that takes away what it used; and further steps do not make that good."""
    future.add("expand", EXPAND)
    future.add("contract", CONTRACT, oldest=1)
    future.upgrade(present)
    assert Operator(present).ready().json["migrations"] == "pending"
    future.add("expand", "pass", oldest=1)
    future.upgrade(present)
    assert Bearer(present).get(READY).status_code == 503


@pytest.mark.parametrize(
    ("applied", "own", "can"),
    [
        ("0002", "0002", True),
        ("0003_from_0002", "0002", True),
        ("0003_from_0002", "0003_from_0002", True),
        ("0009_from_0002", "0005_from_0002", True),
        ("0009_from_0006", "0005_from_0002", False),
        ("0009_from_0006", "0006_from_0002", True),
        ("0001", "0002", False),
        ("0002", "0003_from_0002", False),
        ("0003_from_0001", "0003_from_0002", False),
        ("0003", "0002", False),
        ("a1b2c3d4e5f6", "0002", False),
        ("0003_from_0002", "a1b2c3d4e5f6", False),
    ],
)
def test_names_tell_who_can_work_on_the_tables(applied: str, own: str, *, can: bool) -> None:
    """Older tables than the code's are never usable; newer ones from the step on that their name says."""
    assert usable(applied, own) is can


def test_a_migration_that_must_wait_for_a_table_gives_up(present: Flask, future: Future, store_name: str) -> None:
    """Everybody who comes later would wait behind it. Nothing of it is done then, and it can be run again."""
    if store_name != "postgresql":
        pytest.skip("SQLite has one lock, and whoever writes waits for it")
    future.add("expand", EXPAND)
    with present.app_context(), db.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM sessions"))
        with pytest.raises(OperationalError, match="lock timeout"):
            future.upgrade(present)
    with present.app_context(), db.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == future.own
        assert not connection.scalar(text("SELECT to_regclass('passkeys')"))
    future.upgrade(present)
    with present.app_context(), db.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == future.newest
