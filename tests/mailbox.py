"""Reading the mail of an app, and people who have proven an address with it."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from flask import Flask
from sqlalchemy import select

from api import clock
from api.accounts.mail import COMPOSERS
from api.config import settings
from api.database import fetch_all
from api.outbox import OutgoingEmail, deliver_due
from tests.actors import Bearer, new_name
from tests.outbox.configured import text_of

VERIFY = "/v1/auth/email/verify"


class Mailbox:
    """What an app has mailed since this was made: `token(address)` is that of the newest mail to an address."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.letters: list[EmailMessage] = []
        with app.app_context():
            self._folder = settings().instance / "outbox"
        self._seen = {file.name for file in self._folder.glob("*.eml")}

    def deliver(self, *, failing: str = "") -> list[EmailMessage]:
        """Do what the worker does until nothing is due; return what has left. failing: mail of this kind does not."""
        composers = {kind: each for kind, each in COMPOSERS.items() if kind != failing}
        with self.app.app_context():
            while self._something_is_due():
                deliver_due(composers)
        new = [file for file in self._folder.glob("*.eml") if file.name not in self._seen]
        self._seen |= {file.name for file in new}
        new.sort(key=lambda file: file.stat().st_mtime_ns)
        read: list[EmailMessage] = [message_from_bytes(file.read_bytes(), policy=policy.SMTP) for file in new]  # type: ignore[misc]
        self.letters += read
        return read

    @staticmethod
    def _something_is_due() -> bool:
        waits = (OutgoingEmail.status == "pending", OutgoingEmail.next_attempt_at <= clock.now())
        return bool(fetch_all(select(OutgoingEmail.id).where(*waits).limit(1)))

    def to(self, address: str) -> list[EmailMessage]:
        """Everything that has left for exactly this address, and what waits for it, the newest last."""
        self.deliver()
        return [letter for letter in self.letters if letter["To"] == address]

    def subjects(self, address: str) -> list[str]:
        return [str(letter["Subject"]) for letter in self.to(address)]

    def token(self, address: str) -> str:
        return token_in(self.to(address)[-1])


def token_in(letter: EmailMessage) -> str:
    """The token of a mail; there is exactly one, in the link and below it."""
    (token,) = set(re.findall(r"^(?:\S+#token=)?([A-Za-z0-9_-]{43})\r?$", text_of(letter), re.MULTILINE))
    return str(token)


def new_address() -> str:
    """An address that nobody else in this run has, in a spelling that is not its key."""
    return f"{new_name('Mail')}@Example.com"


def join_with(mailbox: Mailbox, address: str, *, kind: type[Bearer] = Bearer, **extra: Any) -> Bearer:
    """Somebody who is signed in and has proven an address."""
    person = kind(mailbox.app).join(email=address, **extra)
    assert person.request("POST", VERIFY, json={"token": mailbox.token(address)}).status_code == 204
    return person
