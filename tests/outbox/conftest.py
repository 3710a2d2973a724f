"""An app whose mail goes to a real SMTP server, and its outbox, empty when a test begins."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Row, delete, select

from api.database import fetch_all, transaction
from api.outbox import Composer, Message, OutgoingEmail, deliver_due, enqueue
from tests.outbox.mail_server import MailServer

RECIPIENT = "ada@example.com"


def note(mail: OutgoingEmail) -> Message:
    """The composer of most tests."""
    return Message(mail.recipient, "A note", "Hello.\n", "<p>Hello.</p>\n")


@dataclass
class Outbox:
    """The outbox of one app."""

    app: Flask
    composers: dict[str, Composer] = field(default_factory=lambda: {"note": note})

    def ask(self, kind: str = "note", recipient: str = RECIPIENT, user_id: uuid.UUID | None = None) -> uuid.UUID:
        """Ask for a mail and return its id."""
        with self.app.app_context():
            before = {row.id for row in self.rows()}
            enqueue(kind, recipient, user_id=user_id)
            (new,) = {row.id for row in self.rows()} - before
        return new

    def deliver(self) -> int:
        with self.app.app_context():
            return deliver_due(self.composers)

    def rows(self) -> list[Row[Any]]:
        with self.app.app_context():
            return list(fetch_all(select(OutgoingEmail.__table__)))

    def row(self, mail_id: uuid.UUID) -> Row[Any]:
        (found,) = [row for row in self.rows() if row.id == mail_id]
        return found

    def status(self, mail_id: uuid.UUID) -> str:
        return str(self.row(mail_id).status)


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with MailServer().running() as server:
        yield server


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask], mail_server: MailServer) -> Flask:
    return new_app(smtp_url=mail_server.url)


@pytest.fixture
def server(mail_server: MailServer) -> MailServer:
    mail_server.reset()
    return mail_server


@pytest.fixture
def outbox(app: Flask, server: MailServer) -> Outbox:
    assert not server.taken
    with app.app_context(), transaction() as session:
        session.execute(delete(OutgoingEmail))
    return Outbox(app)
