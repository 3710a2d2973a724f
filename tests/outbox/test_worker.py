"""The worker inside a process: it delivers by itself, survives its database, and ends in good order."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import event
from sqlalchemy.engine import make_url

from api import create_app
from api.database import READ, db
from api.outbox import worker
from tests.conftest import Stores
from tests.outbox.conftest import Outbox
from tests.outbox.mail_server import MailServer
from tests.processes.servers import eventually
from tests.test_stores import close, reopen


@contextmanager
def working(outbox: Outbox) -> Iterator[None]:
    with outbox.app.app_context(), worker(outbox.composers):
        yield


class Rounds:
    """Counts how often the worker has looked, whether it got an answer or not."""

    def __init__(self, app: Flask) -> None:
        self.count = 0
        with app.app_context():
            event.listen(db.engines[READ], "do_connect", self._next)
            db.engines[READ].dispose()
            event.listen(db.engines[READ], "before_cursor_execute", self._next)

    def _next(self, *_: Any) -> None:
        self.count += 1

    def wait(self, more: int) -> None:
        enough = self.count + more
        eventually(lambda: self.count >= enough)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the worker has logged about its rounds."""
    return [record.getMessage() for record in caplog.records if record.name in {"keycard", "apscheduler"}]


def test_mail_leaves_by_itself(outbox: Outbox, server: MailServer) -> None:
    waiting = outbox.ask()
    with working(outbox):
        eventually(lambda: outbox.status(waiting) == "sent")
        later = outbox.ask()
        eventually(lambda: outbox.status(later) == "sent")
    assert len(server.taken) == 2
    after = outbox.ask()
    assert outbox.status(after) == "pending"
    assert outbox.deliver() == 1


def test_the_end_waits_for_the_mail_that_is_being_sent(outbox: Outbox, server: MailServer) -> None:
    """And for no other: that is left to the next worker."""
    server.stalls.add("DATA")
    ids = [outbox.ask(), outbox.ask()]
    end = threading.Event()

    def work() -> None:
        with working(outbox):
            assert end.wait(60)

    process = threading.Thread(target=work)
    process.start()
    server.wait_for("DATA")
    end.set()
    process.join(0.3)
    assert process.is_alive()
    server.go_on()
    process.join()
    assert sorted(map(outbox.status, ids)) == ["pending", "sent"]
    assert sorted(outbox.row(each).attempts for each in ids) == [0, 1]


def test_a_long_round_is_nothing_to_talk_about(outbox: Outbox) -> None:
    """The scheduler would warn each second while a mail server is slow."""
    with working(outbox):
        for name in ("scheduler", "executors.default"):
            assert not logging.getLogger(f"apscheduler.{name}").isEnabledFor(logging.WARNING)


def test_a_database_that_is_not_migrated_yet_is_waited_for(
    new_stores: Callable[[], Stores], tmp_path: Path, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, however long it takes, and once that it is over."""
    app = create_app(new_stores().settings(tmp_path, smtp_url=server.url))
    outbox, rounds = Outbox(app), Rounds(app)
    with working(outbox):
        rounds.wait(3)
        assert len(told(caplog)) == 1
        upgrade()
        mail_id = outbox.ask()
        eventually(lambda: outbox.status(mail_id) == "sent")
    first, last = told(caplog)
    assert first.startswith("mail waits")
    assert last == "mail is delivered again"
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_a_database_that_goes_away_is_waited_for(
    new_app: Callable[..., Flask],
    new_postgresql: Callable[[], str],
    store_name: str,
    server: MailServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if store_name != "postgresql":
        pytest.skip("an embedded database cannot be away")
    app = new_app(stores=Stores("postgresql", new_postgresql(), None), smtp_url=server.url)
    outbox, rounds = Outbox(app), Rounds(app)
    name = str(make_url(app.config["SETTINGS"].database).database)
    with working(outbox):
        rounds.wait(1)
        close(name)
        rounds.wait(6)  # each looks twice
        assert len(told(caplog)) == 1
        reopen(name)
        mail_id = outbox.ask()
        eventually(lambda: outbox.status(mail_id) == "sent")
    assert told(caplog)[1:] == ["mail is delivered again"]
