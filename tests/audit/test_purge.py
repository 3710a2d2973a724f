"""`keycard purge`: what is older than the log shall reach back goes, in batches."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from api import clock as api_clock
from api.audit import AuditEvent
from api.audit.purge import purge_events
from api.cli import purge
from api.database import fetch_one, transaction
from tests.actors import Bearer

RETENTION = 86_400 * 30


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    return new_app(audit_retention=RETENTION)


def add(app: Flask, number: int, *, seconds_old: float) -> uuid.UUID:
    """Write events of one subject as if so many seconds ago."""
    subject, moment = uuid.uuid4(), api_clock.now() - timedelta(seconds=seconds_old)
    with app.app_context(), transaction() as database:
        rows = [{"type": "refreshed", "subject_id": subject, "created_at": moment} for _ in range(number)]
        database.execute(insert(AuditEvent), rows)
    return subject


def left(app: Flask, subject: uuid.UUID) -> int:
    with app.app_context():
        row = fetch_one(select(func.count()).select_from(AuditEvent).where(AuditEvent.subject_id == subject))
    assert row
    return int(row[0])


def test_what_is_too_old_goes_and_the_rest_stays(app: Flask, clock) -> None:
    old, edge = add(app, 3, seconds_old=RETENTION + 0.001), add(app, 3, seconds_old=RETENTION)
    ended = app.test_cli_runner().invoke(purge)
    assert (ended.exit_code, " 3 events" in ended.output) == (0, True), ended.output
    assert (left(app, old), left(app, edge)) == (0, 3)
    clock.shift(0.001)
    assert " 3 events" in app.test_cli_runner().invoke(purge).output
    assert left(app, edge) == 0
    assert " 0 events" in app.test_cli_runner().invoke(purge).output


def test_many_go_in_batches_of_their_own(app: Flask, clock) -> None:
    """Each is committed for itself: requests are not kept waiting, and an interruption loses nothing."""
    old = add(app, 2500, seconds_old=RETENTION + 1)
    with app.app_context():
        batches = purge_events()
        assert next(batches) == 1000
        assert left(app, old) == 1500
        assert list(batches) == [1000, 500]
    assert left(app, old) == 0


def test_the_log_of_the_living_shrinks_too(app: Flask, clock) -> None:
    """By age alone, whosever events they are; the account goes on."""
    person = Bearer(app).join()
    clock.shift(RETENTION + 1)
    assert app.test_cli_runner().invoke(purge).exit_code == 0
    assert person.login().status_code == 200
    assert [each["type"] for each in person.get("/v1/users/me/events").json["items"]] == ["signed_in"]
